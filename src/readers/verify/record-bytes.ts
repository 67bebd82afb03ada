import { hash } from 'node:crypto'
import { checkLine, isPlace, type ParsedRecord } from '../../audit/chain.ts'
import { isPlainJson } from './json-bytes.ts'
import type { ProblemKind } from './problem.ts'

/** A record that is sound in itself: it is JSON, and its bytes have the hash that it carries. */
export interface SoundRecord {
  readonly ok: true
  readonly trail: string
  readonly sequence: number
  readonly prevHash: string
  readonly hash: string
  readonly recordedAt: string
  /** Set where its type is one that verification reads. */
  readonly record: ParsedRecord | undefined
}

/** A line that is no sound record, with the place that it claims, as far as it can be read. */
export interface UnsoundLine {
  readonly ok: false
  readonly kind: ProblemKind
  readonly problem: string
  readonly trail: string | null
  readonly sequence: number | null
}

// The end of a record has fixed lengths (audit/record.ts), so that its place is found from there.
const hashLength = 64
const hashTail = hashLength + 2
const hashMember = ',"hash":"'
const hashAt = hashTail + hashMember.length
const prevHashMember = ',"prevhash":"'
const prevHashAt = hashAt + hashLength + 1 + prevHashMember.length
const sequenceMember = '","sequence":"'
const sequenceAt = prevHashAt + 16 + 1 + sequenceMember.length
const trailMember = '","trail":"'
const recordedAtMember = '"recordedat":"'
const timeLength = '2026-11-22T10:00:00.000Z'.length

const typeAt = '{"specversion":"1.0","id":"01234567-0123-7123-8123-012345678901'.length
/** Types that verification does not read. What is not exactly one of these is parsed. */
const passedOver = ['decision', 'access', 'policy'].map((name) => `","type":"io.countersign.${name}.v1",`)
const longestType = Math.max(...passedOver.map(({ length }) => length))
const longestTrail = 256

/**
 * Reads the records of a block. It holds the trail that it met last: most lines belong to that one. It changes one byte of a line
 * while it looks at it, and puts it back.
 */
export class RecordReader {
  readonly #bytes: Buffer
  readonly #isUtf8: boolean
  #trail = ''
  #trailText = ''
  /** Of the record that was read last. */
  #hash = ''

  /** `bytes` must be UTF-8 as a whole where `isUtf8` says so. */
  constructor(bytes: Buffer, isUtf8: boolean) {
    this.#bytes = bytes
    this.#isUtf8 = isUtf8
  }

  /** What the line from `start` to `end`, without a newline, is worth by itself. */
  read(start: number, end: number): SoundRecord | UnsoundLine {
    // A text once, for all that is looked at in it: calls out of JavaScript are what costs here.
    const tail = this.#bytes.toString('latin1', Math.max(start, end - sequenceAt), end)
    const cut = end - hashAt
    if (cut <= start || !tail.startsWith(hashMember, tail.length - hashAt)) {
      return this.#unsound('malformed', 'the line does not end with a hash', start, end)
    }
    const digest = this.#digestOf(start, cut)
    if (!tail.startsWith(digest, tail.length - hashTail)) {
      return this.#unsound('altered', 'the bytes of the record do not have the hash that it carries', start, end)
    }
    const sound = this.#quickly(start, end, tail, digest)
    if (sound !== undefined) this.#hash = digest
    return sound ?? this.#thoroughly(start, end)
  }

