import { readFileSync } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { checkLine } from '../../audit/chain.ts'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { eventTypes } from '../../audit/event.ts'
import { CountersignError, messageOf } from '../../errors.ts'
import { textAt } from '../members.ts'
import type { Expectations } from './expectation.ts'
import { placed, type Place, type Problem, type ProblemKind } from './problem.ts'
import { readCheckpoint } from './read-checkpoint.ts'

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
  const lines = readLines(file)
  return lines.flatMap((line, index) => {
    const saidAt = { source: 'checkpoints' as const, file, line: index + 1 }
    const problem = expectCheckpoint(line, saidAt, keys, expectations)
    return problem === undefined ? [] : [{ ...problem, ...saidAt }]
  })
}

function readLines(file: string): readonly string[] {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (thrown) {
    const message = `--checkpoints: ${file} cannot be read: ${messageOf(thrown)}`
    throw new CountersignError('INPUT_UNREADABLE', message, { cause: thrown })
  }
  if (!isUtf8(bytes)) throw new CountersignError('INPUT_UNREADABLE', `--checkpoints: ${file} is not UTF-8`)
  return bytes.toString().split('\n').slice(0, -1)
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
