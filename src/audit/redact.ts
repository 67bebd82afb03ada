/** Longest value that an event carries, in bytes of UTF-8; a longer one is cut and named in `redacted`. */
export const maxValueBytes = 4096
/** Largest record, in bytes of UTF-8. */
export const maxRecordBytes = 64 * 1024

const maxRedacted = 64
const mask = '[masked]'
const shortestSecret = 17

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
// A JWT's header is a JSON object: in base64url it begins with eyJ (`{"`), eyA (`{ `) or ewo (`{` and a newline).
const jwt = /(?:^|[^A-Za-z0-9_-])(?:eyJ|eyA|ewo)[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*/
const longRun = /[A-Za-z0-9_+-]{32,}/g
const hexOnly = /^[0-9a-fA-F]+$/
const wordBreak = /[-_+]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/
const word = /^(?:[A-Z]?[a-z]{0,24}|[A-Z]{1,24})[0-9]{0,24}$/
const generatedSuffix = /^(?:[a-z0-9]{1,12}|[A-Z0-9]{1,4})$/

/**
 * Replaces each segment that looks like a secret: JWTs, and 32 or more hex or base64url characters of high entropy. UUIDs,
 * and names made of words and short generated suffixes (slugs, method names, names of pods), stay. A heuristic: of random
 * base64url texts of 32 characters it lets about 1 in 400 stand, of those of 43 characters 1 in 5,000.
 */
export function maskPath(path: string): { readonly text: string; readonly masked: boolean } {
  if (path.length < shortestSecret) return { text: path, masked: false }
  const segments = path.split('/')
  const shown = segments.map((segment) => (looksSecret(segment) ? mask : segment))
  return { text: shown.join('/'), masked: shown.some((segment, index) => segment !== segments[index]) }
}

function looksSecret(segment: string): boolean {
  if (segment.length < shortestSecret) return false
  const text = segment.replace(/%[0-9A-Fa-f]{2}/g, (code) => String.fromCharCode(parseInt(code.slice(1), 16)))
  return jwt.test(text) || (text.match(longRun) ?? []).some(isRandom)
}

function isRandom(run: string): boolean {
  if (uuid.test(run) || entropy(run) <= 2.8) return false
  if (hexOnly.test(run)) return true
  const pieces = run.split(wordBreak)
  return run.length / pieces.length < 4 || !pieces.every((piece) => word.test(piece) || generatedSuffix.test(piece))
}

/** Shannon entropy in bits per character. */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

/** How much of an event's data a record keeps. */
export interface Limits {
  readonly valueBytes: number
  /** Of a list. */
  readonly items: number
  /** Of an object; no event of the contract comes near it. */
  readonly members: number
  /** Levels of objects and lists. */
  readonly depth: number
}

/**
 * The limits, from what every event gets to what fits a record whatever the data. Ids and digests are shorter than the last
 * but one allows, and every event of the contract fits a record by then.
 */
export const limitSteps = [
  { valueBytes: maxValueBytes, items: 256, members: 256, depth: 16 },
  { valueBytes: 512, items: 64, members: 64, depth: 8 },
  { valueBytes: 128, items: 16, members: 32, depth: 8 },
  { valueBytes: 64, items: 0, members: 32, depth: 1 },
] as const satisfies readonly Limits[]

/**
 * Cuts what is longer than a record may carry, and replaces what UTF-8 cannot say (lone surrogates). Returns the data
 * unchanged where nothing is, else a copy whose `redacted` names each member that was changed, by its path.
 */
export function cutToSize(data: object, limits: Limits = limitSteps[0]): object {
  // Nearly every event fits: looking costs a fraction of copying.
  if (fits(data, limits, limits.depth)) return data
  const cut = new Set<string>()
  const copy = cutObject(data, '', limits, limits.depth, cut) as { redacted?: readonly string[] }
  if (cut.size === 0) return data
  return { ...copy, redacted: [...new Set([...(copy.redacted ?? []), ...cut])].slice(0, maxRedacted) }
}

function fits(value: unknown, limits: Limits, depth: number): boolean {
  if (typeof value === 'string') return fitsBytes(value, limits.valueBytes) && value.isWellFormed()
  if (value === null || typeof value !== 'object') return true
  if (depth === 0) return false
  if (Array.isArray(value)) {
    return value.length <= limits.items && value.every((item) => fits(item, limits, depth - 1))
  }
  const names = Object.keys(value)
  if (names.length > limits.members) return false
  const members = value as Readonly<Record<string, unknown>>
  return names.every((name) => fitsBytes(name, limits.valueBytes) && fits(members[name], limits, depth - 1))
}

/** A UTF-16 unit is at most three bytes: short strings need no count. */
function fitsBytes(text: string, bytes: number): boolean {
  return text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes
}

function cutValue(value: unknown, path: string, limits: Limits, depth: number, cut: Set<string>): unknown {
  if (typeof value === 'string') return cutString(value, path, limits.valueBytes, cut)
  if (value === null || typeof value !== 'object') return value
  if (depth === 0) {
    cut.add(path)
    return Array.isArray(value) ? [] : null
  }
  if (!Array.isArray(value)) return cutObject(value, `${path}.`, limits, depth, cut)
  if (value.length > limits.items) cut.add(path)
  return value.slice(0, limits.items).map((item) => cutValue(item, path, limits, depth - 1, cut))
}

function cutObject(value: object, below: string, limits: Limits, depth: number, cut: Set<string>): object {
  const entries = Object.entries(value)
  const kept = entries.slice(0, limits.members).filter(([name]) => Buffer.byteLength(name) <= limits.valueBytes)
  if (kept.length < entries.length) cut.add(`${below}*`)
  return Object.fromEntries(
    kept.map(([name, member]) => [name, cutValue(member, below + name, limits, depth - 1, cut)]),
  )
}

function cutString(value: string, path: string, valueBytes: number, cut: Set<string>): string {
  const isShort = fitsBytes(value, valueBytes)
  if (isShort && value.isWellFormed()) return value
  cut.add(path)
  return isShort ? value.toWellFormed() : cutText(value, valueBytes)
}

function cutText(text: string, bytes: number): string {
  // Cut on a character: the decoder replaces a torn last one, which is then taken off.
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString()
    .replace(/\uFFFD$/, '')
}
