import type { ProblemKind } from '../../../src/readers/verify/problem.ts'
import type { DumpLine } from './dump.ts'
import { edited, keyOf, otherSigner, ownSigner, parsed, rewritten, unsigned, type Rewriting } from './forge.ts'

/** What is known of the dump from elsewhere when it is verified. */
export type Knowing = 'nothing' | 'state' | 'outside'

/** A dump that somebody tampered with, and what has to be found first. */
export interface Tampering {
  readonly what: string
  readonly bytes: Buffer
  readonly knowing?: Knowing
  readonly once?: true
  readonly expected: {
    readonly kinds: readonly ProblemKind[]
    /** Line of the dump; left out where the trail is not there any more. */
    readonly line?: number
    readonly trail?: string
    /** A sequence that the problem has to speak of. */
    readonly sequence?: number
  }
}

export type Random = () => number

/** A clean dump, in the order of its lines. */
export class Dump {
  readonly lines: readonly DumpLine[]
  readonly texts: readonly string[]
  readonly trails: readonly string[]
  readonly #lineOf: ReadonlyMap<string, number>

  constructor(lines: readonly DumpLine[]) {
    this.lines = lines
    this.texts = lines.map(({ line }) => line)
    this.trails = [...new Set(lines.map(({ trail }) => trail))]
    this.#lineOf = new Map(lines.map((record, index) => [keyOf(record), index]))
  }

  /** Index of a record's line. */
  at(trail: string, sequence: number): number | undefined {
    return this.#lineOf.get(keyOf({ trail, sequence, line: '' }))
  }

  last(trail: string): DumpLine {
    return this.lines.findLast((record) => record.trail === trail) as DumpLine
  }

  lastCheckpoint(trail: string): DumpLine {
    return this.lines.findLast((record) => record.trail === trail && isCheckpoint(record)) as DumpLine
  }

  replicaOf(trail: string): readonly DumpLine[] {
    return this.lines.filter((record) => record.trail.slice(0, -37) === trail.slice(0, -37))
  }

  /** Whether another trail of the replica follows and names its end. */
  isNamed(trail: string): boolean {
    const own = this.replicaOf(trail)
    return own.at(-1)?.trail !== trail
  }

  /** The first checkpoint of a trail behind a record. */
  checkpointAfter({ trail, sequence }: DumpLine): DumpLine | undefined {
    return this.lines.find((one) => one.trail === trail && one.sequence > sequence && isCheckpoint(one))
  }
}

export function isCheckpoint({ line }: DumpLine): boolean {
  return line.includes('"type":"io.countersign.checkpoint.v1"')
}

