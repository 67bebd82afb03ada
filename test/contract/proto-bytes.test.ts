import { describe, expect, test } from '@jest/globals'
import type { CheckRequest__Output } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import type { CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'
import type { StreamAccessLogsMessage__Output } from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { loadOurs, methodOf } from './proto-schema.ts'
import { encode, group, header, httpOf, inside, logEntry, type Write } from './proto-writer.ts'

// Bytes written field by field by another implementation: what our definitions make of messages that no encoder of
// theirs would write, and of fields that they do not name.

const loaded = loadOurs()
const check = methodOf<CheckRequest__Output, CheckResponse__Output>(
  loaded,
  'envoy.service.auth.v3.Authorization',
  'Check',
)
const log = methodOf<StreamAccessLogsMessage__Output, object>(
  loaded,
  'envoy.service.accesslog.v3.AccessLogService',
  'StreamAccessLogs',
)
const readCheck = check.requestDeserialize
const readLogs = log.requestDeserialize

const replacement = '\u{FFFD}'

describe('fields that proto/ does not name', () => {
  test.each([
    ['varint', (writer) => writer.writeInt64(900, -1)],
    ['fixed64', (writer) => writer.writeDouble(901, 1.5)],
    ['length-delimited', (writer) => writer.writeBytes(902, Buffer.from([0xff, 0x0a]))],
    ['group', (writer) => group(writer, 903, (inner) => group(inner, 1, (deepest) => deepest.writeString(2, 'x')))],
    ['fixed32', (writer) => writer.writeFloat(904, 1.5)],
    ['of a high number', (writer) => writer.writeString(2 ** 29 - 1, 'x')],
  ] satisfies [string, Write][])('%s: skipped at every level', (_, unknown) => {
    const bytes = encode((writer) => {
      unknown(writer)
      inside(writer, [1], (attributes) => {
        unknown(attributes)
        inside(attributes, [4, 2], (http) => {
          unknown(http)
          http.writeString(4, '/orders')
          unknown(http)
        })
        unknown(attributes)
      })
    })
    expect(readCheck(bytes)).toEqual({ attributes: { request: { http: { path: '/orders' } } } })
  })

  test('the body, the certificate and the service of the official request are skipped too', () => {
    const bytes = encode((writer) => {
      inside(writer, [1, 1], (source) => {
        source.writeString(2, 'admin')
        source.writeString(5, '-----BEGIN CERTIFICATE-----')
      })
      inside(writer, [1, 4, 2], (http) => {
        http.writeString(11, 'secret')
        http.writeBytes(12, Buffer.from('secret'))
      })
    })
    expect(JSON.stringify(readCheck(bytes))).not.toMatch(/admin|CERTIFICATE|secret/)
  })

  test('an enum value that proto/ does not name is its number', () => {
    const bytes = logEntry((entry) => {
      inside(entry, [1], (common) => common.writeEnum(33, 99))
      inside(entry, [3], (request) => request.writeEnum(1, 3))
    })
    expect(readLogs(bytes).http_logs?.log_entry).toEqual([
      { common_properties: { access_log_type: 99 }, request: { request_method: 'POST' } },
    ])
  })
})

describe('what is absent', () => {
  test('has no member at all: neither null nor a default', () => {
    expect(readCheck(Buffer.alloc(0))).toStrictEqual({})
    expect(readCheck(httpOf(() => undefined))).toStrictEqual({ attributes: { request: { http: {} } } })
    expect(readLogs(Buffer.alloc(0))).toStrictEqual({})
  })

  test('an empty value that was written is there', () => {
    const bytes = httpOf((http) => {
      inside(http, [], (inner) => inner.writeString(4, ''))
      header(http, Buffer.alloc(0), Buffer.alloc(0))
    })
    expect(httpIn(bytes)).toEqual({ path: '', headers: { '': '' } })
  })

  test('a oneof names the member that is set', () => {
    const address = (name: 'pipe' | 'socket_address') => {
      const bytes = encode((writer) =>
        inside(writer, [1, 1, 1], (inner) => inside(inner, [name === 'pipe' ? 2 : 1], () => undefined)),
      )
      return readCheck(bytes).attributes?.source?.address
    }
    expect(address('pipe')).toEqual({ address: 'pipe', pipe: {} })
    expect(address('socket_address')).toEqual({ address: 'socket_address', socket_address: {} })
  })
})

describe('names that every object inherits', () => {
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']

  test('as headers they are members of their own, and no prototype changes', () => {
    const bytes = httpOf((http) => {
      for (const name of names) header(http, Buffer.from(name), Buffer.from(`value of ${name}`))
    })
    const headers = httpIn(bytes)?.headers ?? {}
    expect(Object.keys(headers)).toEqual(names)
    for (const name of names) expect(Object.getOwnPropertyDescriptor(headers, name)?.value).toBe(`value of ${name}`)
    expect(Object.getPrototypeOf(headers)).toBe(Object.prototype)
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test('of absent headers only Object.hasOwn tells the truth', () => {
    const headers = httpIn(httpOf((http) => header(http, Buffer.from('a'), Buffer.from('b'))))?.headers ?? {}
    for (const name of names) {
      expect(headers[name]).toBeDefined()
      expect(Object.hasOwn(headers, name)).toBe(false)
    }
  })

  test('as filter names and in metadata they are members of their own', () => {
    const bytes = logEntry((entry) =>
      inside(entry, [1, 17, 1], (filter) => {
        filter.writeString(1, '__proto__')
        inside(filter, [2, 1], (field) => {
          field.writeString(1, '__proto__')
          inside(field, [2], (value) => value.writeString(3, 'x'))
        })
      }),
    )
    const filters = readLogs(bytes).http_logs?.log_entry?.[0]?.common_properties?.metadata?.filter_metadata ?? {}
    expect(Object.hasOwn(filters, '__proto__')).toBe(true)
    expect(Object.getPrototypeOf(filters)).toBe(Object.prototype)
    const fields = filters['__proto__']?.fields ?? {}
    expect(Object.entries(fields)).toEqual([['__proto__', { kind: 'stringValue', stringValue: 'x' }]])
  })

  test('in the metadata of our answer they are written and read back', () => {
    const fields = Object.fromEntries(names.map((name) => [name, { stringValue: name }]))
    const read = check.responseDeserialize(check.responseSerialize({ dynamic_metadata: { fields } }))
    const readFields = Object.entries(read.dynamic_metadata?.fields ?? {})
    expect(readFields.map(([name, value]) => [name, value.stringValue])).toEqual(names.map((name) => [name, name]))
  })
})

describe('bytes that are no UTF-8', () => {
  // A lone continuation byte, an overlong slash, a surrogate half, a sequence cut short.
  test.each([[[0xff]], [[0x80]], [[0xc0, 0xaf]], [[0xed, 0xa0, 0x80]], [[0xf0, 0x9f]]])('%j in a path', (bad) => {
    for (const length of [1, 4000]) {
      const start = '/'.padEnd(length, 'a')
      const path = Buffer.concat([Buffer.from(start), Buffer.from(bad), Buffer.from('z')])
      const read = httpIn(httpOf((http) => http.writeBytes(4, path)))?.path ?? ''
      expect(read.startsWith(`${start}${replacement}`)).toBe(true)
      expect(read.endsWith('z')).toBe(true)
      expect(read.slice(length, -1)).toBe(replacement.repeat(read.length - length - 1))
    }
  })

  test('in a header name and value each becomes U+FFFD, so two names can become one: the last one stays', () => {
    const bytes = httpOf((http) => {
      header(http, Buffer.from([0x61, 0xfe]), Buffer.from([0x31, 0xfe]))
      header(http, Buffer.from([0x61, 0xff]), Buffer.from([0x32, 0xff]))
    })
    expect(httpIn(bytes)?.headers).toEqual({ [`a${replacement}`]: `2${replacement}` })
  })

  test('in raw_value of header_map they stay as they are', () => {
    const bytes = httpOf((http) =>
      inside(http, [13, 1], (value) => {
        value.writeString(1, 'x-raw')
        value.writeBytes(3, Buffer.from([0xff, 0x00]))
      }),
    )
    const headers = httpIn(bytes)?.header_map?.headers
    expect(headers).toEqual([{ key: 'x-raw', raw_value: Buffer.from([0xff, 0x00]) }])
  })
})

describe('what is written twice', () => {
  test('of a value and of a header the last one counts', () => {
    const bytes = httpOf((http) => {
      for (const value of ['1', '2']) {
        http.writeString(4, `/${value}`)
        header(http, Buffer.from('a'), Buffer.from(value))
      }
    })
    expect(httpIn(bytes)).toEqual({ path: '/2', headers: { a: '2' } })
  })

  test('of a message the last one counts, whole: nothing of the first is merged into it', () => {
    const first = encode((writer) => inside(writer, [1, 1], (source) => source.writeString(4, 'spiffe://a/b')))
    const second = httpOf((http) => http.writeString(4, '/x'))
    expect(readCheck(Buffer.concat([first, second]))).toEqual({ attributes: { request: { http: { path: '/x' } } } })
  })

  test('header_map keeps every value of a repeated header, in order', () => {
    const bytes = httpOf((http) =>
      inside(http, [13], (map) => {
        for (const value of ['1', '2']) {
          inside(map, [1], (pair) => {
            pair.writeString(1, 'a')
            pair.writeString(2, value)
          })
        }
      }),
    )
    expect(httpIn(bytes)?.header_map?.headers?.map(({ value }) => value)).toEqual(['1', '2'])
  })
})

describe('bytes that are no message', () => {
  const good = httpOf((http) => http.writeString(4, '/orders'))
  const longVarint = Buffer.concat([Buffer.from([0x48]), Buffer.alloc(10, 0xff), Buffer.from([0x01])])

  test.each([
    ['cut short', good.subarray(0, -1)],
    ['a length beyond the end', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a wire type that does not exist', Buffer.from([0x0f])],
    ['a group that never ends', Buffer.from([0x0b, 0x08, 0x01])],
    ['groups nested 50,000 deep', Buffer.alloc(50_000, 0x7b)],
    [
      'a varint of 11 bytes',
      encode((writer) => inside(writer, [1, 4], (request) => request.writeBytes(2, longVarint))),
    ],
  ])('%s: throws an Error', (_, bytes) => {
    expect(() => readCheck(bytes)).toThrow(Error)
  })

  test('metadata nested 1,000 deep: throws an Error', () => {
    let list: Uint8Array = Buffer.alloc(0)
    for (let depth = 0; depth < 1000; depth++) {
      const inner = list
      list = encode((writer) => inside(writer, [1], (value) => value.writeBytes(6, inner)))
    }
    const bytes = logEntry((entry) =>
      inside(entry, [1, 17, 1, 2, 1, 2], (value) => {
        value.writeBytes(6, list)
      }),
    )
    expect(() => readLogs(bytes)).toThrow('nesting depth')
  })

  // protobufjs goes by the field's own type, whatever the wire says: the number 5 becomes the length of a text.
  test("a wire type that is not the field's own is not noticed: the bytes after it are read as the value", () => {
    const bytes = httpOf((http) => {
      http.writeInt32(4, 5)
      http.writeString(2, 'GET')
    })
    expect(httpIn(bytes)).toEqual({ path: '\u0012\u0003GET' })
  })

  test('every cut of a good message either throws an Error or gives a message', () => {
    for (let length = 0; length < good.length; length++) {
      let read: unknown
      try {
        read = readCheck(good.subarray(0, length))
      } catch (error) {
        read = error
      }
      expect(read instanceof Error).toBe(length !== 0)
    }
  })
})

test('whole numbers of 64 bits are numbers: exact to 2^53, the nearest double beyond', () => {
  const sizeOf = (size: string) => httpIn(httpOf((http) => http.writeInt64String(9, size)))?.size
  expect(sizeOf('-1')).toBe(-1)
  expect(sizeOf('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER)
  expect(sizeOf('9223372036854775807')).toBe(2 ** 63)
})

function httpIn(bytes: Buffer) {
  return readCheck(bytes).attributes?.request?.http
}
