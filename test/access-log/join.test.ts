import { describe, expect, test } from '@jest/globals'
import { joinDecision } from '../../src/access-log/join.ts'
import type { AccessLogCommon } from '../../src/wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type { Value } from '../../src/wire/google/protobuf/Value.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import {
  answer,
  decisionId,
  httpAccess,
  httpFilter,
  metadata,
  onTheWire,
  servedEntry,
  sidecar,
  tcpAccess,
  tcpFilter,
  text,
} from './entries.ts'

const unjoined = {
  decisionId: null,
  effect: null,
  reason: null,
  rule: null,
  policyVersion: null,
  protocol: null,
  path: null,
}

const joined = (given: AccessLogCommon['metadata']): ReturnType<typeof joinDecision> => {
  const entry = servedEntry(given === undefined ? {} : { metadata: given })
  return joinDecision(
    onTheWire({ http_logs: { log_entry: [entry] } }).http_logs?.log_entry?.[0]?.common_properties?.metadata,
  )
}

const changed = (fields: Record<string, Value>): ReturnType<typeof joinDecision> =>
  joined(metadata({ ...answer, ...fields }))

describe('the decision of an entry', () => {
  test.each([httpFilter, tcpFilter])('is read from the metadata of %s', (filter) => {
    expect(joined(metadata(answer, filter))).toEqual({
      ...{ decisionId, effect: 'allow', reason: 'ALLOWED_BY_RULE', rule: readRule, policyVersion },
      ...{ protocol: 'http', path: '/orders/1' },
    })
  })

  test('is there without what the answer left out', () => {
    const denied = { decisionId: text(decisionId), effect: text('deny'), reason: text('POLICY_UNAVAILABLE') }
    expect(joined(metadata(denied))).toEqual({ ...unjoined, decisionId, effect: 'deny', reason: 'POLICY_UNAVAILABLE' })
  })

  test('is found behind what another authorizer wrote', () => {
    const both = {
      filter_metadata: {
        [httpFilter]: { fields: { ext_authz_duration: { numberValue: 3 } } },
        [tcpFilter]: { fields: answer },
      },
    }
    expect(joined(both)).toMatchObject({ decisionId })
  })

  test.each<[string, AccessLogCommon['metadata']]>([
    ['there is no metadata', {}],
    ['another filter wrote it', metadata(answer, 'envoy.filters.http.lua')],
    ['the filter wrote nothing', { filter_metadata: { [httpFilter]: {} } }],
    ['the filter is named __proto__', { filter_metadata: { ['__proto__']: { fields: answer } } }],
    ['the id is another authorizer’s', metadata({ ...answer, decisionId: text('42') })],
    [
      'the id is a UUID of another version',
      metadata({ ...answer, decisionId: text('5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b') }),
    ],
    ['the id is in upper case', metadata({ ...answer, decisionId: text(decisionId.toUpperCase()) })],
    ['the id is a number', metadata({ ...answer, decisionId: { numberValue: 7 } })],
    ['the id is empty', metadata({ ...answer, decisionId: text('') })],
  ])('is none at all where %s', (_, given) => {
    expect(joined(given)).toEqual(unjoined)
  })

  test('is without members that are not of their form', () => {
    expect(changed({ effect: text('Allow') }).effect).toBeNull()
    expect(changed({ protocol: text('udp') }).protocol).toBeNull()
    expect(changed({ policyVersion: text('v1') }).policyVersion).toBeNull()
    expect(changed({ reason: { boolValue: true } }).reason).toBeNull()
  })

  test.each<[string, Record<string, Value>]>([
    ['is no line', { line: text('12') }],
    ['is the line 0', { line: { numberValue: 0 } }],
    ['is a broken line', { line: { numberValue: 1.5 } }],
    ['is a line that no file has', { line: { numberValue: Number.MAX_VALUE } }],
    ['is NaN', { line: { numberValue: Number.NaN } }],
    ['has no file', { file: text('') }],
    ['has no text', { text: { numberValue: 1 } }],
  ])('has no rule where the rule %s', (_, fields) => {
    const rule = { structValue: { fields: { ...answer['rule']?.structValue?.fields, ...fields } } }
    expect(changed({ rule }).rule).toBeNull()
  })

  test('has no rule of hostile names', () => {
    expect(changed({ rule: text('p, *, *') }).rule).toBeNull()
    expect(joined({ filter_metadata: { constructor: { fields: answer } } })).toEqual(unjoined)
  })
})

