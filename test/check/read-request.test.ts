import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readCheckRequest } from '../../src/check/read-request.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import type { AttributeContext } from '../../src/wire/envoy/service/auth/v3/AttributeContext.ts'
import { anyCheckRequest } from './any-check-request.ts'
import {
  callWith,
  checkMethod,
  type Http,
  httpAttributes,
  httpCall,
  now,
  orders,
  reading,
  received,
  web,
} from './calls.ts'

const readHttp = (http: Http = {}): AccessRequest => readCheckRequest(httpCall(http), reading)
const readWith = (attributes: AttributeContext): AccessRequest => readCheckRequest(callWith(attributes), reading)

describe('reading an HTTP check', () => {
  test('takes all four parts, and who asked', () => {
    const headers = { 'x-request-id': 'r-1', 'user-agent': 'curl/8', ':path': '/orders/1', authorization: 'Bearer x' }
    const request = readHttp({ headers, path: '/orders/1?page=2' })
    expect(request).toMatchObject({
      time: new Date('2026-11-22T10:00:00.123Z'),
      subject: { peer: { kind: 'proved', principal: { id: { uri: web } } }, address: '10.1.2.3' },
      action: { protocol: 'http', method: 'GET' },
      resource: { principal: orders, host: 'orders.shop', path: '/orders/1', port: 8443, query: ['page'] },
      context: { requestId: 'r-1', userAgent: 'curl/8' },
      pep: { principal: orders, address: '10.1.2.9' },
    })
    expect(request).not.toHaveProperty('refusal')
    expect(JSON.stringify(request)).not.toContain('Bearer')
  })

  test('leaves out what Envoy does not say, instead of making it empty', () => {
    const request = readWith({ destination: {}, request: { http: { method: 'GET', path: '/' } } })
    expect(request).toEqual({
      time: now,
      subject: { peer: { kind: 'missing' } },
      action: { protocol: 'http', method: 'GET' },
      resource: { path: '/', query: [] },
      context: {},
      pep: { principal: orders, address: '10.1.2.9' },
    })
  })

  test('takes nothing for Envoy’s numeric stream id', () => {
    expect(readHttp({ id: '12345' }).context).toEqual({})
  })

  test.each([
    ['page=2&sort=up&page=3', ['page', 'sort']],
    ['', []],
    ['token', ['token']],
    ['a=1?b=2', ['a']],
    ['%73ort=x&b+c=y', ['sort', 'b c']],
    ['__proto__=1&constructor=2', ['__proto__', 'constructor']],
    ['%zz=1', ['%zz']],
  ])('of the query %j keeps names, never values: %j', (query, names) => {
    expect(readHttp({ path: `/orders?${query}` }).resource).toMatchObject({ path: '/orders', query: names })
  })

  test('never keeps a value of the query', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.uuid())), (pairs) => {
        const query = pairs.map(([name, value]) => `${name}=${value}`).join('&')
        const read = JSON.stringify(readHttp({ path: `/orders?${query}` }))
        expect(pairs.filter(([, value]) => read.includes(value))).toEqual([])
      }),
    )
  })

  test.each([
    ['Orders.SHOP', 'orders.shop'],
    ['orders.shop:8443', 'orders.shop'],
    ['orders.shop:', 'orders.shop'],
    ['orders.shop.', 'orders.shop'],
    ['orders.shop.:443', 'orders.shop'],
    ['[2001:DB8::1]:8443', '[2001:db8::1]'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['10.0.0.1:80', '10.0.0.1'],
    [':8080', undefined],
    ['.', undefined],
  ])('reads the host %j as %j', (host, expected) => {
    const { resource } = readHttp({ host })
    expect(resource.host).toBe(expected)
    expect('host' in resource).toBe(expected !== undefined)
  })

  test.each([[0], [65_535]])('takes the port %d', (port_value) => {
    const destination = { address: { socket_address: { address: '::1', port_value } } }
    expect(readWith({ ...httpAttributes(), destination }).resource.port).toBe(port_value)
  })

  test('leaves out a port that there is not', () => {
    const destination = { address: { socket_address: { address: '::1', port_value: 65_536 } } }
    expect(readWith({ ...httpAttributes(), destination }).resource).not.toHaveProperty('port')
  })

  test.each([
    ['no time', undefined, now],
    ['an empty time', {}, now],
    ['the year 0', { seconds: -62_135_596_801 }, now],
    ['a time pushed into the year 0 by its nanoseconds', { seconds: -62_135_596_800, nanos: -5_000_000 }, now],
    ['the year 10000', { seconds: 253_402_300_800 }, now],
    ['a time pushed into the year 10000 by its nanoseconds', { seconds: 253_402_300_799, nanos: 1_500_000_000 }, now],
    ['the largest number', { seconds: Number.MAX_SAFE_INTEGER }, now],
    ['the first second', { seconds: -62_135_596_800 }, new Date('0001-01-01T00:00:00Z')],
    ['the last second', { seconds: 253_402_300_799, nanos: 999_999_999 }, new Date('9999-12-31T23:59:59.999Z')],
  ])('reads %s', (_, time, expected) => {
    expect(readWith({ source: { principal: web }, request: { ...(time === undefined ? {} : { time }) } }).time).toEqual(
      expected,
    )
  })
})

