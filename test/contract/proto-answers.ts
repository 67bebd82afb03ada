import type { CheckResponse } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'
import type { Struct } from '../../src/wire/google/protobuf/Struct.ts'

const metadata: NonNullable<Struct['fields']> = {
  effect: { stringValue: 'allow' },
  line: { numberValue: 12 },
  enforced: { boolValue: true },
  nothing: { nullValue: 'NULL_VALUE' },
  roles: { listValue: { values: [{ stringValue: 'reader' }, { stringValue: 'writer' }] } },
  rule: { structValue: { fields: { file: { stringValue: 'policy.csv' } } } },
}

const metadataRead = {
  effect: { kind: 'stringValue', stringValue: 'allow' },
  line: { kind: 'numberValue', numberValue: 12 },
  enforced: { kind: 'boolValue', boolValue: true },
  nothing: { kind: 'nullValue', nullValue: 'NULL_VALUE' },
  roles: {
    kind: 'listValue',
    listValue: {
      values: [
        { kind: 'stringValue', stringValue: 'reader' },
        { kind: 'stringValue', stringValue: 'writer' },
      ],
    },
  },
  rule: {
    kind: 'structValue',
    structValue: { fields: { file: { kind: 'stringValue', stringValue: 'policy.csv' } } },
  },
}

/** Answers as code writes them, and what an official reader sees in them. */
export const answers: Readonly<Record<string, { readonly answer: CheckResponse; readonly expected: object }>> = {
  allow: {
    answer: {
      status: { code: 0 },
      ok_response: {
        headers: [
          { header: { key: 'x-countersign-principal', value: 'spiffe://a/b' }, append: { value: false } },
          { header: { key: 'x-raw', raw_value: Buffer.from('raw') }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        ],
        headers_to_remove: ['x-countersign-principal', 'x-other'],
        response_headers_to_add: [{ header: { key: 'x-r', value: '1' }, append: { value: true } }],
      },
      dynamic_metadata: { fields: metadata },
    },
    expected: {
      status: {},
      http_response: 'ok_response',
      ok_response: {
        headers: [
          { header: { key: 'x-countersign-principal', value: 'spiffe://a/b' }, append: {} },
          { header: { key: 'x-raw', raw_value: 'cmF3' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        ],
        headers_to_remove: ['x-countersign-principal', 'x-other'],
        response_headers_to_add: [{ header: { key: 'x-r', value: '1' }, append: { value: true } }],
      },
      dynamic_metadata: { fields: metadataRead },
    },
  },
  deny: {
    answer: {
      status: { code: 7, message: 'denied' },
      denied_response: {
        status: { code: 'Forbidden' },
        headers: [{ header: { key: 'content-type', value: 'application/json' }, append: { value: false } }],
        body: '{"reason":"é"}',
      },
    },
    expected: {
      status: { code: 7, message: 'denied' },
      http_response: 'denied_response',
      denied_response: {
        status: { code: 'Forbidden' },
        headers: [{ header: { key: 'content-type', value: 'application/json' }, append: {} }],
        body: '{"reason":"é"}',
      },
    },
  },
  'deny by a status number': {
    answer: { status: { code: 14 }, denied_response: { status: { code: 503 } } },
    expected: {
      status: { code: 14 },
      http_response: 'denied_response',
      denied_response: { status: { code: 'ServiceUnavailable' } },
    },
  },
}
