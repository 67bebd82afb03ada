import { openCheckpoint, type VerifierKey } from '../../audit/checkpoint.ts'
import type { BadCheckpoint, FoundCheckpoint } from './findings.ts'

/**
 * What the note of a checkpoint record is worth by itself: form, signature, trail, and size, which is that of what stands before it.
 * Signatures are not checked where no key is given.
 */
export function readCheckpoint(
  note: string,
  { trail, sequence }: { readonly trail: string; readonly sequence: number },
  keys: readonly VerifierKey[] | undefined,
): FoundCheckpoint | BadCheckpoint {
  const opened = openCheckpoint(note, keys ?? [])
  const unchecked = keys === undefined && !opened.ok && opened.reason === 'unknown-key'
  if (!opened.ok && !unchecked) return { kind: `checkpoint-${opened.reason}`, problem: opened.problem }
  const { checkpoint } = opened
  if (checkpoint === undefined) return { kind: 'checkpoint-malformed', problem: 'the note states nothing' }
  const { origin, size, root } = checkpoint
  if (origin !== trail) {
    return { kind: 'checkpoint-wrong-origin', problem: `the checkpoint is one of another trail, ${origin}` }
  }
  if (size !== sequence - 1) {
    const problem = `the checkpoint covers ${String(size)} records, but ${String(sequence - 1)} stand before it`
    return { kind: 'checkpoint-wrong-size', problem }
  }
  return { size, root: Uint8Array.from(root), signedBy: opened.ok ? opened.signedBy.text : null }
}
