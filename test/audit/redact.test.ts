import { randomBytes } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { cutToSize, limitSteps, maskPath, maxValueBytes } from '../../src/audit/redact.ts'

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.MEUCIQDx'
const hex32 = '9f86d081884c7d659a2feaa0c55ad015'
const base64url43 = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'

describe('maskPath', () => {
  test.each([
    ['a JWT', jwt],
    ['a JWT without a signature', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJqYW5lIn0.'],
    ['a JWT whose header is written with a space', 'eyAiYWxnIjoibm9uZSJ9.e30.sig'],
    ['a JWT behind a name', `token=${jwt}`],
    ['a JWT with encoded dots', jwt.replaceAll('.', '%2E')],
    ['32 hex digits', hex32],
    ['32 hex digits in upper case', hex32.toUpperCase()],
    ['a SHA-1', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'],
    ['base64url', base64url43],
    ['base64url with padding', `${base64url43}=`],
    ['base64url with encoded padding', `${base64url43}%3D`],
    ['a percent-encoded secret', hex32.replaceAll('9', '%39')],
    ['a secret in a file name', `backup.${hex32}.zip`],
    ['base32 in lower case', 'mfrggzdfmztwq2lknnwg23tpobyxe43u'],
    ['letters without a word break', 'qkzvhxwpjrtybnmlfgdsaoeiucqwzxvk'],
  ])('masks %s, and says so', (_, secret) => {
    expect(maskPath(`/reset/${secret}/done`)).toEqual({ text: '/reset/[masked]/done', masked: true })
  })

  test.each([
    '',
    '/',
    '/orders/1',
    '/orders/123e4567-e89b-12d3-a456-426614174000',
    '/orders/123E4567-E89B-12D3-A456-426614174000.json',
    '/orders/A1B2C3D4-E5F6-7A8B-9C0D-E1F2A3B4C5D6',
    '/orders/order-019aa5d5-76fb-7000-8000-000000000001',
    '/pods/orders-6d5f7c9b8d-x2x9z/log',
    '/pods/very-long-service-name-for-orders-6d5f7c9b8d-x2x9z/log',
    '/volumes/pvc-0a1b2c3d-1234-5678-9abc-def012345678',
    '/ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV',
    '/blog/how-to-write-a-very-long-blog-post-title-2024',
    '/files/customer_order_history_by_customer_identifier',
    '/files/Release-Notes-2024-Q3-Final-Version-2-For-Everyone',
    '/files/eyewitness.report.of-the-accident',
    '/backups/2024-11-22T10-00-00Z-backup-database-primary',
    '/shop.orders.v1.OrdersService/GetCustomerOrderHistoryByCustomerIdentifier',
    '/company1.inventory.OrdersService/Get',
    '/countersign.identity.Service/getHTTPServerURLForCustomerIdentification',
    '/zeros/00000000000000000000000000000000',
    `/dashes/${'-'.repeat(40)}`,
    '/caf%C3%A9/%e4%b8%ad%e6%96%87/%zz',
    `/almost/${hex32.slice(1)}`,
  ])('lets %s stand', (path) => {
    expect(maskPath(path)).toEqual({ text: path, masked: false })
  })

  test('masks each secret segment of a path, and nothing else of it', () => {
    expect(maskPath(`/${hex32}/orders//${jwt}`)).toEqual({ text: '/[masked]/orders//[masked]', masked: true })
  })

  test.each([
    ['16 bytes in hex', () => randomBytes(16).toString('hex')],
    ['32 bytes in hex', () => randomBytes(32).toString('hex')],
    ['64 bytes in base64url', () => randomBytes(64).toString('base64url')],
  ])('masks random secrets of %s', (_, secret) => {
    const left = Array.from({ length: 500 }, secret).filter((text) => !maskPath(`/${text}`).masked)
    expect(left).toEqual([])
  })

  test('lets fewer than 1 in 50 random secrets of 24 bytes in base64url stand', () => {
    const left = Array.from({ length: 2000 }, () => randomBytes(24).toString('base64url')).filter(
      (text) => !maskPath(`/${text}`).masked,
    )
    expect(left.length).toBeLessThan(40)
  })

  test('keeps the number of segments, and changes only what it says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(jwt, hex32, 'orders'))),
        (segments) => {
          const path = segments.join('/')
          const { text, masked } = maskPath(path)
          expect(text.split('/')).toHaveLength(path.split('/').length)
          expect(text !== path).toBe(masked)
        },
      ),
    )
  })
})

