import fc from 'fast-check'

/** A pattern, and values that were made from it, so that they match often. */
export interface Sample {
  readonly pattern: string
  readonly values: readonly string[]
}

/** How many values a sample has: it takes longer to make sense of a pattern than to match it. */
export const valuesPerPattern = 8

/** A piece of a pattern, and texts that could stand in a value for it. */
type Piece = readonly [pattern: string, ...texts: string[]]

/** Pieces in a row; in the values some are replaced by what does not belong there. */
function samples(pieces: readonly Piece[], maxLength: number): fc.Arbitrary<Sample> {
  const chosen = fc.constantFrom(...pieces).chain(([pattern, ...texts]) => {
    const stray = fc.constantFrom(...strays)
    const text = fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...texts) }, { weight: 1, arbitrary: stray })
    return several(text).map((values): Sample => ({ pattern, values }))
  })
  return fc.array(chosen, { minLength: 1, maxLength }).map((all) => all.reduce(joined))
}

function several(value: fc.Arbitrary<string>): fc.Arbitrary<string[]> {
  return fc.array(value, { minLength: valuesPerPattern, maxLength: valuesPerPattern })
}

function joined(a: Sample, b: Sample): Sample {
  return { pattern: a.pattern + b.pattern, values: a.values.map((value, index) => value + (b.values[index] ?? '')) }
}

function withStart(pattern: string, value: string, sample: fc.Arbitrary<Sample>): fc.Arbitrary<Sample> {
  return sample.map((rest) => joined({ pattern, values: rest.values.map(() => value) }, rest))
}

const strays = ['', '/', 'a', '.', '\n', '\u2028', '😀', '\ud83d', '?', '//', '*', ':a', '{a}', '/..', 'é', '%2f', ' ']

const keyPieces: readonly Piece[] = [
  ['/', '/', '/', '//'],
  ['a', 'a'],
  ['ab', 'ab'],
  ['.', '.', 'x', '/'],
  ['/*', '/', '/a', '/a/b', '/.'],
  ['/foo', '/foo'],
  ['/bar', '/bar'],
  ['*', '', 'aa', 'b', '/'],
  ['\\.', '.'],
]

/** For keyMatch and keyGet. */
export const keySamples = samples([...keyPieces, ['/**', '/a'], ['**', '']], 6)

const oddKeyPieces: readonly Piece[] = [
  ['+', 'a', ''],
  ['?', '', '?', '?x=/1'],
  ['[ab]', 'a', 'b'],
  ['[^x]', 'y', '/'],
  ['|', '|', ''],
  ['(a)', 'a'],
  ['(a|b)', 'a'],
  ['\\d', '1'],
  ['$', ''],
  ['^', ''],
  ['😀', '😀'],
  ['é', 'é'],
  [' ', ' '],
  ['\n', '\n'],
]

function keyPatterns(names: readonly Piece[]): fc.Arbitrary<Sample> {
  const named = [...names, ...names, ...names]
  const clean: readonly Piece[] = [...named, ['/foo', '/foo'], ['/a', '/a'], ['.', '.', 'y', '/'], ['\\.', '.']]
  const tail = samples(
    [
      ['', '', '?x=/1', '?'],
      ['/*', '/', '/a/b', '/a\nb'],
      ['/', '/'],
    ],
    1,
  )
  const tidy = fc.tuple(samples(clean, 5), tail).map(([start, end]) => joined(start, end))
  return fc.oneof(tidy, samples([...named, ...keyPieces, ...oddKeyPieces], 6))
}

/** For keyMatch2 and keyGet2. */
export const colonSamples = fc.oneof(
  {
    weight: 20,
    arbitrary: keyPatterns([
      ['/:a', '/x', '/yy', '/a.b', '/'],
      ['/:id', '/x', '/1'],
      ['/:a*', '/x'],
      ['/x:y', '/x:y', '/xz'],
      ['spiffe://', 'spiffe://'],
    ]),
  },
  { weight: 1, arbitrary: samples([['*', 'a/b', 'a\nb', '']], 1) },
)

/** For keyMatch3 to keyMatch5. */
export const braceSamples = keyPatterns([
  ['/{a}', '/x', '/yy', '/x', '/'],
  ['/{id}', '/x', '/1', '/x'],
  ['/{a b}', '/x'],
  ['/x{y}', '/xyy', '/x{y}'],
  ['{2}', '', 'a'],
])