export function bytesOf(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\n`).join(''))
}

function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

function pick<T>(random: Random, all: readonly T[]): T {
  return all[below(random, all.length)] as T
}

const altering: readonly ProblemKind[] = ['altered', 'malformed', 'torn']

function flip(dump: Dump, random: Random): Tampering {
  const bytes = bytesOf(dump.texts)
  const at = below(random, bytes.length)
  const line = bytes.subarray(0, at).filter((byte) => byte === 0x0a).length
  const before = bytes[at] as number
  bytes[at] = before ^ (1 + below(random, 255))
  const { trail, sequence } = dump.lines[line] as DumpLine
  // A newline that is gone joins two lines, of two trails perhaps; a new one may leave a text that nobody can assign.
  const isLineEnd = before === 0x0a || bytes[at] === 0x0a
  const what = `byte ${String(at)} flipped to ${String(bytes[at])}`
  return { what, bytes, expected: { kinds: altering, line: line + 1, ...(isLineEnd ? {} : { trail, sequence }) } }
}

function drop(dump: Dump, random: Random): Tampering {
  const index = below(random, dump.lines.length)
  const { trail, sequence } = dump.lines[index] as DumpLine
  const bytes = bytesOf(dump.texts.toSpliced(index, 1))
  const what = `line ${String(index + 1)} dropped`
  const next = dump.at(trail, sequence + 1)
  // What stood behind it has moved up by one.
  if (next !== undefined) return { what, bytes, expected: { kinds: ['missing'], line: next, trail, sequence } }
  const kinds: ProblemKind[] = dump.isNamed(trail) ? ['truncated'] : ['rolled-back']
  const line = (dump.at(trail, sequence - 1) ?? 0) + 1
  return { what, bytes, knowing: dump.isNamed(trail) ? 'nothing' : 'state', expected: { kinds, line, trail, sequence } }
}

function swap(dump: Dump, random: Random): Tampering {
  const { trail } = pick(random, dump.lines)
  const own = dump.lines.filter((record) => record.trail === trail)
  const from = below(random, own.length - 1)
  const [a, b] = [own[from] as DumpLine, own[from + 1 + below(random, own.length - from - 1)] as DumpLine]
  const [atA, atB] = [dump.at(trail, a.sequence) ?? 0, dump.at(trail, b.sequence) ?? 0]
  const bytes = bytesOf(dump.texts.with(atA, b.line).with(atB, a.line))
  const expected = { kinds: ['reordered' as const], line: atA + 1, trail, sequence: a.sequence }
  return { what: `lines ${String(atA + 1)} and ${String(atB + 1)} swapped`, bytes, expected }
}

function double(dump: Dump, random: Random): Tampering {
  const index = below(random, dump.lines.length)
  const to = below(random, dump.lines.length + 1)
  const { trail, sequence, line } = dump.lines[index] as DumpLine
  const bytes = bytesOf(dump.texts.toSpliced(to, 0, line))
  const what = `line ${String(index + 1)} copied to ${String(to + 1)}`
  const between = dump.lines.slice(to, index).some((record) => record.trail === trail)
  const kind: ProblemKind = between ? 'reordered' : 'doubled'
  // Before its place with nothing of its trail between, the copy is as good as the record, which then is the second one.
  const at = to <= index && !between ? index + 2 : to + 1
  const sequences = between ? {} : { sequence }
  return { what, bytes, once: true, expected: { kinds: [kind], line: at, trail, ...sequences } }
}

function insert(dump: Dump, random: Random): Tampering {
  const to = below(random, dump.lines.length + 1)
  const record = pick(random, dump.lines)
  const choice = below(random, 4)
  const put = (line: string): Buffer => bytesOf(dump.texts.toSpliced(to, 0, line))
  const { trail, sequence } = record
  if (choice === 0)
    return {
      what: `no record put in line ${String(to + 1)}`,
      bytes: put('{"hello":"world"}'),
      expected: { kinds: ['malformed'], line: to + 1 },
    }
  if (choice === 1) {
    const far = edited(record, { sequence: sequence + 5000 })
    return {
      what: `a far record put in line ${String(to + 1)}`,
      bytes: put(far.line),
      expected: { kinds: ['inserted', 'missing'], line: to + 1, trail },
    }
  }
  if (choice === 2) {
    const stranger = edited({ ...record, trail: 'web-9-0197a000-0000-7000-8000-00000000abcd' }, { sequence: 7 })
    return {
      what: `a stranger put in line ${String(to + 1)}`,
      bytes: put(stranger.line),
      expected: { kinds: ['missing'], line: to + 1, trail: stranger.trail },
    }
  }
  return forkAt(dump, record, to)
}

/** Another record in the place of one that is there. */
function forkAt(dump: Dump, record: DumpLine, to: number): Tampering {
  const { trail, sequence } = record
  const index = dump.at(trail, sequence) ?? 0
  const bytes = bytesOf(dump.texts.toSpliced(to, 0, edited(record).line))
  const early = dump.lines.slice(to, index).some((one) => one.trail === trail)
  const kinds: ProblemKind[] = early ? ['reordered', 'inserted'] : ['forked']
  const isLast = dump.last(trail).sequence === sequence
  const knowing = isLast && !dump.isNamed(trail) ? 'state' : 'nothing'
  return {
    what: `a fork of line ${String(index + 1)} put in line ${String(to + 1)}`,
    bytes,
    knowing,
    expected: { kinds, line: to + 1, trail },
  }
}

function replace(dump: Dump, random: Random): Tampering {
  const index = below(random, dump.lines.length)
  const record = dump.lines[index] as DumpLine
  const { trail, sequence } = record
  const bytes = bytesOf(dump.texts.with(index, edited(record).line))
  const what = `line ${String(index + 1)} replaced by another record`
  const next = dump.at(trail, sequence + 1)
  if (next === undefined) {
    const knowing = dump.isNamed(trail) ? 'nothing' : 'state'
    return { what, bytes, knowing, expected: { kinds: ['rewritten'], line: index + 1, trail, sequence } }
  }
  const nextLine = dump.lines[next] as DumpLine
  const settled =
    dump.checkpointAfter(record) !== undefined &&
    (isCheckpoint(nextLine) || dump.checkpointAfter(nextLine) !== undefined)
  if (settled) return { what, bytes, expected: { kinds: ['altered'], line: index + 1, trail, sequence } }
  return { what, bytes, expected: { kinds: ['unlinked'], line: next + 1, trail, sequence: sequence + 1 } }
}

function rewriting(dump: Dump, rewriting: Rewriting): Buffer {
  const fresh = rewritten(dump.replicaOf(rewriting.trail), rewriting)
  return bytesOf(dump.lines.map((record) => fresh.get(keyOf(record)) ?? record.line))
}

/** A record that is covered by a checkpoint of its trail, and is none. */
function covered(dump: Dump, random: Random): { readonly record: DumpLine; readonly by: DumpLine } {
  for (;;) {
    const record = pick(random, dump.lines)
    const by = dump.checkpointAfter(record)
    if (by !== undefined && !isCheckpoint(record)) return { record, by }
  }
}

function resign(dump: Dump, random: Random): Tampering {
  const { record, by } = covered(dump, random)
  const hasKey = random() < 0.5
  const bytes = rewriting(dump, { ...record, ...(hasKey ? { signer: otherSigner } : {}) })
  const line = (dump.at(by.trail, by.sequence) ?? 0) + 1
  const { trail } = record
  const what = `${keyOf(record)} rewritten with all behind it, ${hasKey ? 'signed with another key' : 'with the old notes'}`
  const sequence = hasKey ? by.sequence : record.sequence
  const kinds: ProblemKind[] = [hasKey ? 'checkpoint-unknown-key' : 'checkpoint-wrong-root']
  return { what, bytes, expected: { kinds, line, trail, sequence } }
}

function rewriteByOwner(dump: Dump, random: Random): Tampering {
  const { record } = covered(dump, random)
  const knowing = random() < 0.5 ? 'state' : 'outside'
  const bytes = rewriting(dump, { ...record, signer: ownSigner })
  const { trail, sequence } = record
  return {
    what: `${keyOf(record)} rewritten by the key's owner`,
    bytes,
    knowing,
    expected: { kinds: ['rewritten'], trail, sequence },
  }
}

