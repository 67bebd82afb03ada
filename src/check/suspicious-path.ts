/** Longest path that is decided upon, in bytes. */
export const maxPathBytes = 8192

/** What makes a path suspicious: an application may read it as another path than policy does. */
export const pathClasses = {
  'encoded-slash': 'an encoded slash or backslash (%2f, %5c)',
  backslash: 'a backslash',
  'dot-segment': 'a segment "." or "..", encoded or not',
  semicolon: 'a semicolon, which begins path parameters',
  'double-slash': 'two slashes in a row',
  control: 'a control character, encoded or not',
  'invalid-percent': 'a percent sign without two hexadecimal digits, or a character encoded longer than UTF-8 allows',
  fragment: 'a number sign, which begins a fragment',
} as const

export type PathClass = keyof typeof pathClasses

const patterns: readonly (readonly [PathClass, RegExp])[] = [
  ['encoded-slash', /%(?:2f|5c)/i],
  ['backslash', /\\/],
  ['dot-segment', /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i],
  ['semicolon', /;|%3b/i],
  ['double-slash', /\/\//],
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  ['control', /[\u0000-\u001f\u007f-\u009f]|%(?:[01][0-9a-f]|7f|c2%[89][0-9a-f])/i],
  // Overlong: a lenient decoder reads %c0%af as a slash and %c0%ae as a dot.
  ['invalid-percent', /%(?![0-9a-f]{2})|%c[01]|%e0%[89][0-9a-f]|%f0%8[0-9a-f]/i],
  ['fragment', /#/],
]

/** Says what is suspicious about a path, or undefined. Bytes that are not UTF-8 are refused whatever is allowed. */
export function pathProblem(path: string, allowed: ReadonlySet<PathClass>): string | undefined {
  if (path.includes('\uFFFD')) return 'the path has bytes that are not UTF-8'
  const found = patterns.find(([name, pattern]) => !allowed.has(name) && pattern.test(path))?.[0]
  return found === undefined ? undefined : `the path has ${pathClasses[found]} (${found})`
}
