import { isUtf8 } from 'node:buffer'
import { checkLine } from '../audit/chain.ts'
import { canName, endOfRecord } from './layout.ts'
import { longestLine } from './line-cutter.ts'

/** A record as it came from outside, checked by itself: its bytes have the hash that it carries, and it can be kept. */
export interface IncomingRecord {
  readonly trail: string
  readonly sequence: number
  readonly prevHash: string
  readonly hash: string
  /** UTC date of its `recordedat`. */
  readonly day: string
  /** Without a newline. */
  readonly line: Buffer
}

export type ReadIncoming =
  { readonly ok: true; readonly record: IncomingRecord } | { readonly ok: false; readonly problem: string }

/** Reads what should be the line of a record. */
export function readIncoming(value: Buffer | null): ReadIncoming {
  if (value === null) return refused('there is no value')
  if (value.length > longestLine) return refused('it is longer than a record may be')
  // A newline would make two lines of it, and bytes that are not UTF-8 could have the right hash as U+FFFD.
  if (value.includes(0x0a)) return refused('it has more than one line')
  if (!isUtf8(value)) return refused('it is not UTF-8')
  const text = value.toString()
  const checked = checkLine(text)
  if (!checked.ok) return refused(checked.problem)
  const end = endOfRecord(text)
  const { trail, sequence, hash, prevHash } = checked.place
  if (end?.trail !== trail || end.sequence !== sequence || end.prevHash !== prevHash) {
    return refused('it does not end with the members that every record ends with')
  }
  if (!canName(trail)) return refused('its trail cannot name a segment')
  if (Number.isNaN(Date.parse(end.day))) return refused('it was recorded on no day')
  return { ok: true, record: { trail, sequence, hash, prevHash, day: end.day, line: value } }
}

function refused(problem: string): ReadIncoming {
  return { ok: false, problem }
}

/** Records of one trail and one day, each the next of the one before. */
export interface Run {
  readonly trail: string
  readonly day: string
  readonly records: readonly IncomingRecord[]
}

/** Arranges records, as they came, into as few runs as can be. What came twice with the same hash is in one of them, once. */
export function arrange(records: readonly IncomingRecord[]): readonly Run[] {
  const trails = new Map<string, Map<number, IncomingRecord[]>>()
  for (const record of records) {
    const places = trails.get(record.trail) ?? new Map<number, IncomingRecord[]>()
    trails.set(record.trail, places)
    const there = places.get(record.sequence)
    if (there === undefined) places.set(record.sequence, [record])
    else if (!there.some(({ hash }) => hash === record.hash)) there.push(record)
  }
  return [...trails.values()].flatMap(runsOf)
}

/** Where several records claim a place, each begins a run beside that of the first. */
function runsOf(places: ReadonlyMap<number, readonly IncomingRecord[]>): Run[] {
  const inOrder = [...places].sort(([a], [b]) => a - b).map(([, there]) => there)
  const runs: IncomingRecord[][] = []
  const depth = inOrder.reduce((most, there) => Math.max(most, there.length), 0)
  for (let layer = 0; layer < depth; layer += 1) {
    let run: IncomingRecord[] = []
    for (const there of inOrder) {
      const record = there[layer]
      if (record === undefined) continue
      if (!follows(run.at(-1), record)) runs.push((run = []))
      run.push(record)
    }
  }
  return runs.map((run) => ({ trail: run[0]?.trail ?? '', day: run[0]?.day ?? '', records: run }))
}

/** Whether a record may stand behind another in a segment. */
export function follows(before: IncomingRecord | undefined, record: IncomingRecord): boolean {
  return before !== undefined && before.sequence + 1 === record.sequence && before.day === record.day
}