function rollBackCheckpoint(dump: Dump, random: Random): Tampering {
  for (;;) {
    const { record, by } = covered(dump, random)
    const later = dump.checkpointAfter(by)
    if (later?.trail !== record.trail) continue
    const old = JSON.stringify(parsed(by.line).data['note'])
    const first = (one: DumpLine, prevHash: string): DumpLine => {
      const event = one.line.slice(0, one.line.lastIndexOf(',"source":"/countersign/'))
      return edited(one, { prevHash, event: event.replace(JSON.stringify(parsed(one.line).data['note']), () => old) })
    }
    const bytes = rewriting(dump, { trail: later.trail, sequence: later.sequence, first })
    const line = (dump.at(later.trail, later.sequence) ?? 0) + 1
    const { trail, sequence } = later
    return {
      what: `an older note in ${keyOf(later)}`,
      bytes,
      expected: { kinds: ['checkpoint-wrong-size'], line, trail, sequence },
    }
  }
}

/** Cuts off the end, which rolls everything back to an earlier moment: each record that is left is as it was. */
function truncate(dump: Dump, random: Random): Tampering {
  const keep = 1 + below(random, dump.lines.length - 1)
  const left = new Dump(dump.lines.slice(0, keep))
  const bytes = bytesOf(left.texts)
  const knowing = random() < 0.5 ? 'state' : 'outside'
  const lastLine = (trail: string): number => (left.at(trail, left.last(trail).sequence) ?? 0) + 1
  // An outside checkpoint knows of nothing behind itself; an earlier run knows of all.
  const known = (trail: string): number =>
    knowing === 'state' ? dump.last(trail).sequence : dump.lastCheckpoint(trail).sequence
  const [cut] = left.trails
    .filter((trail) => left.last(trail).sequence < known(trail))
    .sort((a, b) => lastLine(a) - lastLine(b))
  if (cut === undefined && left.trails.length === dump.trails.length) return truncate(dump, random)
  const what = `cut off behind line ${String(keep)}`
  const missing = dump.trails.find((trail) => !left.trails.includes(trail))
  const trail = cut ?? missing ?? ''
  const kinds: ProblemKind[] = cut === undefined ? ['missing-trail'] : ['rolled-back', 'truncated']
  const line = cut === undefined ? {} : { line: lastLine(cut) }
  return { what, bytes, knowing, expected: { kinds, trail, ...line } }
}

function dropTrail(dump: Dump, random: Random): Tampering {
  const trail = pick(random, dump.trails)
  const bytes = bytesOf(dump.lines.filter((record) => record.trail !== trail).map(({ line }) => line))
  const named = dump.isNamed(trail)
  const knowing = named && random() < 0.4 ? 'nothing' : random() < 0.5 ? 'state' : 'outside'
  return { what: `${trail} dropped`, bytes, knowing, expected: { kinds: ['missing-trail'], trail } }
}

/**
 * Takes all checkpoints out of a trail, chains the rest anew and says that each took a minute, as whoever has no key could. Later trails name
 * the new end, and lose their checkpoints too.
 */
function unsign(dump: Dump, random: Random): Tampering {
  return withoutCheckpoints(dump, pick(random, dump.lines).trail, 60_000)
}

/** The same with a trail that was closed, in no time. */
function unsignClosed(dump: Dump, random: Random): Tampering {
  const closed = dump.lines.filter(({ line }) => line.includes('"change":"closed"'))
  return withoutCheckpoints(dump, pick(random, closed).trail, 0)
}

function withoutCheckpoints(dump: Dump, trail: string, stepMs: number): Tampering {
  const fresh = unsigned(dump.replicaOf(trail), trail, stepMs)
  const bytes = bytesOf(
    dump.lines.flatMap((record) => fresh.get(keyOf(record)) ?? (fresh.has(keyOf(record)) ? [] : [record.line])),
  )
  return { what: `${trail} and what follows it without checkpoints`, bytes, expected: { kinds: ['unsigned'], trail } }
}

export const tamperings: readonly ((dump: Dump, random: Random) => Tampering)[] = [
  flip,
  flip,
  flip,
  drop,
  swap,
  double,
  insert,
  insert,
  replace,
  resign,
  rewriteByOwner,
  rollBackCheckpoint,
  truncate,
  dropTrail,
  unsign,
  unsignClosed,
]
