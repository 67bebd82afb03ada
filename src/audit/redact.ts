/** Longest value that an event carries, in bytes of UTF-8; a longer one is cut and named in `redacted`. */
export const maxValueBytes = 4096
/** Largest record, in bytes of UTF-8. */
export const maxRecordBytes = 64 * 1024
const maxItems = 256

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const jwt = /^[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*$/
const token = /^(?:[0-9a-fA-F]{32,}|[A-Za-z0-9_-]{32,}={0,2})$/
const mask = '[masked]'

/** Replaces each segment that looks like a secret: JWTs, and 32 or more hex or base64url characters of high entropy; not UUIDs. */
export function maskPath(path: string): { readonly text: string; readonly masked: boolean } {
  if (path.length < 17) return { text: path, masked: false }
  const segments = path.split('/')
  const shown = segments.map((segment) => (looksSecret(segment) ? mask : segment))
  return { text: shown.join('/'), masked: shown.some((segment, index) => segment !== segments[index]) }
}

function looksSecret(segment: string): boolean {
  if (segment.length < 17 || uuid.test(segment)) return false
  return jwt.test(segment) ? entropy(segment) > 3 : token.test(segment) && entropy(segment) > 3
}

/** Shannon entropy in bits per character. */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

/**
 * Cuts what is longer than a record may carry. Returns the data unchanged where nothing is, else a copy whose `redacted`
 * names each member that was cut, by its path.
 */
export function cutToSize(data: object, valueBytes: number = maxValueBytes): object {
  const cut: string[] = []
  const copy = cutValue(data, '', valueBytes, cut) as { redacted?: readonly string[] }
  if (cut.length === 0) return data
  return { ...copy, redacted: [...new Set([...(copy.redacted ?? []), ...cut])] }
}

function cutValue(value: unknown, path: string, valueBytes: number, cut: string[]): unknown {
  if (typeof value === 'string') {
    // A UTF-16 unit is at most three bytes: short strings need no count.
    if (value.length * 3 <= valueBytes || Buffer.byteLength(value) <= valueBytes) return value
    cut.push(path)
    return cutText(value, valueBytes)
  }
  if (Array.isArray(value)) {
    if (value.length > maxItems) cut.push(path)
    return value.slice(0, maxItems).map((item) => cutValue(item, path, valueBytes, cut))
  }
  if (value === null || typeof value !== 'object') return value
  const below = path === '' ? '' : `${path}.`
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, cutValue(member, below + name, valueBytes, cut)]),
  )
}

function cutText(text: string, bytes: number): string {
  // Cut on a character: the decoder replaces a torn last one, which is then taken off.
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString()
    .replace(/\uFFFD$/, '')
}