describe('reading headers', () => {
  const entry = (key: string, value: string) => ({ key, raw_value: Buffer.from(value) })

  test('reads `header_map` with raw values as it reads `headers`, and joins duplicates by a comma', () => {
    const list = [entry('x-request-id', 'a'), entry('X-Request-Id', 'b'), { key: 'user-agent', value: 'plain' }]
    expect(readHttp({ header_map: { headers: list } }).context).toEqual({ requestId: 'a,b', userAgent: 'plain' })
  })

  test('replaces bytes of a raw value that are not UTF-8', () => {
    const list = [{ key: 'user-agent', raw_value: Buffer.from([0x61, 0xff]) }]
    expect(readHttp({ header_map: { headers: list } }).context.userAgent).toBe('a\uFFFD')
  })

  test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf'])(
    'is not confused by a header of the name %s',
    (name) => {
      const other = readHttp()
      expect(readHttp({ headers: Object.fromEntries([[name, 'x']]) })).toEqual(other)
      expect(readHttp({ header_map: { headers: [entry(name, 'x')] } })).toEqual(other)
      expect(Object.prototype).not.toHaveProperty('x')
    },
  )

  test('reads one header among 1,000', () => {
    const many = Array.from({ length: 1000 }, (_, index) => [`x-${String(index)}`, 'v'] as const)
    const headers = Object.fromEntries([...many, ['x-request-id', 'r']])
    expect(readHttp({ headers }).context).toEqual({ requestId: 'r' })
    const list = [...many, ['x-request-id', 'r'] as const].map(([key, value]) => entry(key, value))
    expect(readHttp({ header_map: { headers: list } }).context).toEqual({ requestId: 'r' })
  })

  test('takes trace and span from a traceparent, and nothing from one that is not valid', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    expect(readHttp({ headers: { traceparent } }).context).toEqual({
      traceparent,
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
    })
  })

  test.each([
    '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
    '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01',
    'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '',
  ])('leaves out the traceparent %j', (traceparent) => {
    expect(readHttp({ headers: { traceparent } }).context).toEqual({})
  })
})

