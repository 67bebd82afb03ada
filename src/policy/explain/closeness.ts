/**
 * How near a value comes to what a rule has, from 0 to 1: the share of segments that are the same from the left, where a
 * segment that is a wildcard (`*`, `{id}`, `:id`) is the same as any. For paths, SPIFFE IDs and gRPC methods alike.
 */
export function closeness(value: string, wanted: string): number {
  if (value === wanted) return 1
  const [asked, allowed] = [segmentsOf(value), segmentsOf(wanted)]
  const longest = Math.max(asked.length, allowed.length)
  let same = 0
  while (same < longest && sameSegment(asked[same], allowed[same])) same += 1
  return same / longest
}

function segmentsOf(text: string): string[] {
  return text.replace(/^\//, '').split('/')
}

function sameSegment(asked: string | undefined, allowed: string | undefined): boolean {
  if (asked === undefined || allowed === undefined) return false
  return asked === allowed || (asked !== '' && /^(\*+|\{.*\}|:.+)$/.test(allowed))
}

/** Values that a pattern may well match, the likeliest first; none of them is certain to. */
export function samplesOf(pattern: string): readonly string[] {
  const filled = pattern.replace(/\{[^/{}]*\}|(?<=\/):[^/]+/g, 'x')
  const bare = pattern.replace(/^\^|\$$/g, '').replace(/^\(|\)$/g, '')
  return [
    pattern,
    filled.replace(/\/\*\*$/, '').replaceAll('*', 'x'),
    filled.replace(/\*+/g, 'x'),
    filled.replace(/\*+/g, ''),
    pattern.split('/')[0] ?? '',
    ...bare.split('|'),
  ].filter((sample) => sample !== '')
}
