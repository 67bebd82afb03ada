import { availableParallelism } from 'node:os'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { Assembly } from './assembly.ts'
import { checkHere, checkInThreads, type BlockChecker } from './check-blocks.ts'
import { conclude } from './conclude.ts'
import { missingTrails } from './ends.ts'
import { Expectations } from './expectation.ts'
import { goneFrom } from './gone.ts'
import type { Part } from './part.ts'
import type { Problem } from './problem.ts'
import type { VerifiedTrail } from './verified-trail.ts'

export interface Verification {
  /** `empty`: there is no record, so there is nothing to verify. */
  readonly verdict: 'whole' | 'broken' | 'empty'
  readonly first: Problem | null
  /** The first problem of each trail that is broken, and what no trail can be told of. */
  readonly bad: readonly Problem[]
  readonly trails: readonly VerifiedTrail[]
  readonly notes: readonly string[]
  readonly totals: Totals
}

export interface Totals {
  readonly trails: number
  readonly records: number
  readonly duplicates: number
  readonly segments: number
  /** Of the records' lines. */
  readonly bytes: number
}

export interface VerifyOptions {
  /** Whose signatures are believed; left out where no key is known: then none is checked. */
  readonly keys?: readonly VerifierKey[]
  /** What is known from elsewhere. */
  readonly expectations?: Expectations
  /** Whether a record that comes more than once is a problem everywhere. */
  readonly once?: boolean
  /** Default: one for each core, none of its own for what is small. */
  readonly threads?: number
  /** Called with the bytes that were read so far, and with all that there are, where that is known. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void
}

/** Below this, threads cost more than they save. */
const smallBytes = 16 * 1024 * 1024
/** Blocks under way for each thread: one that it checks, and those that wait for it. */
const blocksAhead = 3

/**
 * Verifies all that stands in these parts: the bytes of each record against its hash, sequence and chain of each trail from its
 * `opened` record, each checkpoint against key and records, and the end of each trail against all that is known of it. MUST name the
 * first record of a trail at which any of that fails. Reads each byte once, in bounded memory.
 */
export async function verifyParts(parts: readonly Part[], options: VerifyOptions = {}): Promise<Verification> {
  const { expectations = new Expectations(), once = false } = options
  const assembly = new Assembly(expectations, once, goneFrom(parts))
  const checker = checkerFor(parts, options, expectations)
  try {
    const bytes = await readAll(parts, checker, assembly, options.onProgress)
    await findWhole(assembly, parts)
    return judge(parts, assembly, { ...options, expectations }, bytes)
  } finally {
    await checker.close()
  }
}

function checkerFor(
  parts: readonly Part[],
  { keys, threads }: VerifyOptions,
  expectations: Expectations,
): BlockChecker {
  const trusted = { keys, sizes: expectations.sizes() }
  const count = threads ?? (lengthOf(parts) < smallBytes ? 0 : availableParallelism())
  return count === 0 ? checkHere(trusted) : checkInThreads(count, trusted)
}

function lengthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { bytes }) => sum + (bytes ?? Infinity), 0)
}

/** Hands out the blocks of all parts and takes the findings in their order. */
async function readAll(
  parts: readonly Part[],
  checker: BlockChecker,
  assembly: Assembly,
  onProgress: VerifyOptions['onProgress'],
): Promise<number> {
  const underWay: (() => Promise<void>)[] = []
  const total = lengthOf(parts)
  let read = 0
  for (const part of parts) {
    for await (const block of part.blocks()) {
      const { bytes, ends, numbers, rows, torn, damaged, day, trail } = block
      read += bytes.length
      const about = { numbers, rows, torn, damaged, trail }
      const asked = checker.check({ bytes, ends, torn, day, trail })
      asked.catch(() => undefined)
      underWay.push(async () => {
        assembly.take(part, about, await asked)
      })
      if (underWay.length > blocksAhead * checker.threads) await underWay.shift()?.()
      onProgress?.(read, Number.isFinite(total) ? total : undefined)
    }
  }
  for (const take of underWay) await take()
  assembly.end()
  return read
}

/** Looks whether the record of a line that is cut short stands whole somewhere else. */
async function findWhole(assembly: Assembly, parts: readonly Part[]): Promise<void> {
  for (const { torn, found } of assembly.bad) {
    const trail = assembly.trails.get(found.trail ?? '')
    const place = torn && trail?.placeOf(torn.expected)
    if (torn === undefined || place === undefined || found.bytes === undefined) continue
    const line = await parts.find(({ name }) => name === place.file)?.lineAt?.(place.line)
    const isItsBeginning = line !== undefined && Buffer.from(line).subarray(0, found.bytes.length).equals(found.bytes)
    if (isItsBeginning) torn.whole = place
  }
}

function judge(
  parts: readonly Part[],
  assembly: Assembly,
  { keys, expectations = new Expectations() }: VerifyOptions,
  bytes: number,
): Verification {
  const { trails, problems, notes } = conclude(assembly, keys !== undefined)
  const missing = missingTrails(assembly, expectations, parts)
  const bad = inOrder([...problems, ...missing.problems], parts)
  const totals = {
    trails: trails.length,
    records: sum(trails.map(({ records }) => records)),
    duplicates: sum(trails.map(({ duplicates }) => duplicates)),
    segments: parts.filter(({ source }) => source === 'archive').length,
    bytes,
  }
  const verdict = bad.length > 0 ? 'broken' : totals.records === 0 ? 'empty' : 'whole'
  return { verdict, first: bad[0] ?? null, bad, trails, notes: [...notes, ...missing.notes], totals }
}

/** Problems in the order in which they are met: of the parts, then of the lines. */
function inOrder(problems: readonly Problem[], parts: readonly Part[]): readonly Problem[] {
  const order = new Map(parts.map(({ name }, index) => [name, index]))
  const partOf = ({ file }: Problem): number => order.get(file) ?? parts.length
  return problems.toSorted((a, b) => partOf(a) - partOf(b) || a.line - b.line)
}

/** The result with what was found beside the records. */
export function withMore(
  result: Verification,
  { bad, notes }: { readonly bad: readonly Problem[]; readonly notes: readonly string[] },
): Verification {
  const all = [...result.bad, ...bad]
  const verdict = bad.length > 0 ? 'broken' : result.verdict
  return { ...result, verdict, bad: all, first: all[0] ?? null, notes: [...notes, ...result.notes] }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
