import fc from 'fast-check'
import { policyFunction, type PolicyFunctionName } from '../../../src/policy/patterns/functions.ts'

// Small alphabets, so that matches, ties, overlapping rules, cycles and duplicates are frequent.

export const name = fc.constantFrom('alice', 'bob', 'reader', 'writer', 'admin')
export const domain = fc.constantFrom('one', 'two')
export const method = fc.constantFrom('GET', 'PUT', 'POST')
export const effect = fc.constantFrom('allow', 'allow', 'deny')
export const level = fc.constantFrom('-1', '1', '2', '10', '09')
export const port = fc.constantFrom('80', '443', '8080', '10000', '080', 'http')

/** More names than a single word of bits holds. */
export const oneOfMany = fc.nat(120).map((at) => `m${String(at)}`)

/** A role and a domain that are like others once commas join them. */
export const joinedAlike = fc.constantFrom(
  ['a', 'b,c'],
  ['a,b', 'c'],
  ['b', 'c,b'],
  ['b,c', 'b'],
  ['a', 'b'],
  ['b', 'c'],
)

/** The same name as a link in a long chain: `n0` … `n15`. */
export const linkName = fc.nat(15).map((at) => `n${String(at)}`)

const segment = fc.constantFrom('a', 'b', '1', 'a.b', 'ab', '')
export const path = fc.constantFrom('/a', '/b', '/a/b')
export const anyPath = fc.oneof(
  { weight: 8, arbitrary: fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '/a?b=/c',
      '/a?',
      '/a/b?',
      'a',
      '*',
      '/*',
      '/:id',
      '/{id}',
      '/a\n',
      '/\u2028',
      '/😀',
      '/é',
      '/.a',
      '//',
      '/A',
      `/${'a'.repeat(1100)}`,
    ),
  },
)

const trustDomain = fc.constantFrom('mesh', 'other')
const account = fc.constantFrom('ns', 'shop', 'sa', 'web')
export const spiffeId = fc
  .tuple(trustDomain, fc.array(account, { minLength: 1, maxLength: 3 }))
  .map(([host, parts]) => `spiffe://${host}/${parts.join('/')}`)

export const address = fc.constantFrom(
  '10.0.0.1',
  '10.0.1.1',
  '10.1.0.1',
  '192.168.0.1',
  '::1',
  'FD00::1',
  'fd00::1:1',
  '::ffff:10.0.0.1',
  '::2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7::',
  '0:2:3:4:5:6:7:8',
)
export const addressOrNot = fc.oneof({ weight: 6, arbitrary: address }, { weight: 1, arbitrary: domain })

const spiffePattern = fc
  .tuple(
    fc.oneof(trustDomain, fc.constant('*')),
    fc.array(fc.oneof(account, fc.constantFrom('*', '{name}')), { minLength: 1, maxLength: 3 }),
    fc.boolean(),
  )
  .map(([host, parts, rest]) => `spiffe://${host}/${parts.join('/')}${rest ? '/**' : ''}`)

const network = fc.oneof(
  fc.constantFrom(
    '10.0.0.0/8',
    '10.0.0.0/24',
    '10.0.1.0/31',
    '0.0.0.0/0',
    '192.168.0.1/32',
    '::/0',
    'fd00::/16',
    'fd00::1/128',
  ),
  address,
)

const pathPiece = fc.constantFrom('/a', '/b', '/1', '/*', '/{id}', '/{name}', '/')
const casbinPiece = fc.constantFrom(
  '/a',
  '/b',
  '/1',
  '/*',
  '/:id',
  '/:x',
  '/{id}',
  '/{x}',
  '/a.b',
  '/a*',
  '*',
  '/',
  '/.*',
  '/[ab]',
)
const glob = fc.constantFrom(
  '/a',
  '/b',
  '/*',
  '/**',
  '*',
  '/?',
  '/[ab]',
  '/a*',
  '/{a,b}',
  '/!(a)',
  '!/a',
  '/a/**',
  '**/b',
)
const expression = fc.constantFrom(
  '^/a',
  'a$',
  '^/[ab]/',
  '.',
  '^/a(/.*)?$',
  '/b',
  '^$',
  'a|b',
  '^/(a|1)/?',
  '(a)(b)?',
  '\\.',
  '/{1}',
  '[^/]+/b',
)

function joined(piece: fc.Arbitrary<string>, end: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(fc.array(piece, { minLength: 1, maxLength: 3 }), end).map(([pieces, last]) => pieces.join('') + last)
}

const raw: Record<PolicyFunctionName, fc.Arbitrary<string>> = {
  pathMatch: joined(pathPiece, fc.constantFrom('', '', '/**')),
  spiffeMatch: spiffePattern,
  keyMatch: joined(casbinPiece, fc.constant('')),
  keyMatch2: joined(casbinPiece, fc.constantFrom('', '', '/*')),
  keyMatch3: joined(casbinPiece, fc.constantFrom('', '', '/*')),
  keyMatch4: joined(pathPiece, fc.constantFrom('', '', '/{id}')),
  keyMatch5: joined(casbinPiece, fc.constantFrom('', '', '?', '/*')),
  keyGet: joined(casbinPiece, fc.constant('')),
  keyGet2: joined(casbinPiece, fc.constantFrom('', '/:id')),
  regexMatch: expression,
  ipMatch: network,
  globMatch: glob,
}

/** Patterns for a function, without those that would be refused. */
export function pattern(name: PolicyFunctionName): fc.Arbitrary<string> {
  return raw[name].filter((text) => policyFunction(name)?.patternProblem(text) === undefined)
}

/** What the first argument of a function may be. */
export function matched(name: PolicyFunctionName): fc.Arbitrary<string> {
  if (name === 'spiffeMatch') return fc.oneof({ weight: 9, arbitrary: spiffeId }, { weight: 1, arbitrary: anyPath })
  return name === 'ipMatch' ? addressOrNot : anyPath
}