describe('reading a gRPC check', () => {
  const grpc = (contentType: string, path = '/shop.Orders/Get'): AccessRequest['action'] =>
    readHttp({ method: 'POST', path, headers: { 'content-type': contentType } }).action

  test.each(['application/grpc', 'application/grpc+proto', 'APPLICATION/GRPC', 'application/grpc;charset=x'])(
    'knows the content type %s',
    (type) => {
      expect(grpc(type)).toEqual({ protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' })
    },
  )

  test.each([
    'application/grpc-web',
    'application/grpc-web+proto',
    'application/grpcx',
    'text/plain',
    ' application/grpc',
  ])('takes %j for HTTP', (type) => {
    expect(grpc(type)).toEqual({ protocol: 'http', method: 'POST' })
  })

  test.each(['/a/b/c', '/a', '/', '/shop.Orders/', '//Get'])('names no method where the path is %s', (path) => {
    expect(grpc('application/grpc', path)).toEqual({ protocol: 'grpc', method: 'POST' })
  })

  test('keeps the path of a gRPC call, so that calling a request gRPC evades no rule on paths', () => {
    const { resource } = readHttp({ path: '/admin/delete', headers: { 'content-type': 'application/grpc' } })
    expect(resource.path).toBe('/admin/delete')
  })
})

describe('reading a TCP check', () => {
  test('has no method, no path and no host', () => {
    const { source = {}, destination = {} } = httpAttributes()
    const request = readWith({ source, destination, request: {} })
    expect(request.action).toEqual({ protocol: 'tcp' })
    expect(request.resource).toEqual({ principal: orders, port: 8443, query: [] })
    expect(request).not.toHaveProperty('refusal')
  })
})

describe('refuses as malformed', () => {
  const refusal = (http: Http): AccessRequest['refusal'] => readHttp(http).refusal

  test('bytes that are no message', () => {
    const request = readCheckRequest(received(Buffer.from([0x0a, 0xff])), reading)
    expect(request.refusal).toEqual({ reason: 'REQUEST_MALFORMED', detail: 'the Check message could not be decoded' })
    expect(request).toMatchObject({ time: now, subject: { peer: { kind: 'missing' } }, action: { protocol: 'tcp' } })
  })

  test('a message larger than 1 MiB', () => {
    const bytes = checkMethod.requestSerialize({
      attributes: httpAttributes({ headers: { x: 'a'.repeat(1024 * 1024) } }),
    })
    expect(readCheckRequest(received(bytes), reading).refusal?.reason).toBe('REQUEST_MALFORMED')
  })

  test.each([
    ['no attributes', {}],
    ['attributes without either end', { attributes: { request: { http: { method: 'GET', path: '/' } } } }],
  ])('a message with %s', (_, message) => {
    const request = readCheckRequest(received(checkMethod.requestSerialize(message)), reading)
    expect(request.refusal?.reason).toBe('REQUEST_MALFORMED')
  })

  test.each<[string, Http]>([
    ['no method', { method: '' }],
    ['a method with a space', { method: 'GET /' }],
    ['a method that is not UTF-8', { method: 'GET\uFFFD' }],
    ['a host that is not UTF-8', { host: 'orders\uFFFDshop' }],
    ['a host with a slash', { host: 'orders.shop/admin' }],
    ['a host with a backslash', { host: 'orders.shop\\admin' }],
    ['a host with user information', { host: 'admin@orders.shop' }],
    ['a host with a space', { host: 'orders.shop evil' }],
    ['a host with a control character', { host: 'orders.shop\0' }],
    ['a host with a query', { host: 'orders.shop?x' }],
    ['no path', { path: '' }],
    ['a query alone', { path: '?a=1' }],
    ['an absolute path', { path: 'http://orders.shop/orders' }],
    ['an asterisk of a GET', { path: '*' }],
    ['a path longer than 8 KiB', { path: `/${'a'.repeat(8192)}` }],
    ['a path longer than 8 KiB in UTF-8', { path: `/${'é'.repeat(4100)}` }],
  ])('%s', (_, http) => {
    expect(refusal(http)?.reason).toBe('REQUEST_MALFORMED')
  })

  test('a destination’s principal that is not UTF-8', () => {
    const request = readWith({ ...httpAttributes(), destination: { principal: 'spiffe://a/\uFFFD' } })
    expect(request.refusal?.reason).toBe('REQUEST_MALFORMED')
  })

  test.each<[string, Http]>([
    ['a path of 8 KiB', { path: `/${'a'.repeat(8191)}` }],
    ['a long query behind a short path', { path: `/orders?${'a=b&'.repeat(5000)}` }],
    ['OPTIONS of an asterisk', { method: 'OPTIONS', path: '*' }],
    ['CONNECT without a path', { method: 'CONNECT', path: '', host: 'orders.shop:443' }],
    ['CONNECT with a path, as a WebSocket has it', { method: 'CONNECT', path: '/chat' }],
    ['a method of its own', { method: 'PURGE' }],
    ['no host', { host: '' }],
  ])('but not %s', (_, http) => {
    expect(readHttp(http)).not.toHaveProperty('refusal')
  })
})

test('reads any message without a fault, and says nothing that a record could not carry', () => {
  fc.assert(
    fc.property(anyCheckRequest, (message) => {
      const request = readCheckRequest(received(checkMethod.requestSerialize(message)), reading)
      const { path, host } = request.resource
      const { peer } = request.subject
      const doubtful = [path, host, request.action.method].some((text) => text?.includes('\uFFFD') === true)
      if (doubtful) expect(request.refusal).toBeDefined()
      if (peer.kind === 'proved') expect(peer.principal.id.uri).not.toContain('\uFFFD')
      expect(Number.isNaN(request.time.getTime())).toBe(false)
      expect(path).not.toBe('')
      expect(host).not.toBe('')
    }),
  )
})
