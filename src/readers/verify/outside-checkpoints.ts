import { closeSync, openSync, readSync } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { checkLine } from '../../audit/chain.ts'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { eventTypes } from '../../audit/event.ts'
import { CountersignError, messageOf } from '../../errors.ts'
import { textAt } from '../members.ts'
import { longestLine } from './block.ts'
import type { Expectations } from './expectation.ts'
import { placed, type Place, type Problem, type ProblemKind } from './problem.ts'
import { readCheckpoint } from './read-checkpoint.ts'

const chunkBytes = 1024 * 1024
const newline = 0x0a

/**
 * Adds what checkpoints that were kept outside the trail say to what is expected: each is a record's line, signed by one of `keys`.
 * Returns what is wrong with the lines themselves. A last line that is not ended is being written, and is passed over. Throws
 * INPUT_UNREADABLE.
 */
export function expectCheckpoints(
  file: string,
  keys: readonly VerifierKey[],
  expectations: Expectations,
): readonly Problem[] {
  const problems: Problem[] = []
  let number = 0
  for (const line of readLines(file)) {
    number += 1
    const saidAt = { source: 'checkpoints' as const, file, line: number }
    const problem = expectCheckpoint(line, saidAt, keys, expectations)
    if (problem !== undefined) problems.push({ ...problem, ...saidAt })
  }
  return problems
}

/** The lines that are ended, in bounded memory. */
function* readLines(file: string): Generator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of readChunks(file)) {
    const bytes = Buffer.concat([rest, chunk])
    const end = bytes.lastIndexOf(newline) + 1
    rest = bytes.subarray(end)
    if (rest.length > longestLine) throw unreadable(file, 'has a line that is longer than a record can be')
    const whole = bytes.subarray(0, end)
    if (!isUtf8(whole)) throw unreadable(file, 'is not UTF-8')
    yield* whole.toString().split('\n').slice(0, -1)
  }
}

function* readChunks(file: string): Generator<Buffer> {
  let handle: number | undefined
  try {
    handle = openSync(file, 'r')
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes)
      const length = readSync(handle, chunk)
      if (length === 0) return
      yield chunk.subarray(0, length)
    }
  } catch (thrown) {
    throw unreadable(file, `cannot be read: ${messageOf(thrown)}`, thrown)
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

function unreadable(file: string, problem: string, cause?: unknown): CountersignError {
  return new CountersignError('INPUT_UNREADABLE', `--checkpoints: ${file} ${problem}`, { cause })
}

function expectCheckpoint(
  line: string,
  saidAt: Place,
  keys: readonly VerifierKey[],
  expectations: Expectations,
): Omit<Problem, 'source' | 'file' | 'line'> | undefined {
  const checked = checkLine(line)
  if (!checked.ok) return { kind: 'malformed', trail: null, sequence: null, toSequence: null, problem: checked.problem }
  const { place, record } = checked
  const { trail, sequence, hash } = place
  const wrong = (kind: ProblemKind, problem: string) => ({ kind, trail, sequence, toSequence: null, problem })
  if (record.type !== eventTypes.checkpoint) return wrong('malformed', 'the record is not a checkpoint')
  const read = readCheckpoint(textAt(record, 'note') ?? '', place, keys)
  if ('kind' in read) return wrong(read.kind, read.problem)
  const { size } = read
  const said = { from: 'checkpoints', by: placed(saidAt), saidAt } as const
  const root = Buffer.from(read.root)
  // A checkpoint of a trail without records says nothing.
  if (size > 0) expectations.add(trail, { size, root, ...said })
  expectations.add(trail, { size: sequence, hash, ...said })
  return undefined
}