describe('cutToSize', () => {
  test('returns data that fits as it is', () => {
    const data = { text: 'ä'.repeat(2048), list: ['a'], nested: { none: null, number: 1 } }
    expect(cutToSize(data)).toBe(data)
  })

  test('cuts a longer value, and names it', () => {
    const data = { resource: { path: 'a'.repeat(4097), host: 'h' }, redacted: ['resource.path', 'action.rpc'] }
    expect(cutToSize(data)).toEqual({
      resource: { path: 'a'.repeat(4096), host: 'h' },
      redacted: ['resource.path', 'action.rpc'],
    })
    expect(cutToSize({ a: { b: 'x'.repeat(5000) } })).toMatchObject({ redacted: ['a.b'] })
  })

  test.each([
    ['ä', 2],
    ['€', 3],
    ['😀', 4],
  ])('cuts %s only between characters', (character, bytes) => {
    for (const before of ['', 'a', 'aa', 'aaa']) {
      const { text } = cutToSize({ text: before + character.repeat(4096) }) as { text: string }
      expect(text).toBe(before + character.repeat(Math.floor((maxValueBytes - before.length) / bytes)))
    }
  })

  test('cuts a list that is too long, and names it once', () => {
    const cut = cutToSize({ query: Array<string>(300).fill('x'.repeat(5000)) }) as { query: string[] }
    expect(cut).toMatchObject({ redacted: ['query'] })
    expect(cut.query).toHaveLength(256)
  })

  test('names the members of a list’s items after the list', () => {
    expect(cutToSize({ problems: [{ message: 'x'.repeat(5000) }] })).toMatchObject({ redacted: ['problems.message'] })
  })

  test('replaces lone surrogates, which UTF-8 cannot say, and names the member', () => {
    expect(cutToSize({ host: 'a\ud800b' })).toEqual({ host: 'a\ufffdb', redacted: ['host'] })
  })

  test('cuts what is nested too deeply', () => {
    let deep: object = {}
    for (let level = 0; level < 100_000; level += 1) deep = { deep }
    expect(cutToSize(deep)).toMatchObject({ redacted: [expect.stringMatching(/^deep(\.deep)+$/)] })
  })

  test('does not change what it is given', () => {
    const data = { a: { b: 'x'.repeat(5000) }, list: Array<number>(300).fill(1) }
    const before = structuredClone(data)
    cutToSize(data)
    expect(data).toEqual(before)
  })

  test('names exactly the members whose values it changed', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.nat(3000).map((length) => '€'.repeat(length)),
    )
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 2 }), text), (data) => {
        const { redacted = [], ...copy } = cutToSize(data) as Record<string, string> & { redacted?: string[] }
        expect(Object.keys(copy)).toEqual(Object.keys(data))
        expect([...redacted].sort()).toEqual(
          Object.keys(data)
            .filter((name) => copy[name] !== data[name])
            .sort(),
        )
        for (const value of Object.values(copy)) expect(Buffer.byteLength(value)).toBeLessThanOrEqual(maxValueBytes)
      }),
    )
  })

  test('has limits that only grow smaller', () => {
    for (const [index, { valueBytes, items }] of limitSteps.slice(1).entries()) {
      expect(valueBytes).toBeLessThan(limitSteps[index]?.valueBytes ?? 0)
      expect(items).toBeLessThan(limitSteps[index]?.items ?? 0)
    }
  })
})