describe('the mediation of an entry', () => {
  const demand = { istio_ext_authz_shadow_effective_policy_id: text('istio-ext-authz-ns[shop]-policy[p]-rule[0]') }
  const flagged = { response_flags: { unauthorized_details: { reason: 'EXTERNAL_SERVICE' } } } as const
  const details = (code: string): HTTPAccessLogEntry => ({
    response: { response_code: { value: 403 }, response_code_details: code },
  })
  const logged = (value: string): HTTPAccessLogEntry => ({
    request: { request_headers: { 'x-envoy-auth-failure-mode-allowed': value } },
  })

  test.each<[string, AccessLogCommon, HTTPAccessLogEntry, string | null]>([
    ['a decision of ours', {}, {}, 'checked'],
    ['a decision of ours, and the header of a fail-open that its caller forged', {}, logged('true'), 'checked'],
    ['a denial of ours', flagged, details('ext_authz_denied'), 'checked'],
    ['nothing', { metadata: {} }, {}, 'unchecked'],
    ['the decision of another authorizer', { metadata: metadata({ decisionId: text('theirs') }) }, {}, 'unchecked'],
    [
      'a refusal by Envoy’s own RBAC',
      { metadata: {} },
      details('rbac_access_denied_matched_policy[none]'),
      'unchecked',
    ],
    ['the details of an authorizer’s error', { metadata: {} }, details('ext_authz_error'), 'authorizer-error'],
    ['the flag UAEX without a decision', { metadata: {}, ...flagged }, {}, 'authorizer-error'],
    ['the header of a fail-open', { metadata: {} }, logged('true'), 'authorizer-error'],
    ['that header with another value', { metadata: {} }, logged('false'), 'unchecked'],
    ['Istio’s demand for a check', { metadata: metadata(demand, 'envoy.filters.http.rbac') }, {}, 'authorizer-error'],
    [
      'Istio’s demand for a check of TCP',
      { metadata: metadata(demand, 'envoy.filters.network.rbac') },
      {},
      'authorizer-error',
    ],
    [
      'another shadow policy of Istio',
      {
        metadata: metadata(
          { istio_dry_run_allow_shadow_effective_policy_id: text('ns[a]') },
          'envoy.filters.http.rbac',
        ),
      },
      {},
      'unchecked',
    ],
    ['a start without a decision', { metadata: {}, access_log_type: 'DownstreamStart' }, {}, null],
    ['a start with a decision', { access_log_type: 'DownstreamStart' }, {}, 'checked'],
    ['an outbound cluster', { metadata: {}, upstream_cluster: 'outbound|80||pay.shop' }, {}, null],
    ['an outbound cluster and a decision', { upstream_cluster: 'outbound|80||pay.shop' }, {}, null],
    ['Istio’s way out', { metadata: {}, upstream_cluster: 'PassthroughCluster' }, {}, null],
    ['Istio’s black hole', { metadata: {}, upstream_cluster: 'BlackHoleCluster' }, {}, null],
    ['Istio’s way in', { metadata: {}, upstream_cluster: 'InboundPassthroughCluster' }, {}, 'unchecked'],
    ['a cluster of a plain Envoy', { metadata: {}, upstream_cluster: 'orders' }, {}, 'unchecked'],
  ])('with %s is %4$j', (_, common, entry, mediation) => {
    expect(httpAccess(servedEntry(common, entry)).mediation).toBe(mediation)
  })

  test('of a refused TCP connection without a decision is authorizer-error', () => {
    expect(tcpAccess({ common_properties: flagged }).mediation).toBe('authorizer-error')
    expect(tcpAccess({ common_properties: {} }).mediation).toBe('unchecked')
  })

  test.each([
    ['router~10.0.0.1~gw.istio-system~x', 'outbound|80||orders.shop', 'gateway', 'unchecked'],
    ['waypoint~10.0.0.1~wp.shop~x', 'inbound-vip|80|http|orders.shop', 'inbound', 'unchecked'],
    ['sidecar~10.0.0.1~orders.shop~x', 'outbound|80||orders.shop', 'outbound', null],
    ['sidecar~10.0.0.1~orders.shop~x', 'inbound|80||', 'inbound', 'unchecked'],
    [null, null, 'inbound', 'unchecked'],
  ] as const)('at node %s towards %s: %s, %s', (node, cluster, direction, mediation) => {
    const common = { metadata: {}, ...(cluster === null ? {} : { upstream_cluster: cluster }) }
    const access = httpAccess({ common_properties: common }, { ...sidecar, node })
    expect(access).toMatchObject({ mediation, envoy: { direction } })
  })
})