  /** The place that a line claims, for a line that is not sound. */
  claim(start: number, end: number): { readonly trail: string | null; readonly sequence: number | null } {
    const text = this.#bytes.toString('latin1', Math.max(start, end - sequenceAt - longestTrail), end)
    const [, trail, sequence] =
      /"trail":"([\w.-]+)","sequence":"([0-9]{16})","prevhash":"[^"]*","hash":/.exec(text) ?? []
    return { trail: trail ?? null, sequence: isPlace(Number(sequence)) ? Number(sequence) : null }
  }

  /** The hash that the bytes before a line's hash member have. */
  #digestOf(start: number, cut: number): string {
    const bytes = this.#bytes
    const comma = bytes[cut] as number
    bytes[cut] = 0x7d
    const digest = hash('sha256', bytes.subarray(start, cut + 1), 'hex')
    bytes[cut] = comma
    return digest
  }

  /**
   * Reads a record whose last members are those that writers give it, in their order. In sound JSON these bytes cannot be part of a
   * text or of an object within: then they are the record's own members, and the last of their names, as JSON.parse would find them.
   */
  #quickly(start: number, end: number, tail: string, digest: string): SoundRecord | undefined {
    const sequence = sequenceIn(tail)
    const prevHash = this.#prevHashIn(tail)
    if (sequence === undefined || !isPlace(sequence) || prevHash === undefined || !tail.endsWith('"}')) return undefined
    const trail = this.#trailBefore(start, end - sequenceAt)
    if (trail === undefined) return undefined
    const timeEnd = end - sequenceAt - trail.length - trailMember.length
    const member = timeEnd - timeLength - recordedAtMember.length
    if (member <= start) return undefined
    const time = this.#bytes.toString('latin1', member, timeEnd)
    if (!time.startsWith(recordedAtMember)) return undefined
    if (!this.#isUtf8 || !isPlainJson(this.#bytes, start, end)) return undefined
    const recordedAt = time.slice(recordedAtMember.length)
    return { ok: true, trail, sequence, prevHash, hash: digest, recordedAt, record: this.#parsed(start, end) }
  }

  /** Most records name the one that was read before them. */
  #prevHashIn(tail: string): string | undefined {
    const at = sequenceAt - prevHashAt + prevHashMember.length
    if (!tail.startsWith(`"${prevHashMember}`, at - prevHashMember.length - 1)) return undefined
    if (tail[at + hashLength] !== '"') return undefined
    if (this.#hash !== '' && tail.startsWith(this.#hash, at)) return this.#hash
    const named = tail.slice(at, at + hashLength)
    return /^[0-9a-f]{64}$/.test(named) ? named : undefined
  }

  /** The trail's id that ends here. */
  #trailBefore(start: number, end: number): string | undefined {
    const bytes = this.#bytes
    const from = end - this.#trailText.length
    if (this.#trail !== '' && from > start && bytes.toString('latin1', from, end) === this.#trailText)
      return this.#trail
    const text = bytes.toString('latin1', Math.max(start, end - longestTrail), end)
    const trail = /","trail":"([\w.-]+)$/.exec(text)?.[1]
    if (trail === undefined) return undefined
    this.#trail = trail
    this.#trailText = `${trailMember}${trail}`
    return trail
  }

  #parsed(start: number, end: number): ParsedRecord | undefined {
    const at = start + typeAt
    const type = this.#bytes.toString('latin1', at, at + longestType)
    if (passedOver.some((known) => type.startsWith(known))) return undefined
    return JSON.parse(this.#bytes.toString('utf8', start, end)) as ParsedRecord
  }

  /** Reads whatever was not written in the usual form; also says what is wrong with it. */
  #thoroughly(start: number, end: number): SoundRecord | UnsoundLine {
    const text = this.#bytes.toString('utf8', start, end)
    // Bytes that are not UTF-8 would be read as U+FFFD, and could then have the right hash.
    if (!this.#isUtf8 && !Buffer.from(text).equals(this.#bytes.subarray(start, end))) {
      return this.#unsound('malformed', 'the line is not UTF-8', start, end)
    }
    if (/[\n\r]/.test(text)) return this.#unsound('malformed', 'a line break stands within the record', start, end)
    const checked = checkLine(text)
    if (!checked.ok) return this.#unsound('malformed', checked.problem, start, end)
    const { place, record } = checked
    return { ok: true, ...place, recordedAt: typeof record.recordedat === 'string' ? record.recordedat : '', record }
  }

  #unsound(kind: ProblemKind, problem: string, start: number, end: number): UnsoundLine {
    return { ok: false, kind, problem, ...this.claim(start, end) }
  }
}

/** The sequence in the end of a record, from its sequence's member on. */
function sequenceIn(tail: string): number | undefined {
  if (tail.length !== sequenceAt || !tail.startsWith(sequenceMember)) return undefined
  let sequence = 0
  for (let at = sequenceMember.length; at < sequenceMember.length + 16; at += 1) {
    const digit = tail.charCodeAt(at) - 0x30
    if (digit < 0 || digit > 9) return undefined
    sequence = 10 * sequence + digit
  }
  return sequence
}
