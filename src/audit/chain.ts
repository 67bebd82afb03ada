import { hash } from 'node:crypto'

/** Where a record says that it stands. */
export interface RecordPlace {
  readonly trail: string
  readonly sequence: number
  readonly prevHash: string
  readonly hash: string
}

export type CheckedLine =
  | { readonly ok: true; readonly place: RecordPlace; readonly record: ParsedRecord }
  | { readonly ok: false; readonly problem: string }

/** A record as JSON.parse gives it; members of the contract are typed, their values are as trustworthy as the hash. */
export interface ParsedRecord {
  readonly id: string
  readonly type: string
  readonly subject?: string
  readonly time: string
  readonly recordedat: string
  readonly trail: string
  readonly sequence: string
  readonly data: Readonly<Record<string, unknown>>
}

const hashMember = /^,"hash":"([0-9a-f]{64})"\}$/
const hashMemberLength = ',"hash":""}'.length + 64

/** Checks one line of a trail by itself: it is a record, and its bytes have the hash that it carries. */
export function checkLine(line: string): CheckedLine {
  const cut = line.length - hashMemberLength
  const digest = cut > 0 ? hashMember.exec(line.slice(cut))?.[1] : undefined
  if (digest === undefined) return { ok: false, problem: 'the line does not end with a hash' }
  if (hash('sha256', `${line.slice(0, cut)}}`, 'hex') !== digest) {
    return { ok: false, problem: 'the bytes of the record do not have the hash that it carries' }
  }
  return readPlace(line, digest)
}

function readPlace(line: string, digest: string): CheckedLine {
  let record: ParsedRecord & { prevhash: unknown }
  try {
    record = JSON.parse(line) as ParsedRecord & { prevhash: unknown }
  } catch {
    return { ok: false, problem: 'the line is not JSON' }
  }
  const { trail, sequence, prevhash } = record
  if (typeof trail !== 'string' || trail === '') return { ok: false, problem: 'the record names no trail' }
  if (typeof sequence !== 'string' || !/^[0-9]{16}$/.test(sequence)) {
    return { ok: false, problem: 'the record has no sequence of 16 digits' }
  }
  if (!isPlace(Number(sequence))) return { ok: false, problem: 'its sequence is no place in a trail' }
  if (typeof prevhash !== 'string' || !/^[0-9a-f]{64}$/.test(prevhash)) {
    return { ok: false, problem: 'the record has no previous hash' }
  }
  return { ok: true, place: { trail, sequence: Number(sequence), prevHash: prevhash, hash: digest }, record }
}

/** Whether a sequence can be one of a trail: they count from 1, as far as a number counts exactly. */
export function isPlace(sequence: number): boolean {
  return sequence >= 1 && Number.isSafeInteger(sequence)
}