const regexPieces: readonly Piece[] = [
  ['^', ''],
  ['$', ''],
  ['a', 'a'],
  ['/', '/'],
  ['/foo', '/foo'],
  ['b', 'b'],
  ['.', 'x', '\r', '\u2028', '\ud83d', '/'],
  ['.*', 'abc', '/x/y', '\n'],
  ['[^/]+', 'abc', '/', '😀'],
  ['[a-c]', 'b', 'd'],
  ['[^a-c]', 'x', '\n'],
  ['[]', ''],
  ['[^]', '\n', '\ud83d'],
  ['[\\w-.]', '-', 'b', '.'],
  ['[\\b]', '\b'],
  ['[\\s\\S]', 'x', '\ud83d'],
  ['[a\\]]', ']'],
  ['[😀]', '😀', '\ud83d'],
  ['\\d', '1', '٣'],
  ['\\D', 'x'],
  ['\\w', 'w', 'ſ', 'é'],
  ['\\W', 'é', ' '],
  ['\\s', ' ', '\ufeff', '\u00a0', '\v', '\u180e'],
  ['\\S', 'x'],
  ['\\b', '', ' '],
  ['\\B', ''],
  ['\\x41', 'A'],
  ['\\u0041', 'A'],
  ['\\u{2}', 'uu', '\u0002'],
  ['\\u00', 'u00'],
  ['\\p{L}', 'p{L}', 'L'],
  ['\\cA', '\u0001'],
  ['\\0', '\0'],
  ['\\/', '/'],
  ['\\-', '-'],
  ['\\😀', '😀'],
  ['\\n', '\n'],
  ['\\ud83d', '\ud83d', '😀'],
  ['😀', '😀', '\ud83d\ude00\ude00'],
  ['(?:a|b)+', 'ab', 'a'],
  ['(a|bc)*d', 'bcad', 'd'],
  ['(?<n>x)?', 'x', ''],
  ['(?:^|/)a', 'a', '/a'],
  ['(?:b$|c)', 'b', 'c'],
  ['(?:a{2,3}){1,2}', 'aaaa', 'a'],
  ['(?:a*)*', '', 'aa'],
  ['(?:\\b|x)*', '', 'x'],
  ['(|a)+', 'a'],
  ['(/[^/]+)+', '/a/b', '/'],
  ['(?=a)', ''],
  ['(?<!a)', ''],
  ['\\1', ''],
  ['\\01', '\u0001'],
  ['(', 'a'],
  [')', ''],
  ['|', '', 'a'],
  ['*', '', 'aa'],
  ['+', '', 'aa'],
  ['?', ''],
  ['*?', ''],
  ['{2}', 'a'],
  ['{1,}', 'a'],
  ['{0,3}', 'aa'],
  ['{,2}', '{,2}'],
  ['{', '{'],
  ['}', '}'],
  [']', ']'],
  ['k', 'k', 'K', 'K'],
]

/** For regexMatch. */
export const regexSamples = fc.oneof(
  samples(regexPieces, 8),
  withStart('^/a/', '/a/', samples([...regexPieces, ['$', '']], 4)),
  withStart('^(?:/foo/', '/foo/', samples([...regexPieces, [')', '']], 4)),
)

const globPieces: readonly Piece[] = [
  ['/', '/', '/', '//'],
  ['/', '/'],
  ['/a', '/a', '/a/'],
  ['/b', '/b'],
  ['a', 'a'],
  ['*', '', 'a', 'b.c', '.a'],
  ['/*', '/x', '/.x', '/'],
  ['/*/', '/x/', '//x//'],
  ['/**', '/x/y', '', '/', '/.x'],
  ['/**/', '/x/y/', '/', '/.x/'],
  ['**/', 'x/', '', '/'],
  ['?', 'x', '.', '\ud83d'],
  ['.', '.'],
  ['/.', '/.', '/..'],
  ['.*', '.x', '.', '..'],
  ['*.js', 'a.js', '.js', 'js'],
  ['/?.x', '/a.x', '/..x'],
  ['[ab]', 'a', 'c'],
  ['[!a]', 'b', '.', 'a', '\n'],
  ['[^a]', 'b', '/'],
  ['[a-c]', 'b'],
  ['[c-a]', 'b'],
  ['[+-9]', '/', '5'],
  ['[*]', '*'],
  ['[a-]', '-'],
  ['[]a]', ']'],
  ['[-a]', '-'],
  ['[', '['],
  [']', ']'],
  ['{a,b}', 'a', 'b'],
  ['{a,b/c}', 'b/c'],
  ['{,x}', '', 'x'],
  ['{a,{b,*}}', 'z', 'a'],
  ['{/a,/**}', '/a', '/q/r'],
  ['{a}', '{a}', 'a'],
  ['{1..3}', '2'],
  ['{', '{'],
  ['}', '}'],
  ['(', '('],
  ['+', '+'],
  ['!', '!'],
  ['$', '$'],
  ['#', '#'],
  ['\n', '\n'],
  ['😀', '😀'],
  ['é', 'é'],
]

/** For globMatch. */
export const globSamples = fc.oneof(
  samples(globPieces, 6),
  samples(globPieces.slice(0, 12), 6),
  withStart('/a', '/a', samples(globPieces, 4)),
)

const groups = fc.array(fc.constantFrom('0', '1', 'ffff', 'abcd', '00'), { minLength: 1, maxLength: 8 })
const address6 = fc
  .tuple(groups, groups, fc.constantFrom('::', ':'), fc.constantFrom('', '1.2.3.4'))
  .map(([a, b, middle, end]) => [a.join(':') + middle + b.join(':'), end].filter((part) => part !== '').join(':'))
const octet = fc.constantFrom('0', '1', '10', '127', '128', '192', '255', '256', '01')
const address4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'))
const near = (address: string): fc.Arbitrary<string> =>
  fc.oneof(fc.constant(address), fc.constant(address.replace(/[0-9a-f]$/, '7')), fc.constant(address.replace('1', '0')))

/** For ipMatch. */
export const ipSamples: fc.Arbitrary<Sample> = fc
  .oneof(address4, address6, fc.constantFrom('::', '::1', '1::', '::ffff:1.2.3.4', 'x', 'fe80::1%1'))
  .chain((address) => {
    const bits = fc.oneof(
      fc.nat(130).map((count) => `/${String(count)}`),
      fc.constantFrom('', '', '/x', '/'),
    )
    const values = several(fc.oneof(near(address), address4, address6))
    return fc.record({ pattern: bits.map((end) => address + end), values })
  })
