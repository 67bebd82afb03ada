import { describe, expect, test } from '@jest/globals'
import { mayBePlaintext, parseListenAddress, parseTcpAddress } from '../../src/grpc/address.ts'

describe('an address to listen on', () => {
  test.each([
    ['127.0.0.1:9191', { host: '127.0.0.1', port: 9191, socket: null }],
    ['localhost:0', { host: 'localhost', port: 0, socket: null }],
    ['[::1]:9191', { host: '::1', port: 9191, socket: null }],
    ['[fe80::1%eth0]:9191', { host: 'fe80::1%eth0', port: 9191, socket: null }],
    ['unix:/run/countersign.sock', { host: null, port: null, socket: '/run/countersign.sock' }],
    ['unix:///run/countersign.sock', { host: null, port: null, socket: '/run/countersign.sock' }],
    ['unix:countersign.sock', { host: null, port: null, socket: 'countersign.sock' }],
  ])('%s', (text, parts) => {
    expect(parseListenAddress(text)).toMatchObject({ ok: true, value: { text, ...parts } })
  })

  test.each([
    '',
    ':9191',
    '9191',
    'host',
    'host:',
    'host:http',
    'host:65536',
    '::1:9191',
    '[127.0.0.1]:1',
    '[::1]',
    'unix:',
  ])('is refused: %j', (text) => {
    expect(parseListenAddress(text).ok).toBe(false)
  })

  test('of the admin port is no Unix socket', () => {
    expect(parseTcpAddress('unix:/a').ok).toBe(false)
    expect(parseTcpAddress('[::1]:9190')).toMatchObject({ ok: true, value: { host: '::1', port: 9190 } })
  })
})

describe('plaintext', () => {
  test.each(['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1', 'unix:/a'])('is safe on %s', (text) => {
    expect(mayPlain(text)).toBe(true)
  })

  // Where it is not certain that nobody else gets there, it is not safe.
  test.each([
    '0.0.0.0:1',
    '10.1.2.3:1',
    '[::]:1',
    '[fd00::1]:1',
    '127.0.0.1.example.com:1',
    'localhost.example:1',
    '0:1',
  ])('is not safe on %s', (text) => {
    expect(mayPlain(text)).toBe(false)
  })
})

function mayPlain(text: string): boolean {
  const parsed = parseListenAddress(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return mayBePlaintext(parsed.value)
}
