import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import type { VerifierKey } from '../audit/checkpoint.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { readVerifierKeys } from '../keys/verifier-keys.ts'
import { checkProof, parseProofs, type CheckedProof } from '../readers/proof.ts'
import { counted, visible, type Io } from './print.ts'
import { recordText } from './record-text.ts'

interface ProofOptions {
  /** File with one proof, or several. */
  readonly proof: string
  /** File with the keys that are trusted. */
  readonly keys?: string
  /** What compares whole trails: a proof has none. */
  readonly state?: string
  readonly checkpoints?: string
  readonly json?: true
}

/**
 * Checks proofs by themselves, against nothing but the keys. Returns the exit status: 0 where every one holds, 1 where one does not, 2
 * where nothing was judged, because a file cannot be read or no keys are given: a proof that is checked against no key proves nothing.
 */
export function verifyProof(io: Io, options: ProofOptions): number {
  const { keys, state, checkpoints } = options
  try {
    if (state !== undefined || checkpoints !== undefined) {
      throw new CountersignError('USAGE', '--proof is checked by itself, without --state and --checkpoints')
    }
    if (keys === undefined) {
      throw new CountersignError('USAGE', '--proof needs --keys FILE: without a trusted key, a proof proves nothing')
    }
    return judge(io, options, readVerifierKeys(keys))
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    for (const line of fault.message.split('\n')) io.err(`${fault.code}: ${visible(line)}`)
    return 2
  }
}

function judge(io: Io, { proof: file, json }: ProofOptions, keys: readonly VerifierKey[]): number {
  const parsed = parseProofs(readProofs(file))
  const results = parsed.ok
    ? parsed.value.map((proof) => checkProof(proof, keys))
    : [{ ok: false, problem: `${file} is no proof: ${parsed.problem}` } as const]
  const proven = results.every(({ ok }) => ok)
  io.out(json === true ? JSON.stringify(reportOf(results, proven)) : results.map(textOf).join('\n'))
  return proven ? 0 : 1
}

function readProofs(file: string): string {
  try {
    const bytes = readFileSync(file)
    // What is not UTF-8 is no proof; an empty text tells so.
    return isUtf8(bytes) ? bytes.toString() : ''
  } catch (thrown) {
    throw new CountersignError('USAGE', `--proof: ${file} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

function textOf(result: CheckedProof): string {
  if (!result.ok) return `NOT PROVEN: ${visible(result.problem)}`
  const { record, checkpoint, signedBy } = result
  const size = counted(checkpoint.size, 'record')
  return [
    `Proven: ${visible(recordText(record))},`,
    `  recorded ${visible(record.recordedat)}, is among the first ${size} that ${visible(signedBy.text)} signed.`,
  ].join('\n')
}

function reportOf(results: readonly CheckedProof[], proven: boolean): object {
  return {
    verdict: proven ? 'proven' : 'not-proven',
    proofs: results.map((result) => {
      if (!result.ok) return { proven: false, problem: result.problem }
      const { place, checkpoint, signedBy, record } = result
      const { trail, sequence, hash } = place
      return { proven: true, trail, sequence, hash, size: checkpoint.size, signedBy: signedBy.text, record }
    }),
  }
}
