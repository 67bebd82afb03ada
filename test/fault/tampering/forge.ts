import { createCheckpointSigner, type CheckpointSigner } from '../../../src/audit/checkpoint.ts'
import { MerkleTree } from '../../../src/audit/merkle.ts'
import { firstPrevHash, formatSequence, sealRecord, type EncodedEvent } from '../../../src/audit/record.ts'
import { signingKeyPem } from '../../cases/signing-key.ts'
import { ownKeyPem, type DumpLine } from './dump.ts'

/** Of the same name as the true one. */
export const otherSigner = createCheckpointSigner('countersign', signingKeyPem(99))
export const ownSigner = createCheckpointSigner('countersign', ownKeyPem)

interface Parsed {
  readonly type: string
  readonly recordedat: string
  readonly prevhash: string
  readonly hash: string
  readonly data: Record<string, unknown>
}

export function parsed(line: string): Parsed {
  return JSON.parse(line) as Parsed
}

/** The record as somebody would write it who wants it to say something else, with a hash that fits. */
export function edited(
  { trail, sequence, line }: DumpLine,
  more: { readonly prevHash?: string; readonly sequence?: number; readonly event?: string } = {},
): DumpLine {
  const event = more.event ?? eventOf(line).replace(/"time":"2026/, '"time":"2025')
  const { recordedat, prevhash } = parsed(line)
  const place = { trail, sequence: more.sequence ?? sequence, prevHash: more.prevHash ?? prevhash }
  const sealed = sealRecord(event as EncodedEvent, { ...place, recordedAt: new Date(recordedat) })
  return { trail, sequence: place.sequence, line: sealed.line }
}

export function hashOf(line: string): string {
  return line.slice(-66, -2)
}

function eventOf(line: string): string {
  return line.slice(0, line.lastIndexOf(',"source":"/countersign/'))
}

export interface Rewriting {
  /** The first record that is another one. */
  readonly trail: string
  readonly sequence: number
  /** Who signs; left out, the true notes are kept. */
  readonly signer?: CheckpointSigner
  /** What becomes of the first record. */
  readonly first?: (record: DumpLine, prevHash: string) => DumpLine
}

/**
 * Rewrites a replica from one record on, as its owner could: all that follows is chained again, later trails name the new ends, and
 * checkpoints are signed again over the new roots.
 */
export function rewritten(
  lines: readonly DumpLine[],
  { trail, sequence, signer, first }: Rewriting,
): Map<string, string> {
  const fresh = new Map<string, string>()
  const ends = new Map<string, string>()
  let begun = false
  let tree = MerkleTree.empty()
  let prevHash = firstPrevHash
  for (const record of lines) {
    if (record.sequence === 1) {
      tree = MerkleTree.empty()
      prevHash = firstPrevHash
    }
    const isFirst = record.trail === trail && record.sequence === sequence
    begun ||= isFirst
    let line = record.line
    if (isFirst) line = (first ?? ((one, hash) => edited(one, { prevHash: hash })))(record, prevHash).line
    else if (begun) line = chained(record, prevHash, tree, ends, signer)
    fresh.set(keyOf(record), line)
    prevHash = hashOf(line)
    ends.set(record.trail, prevHash)
    tree.append(prevHash)
  }
  return fresh
}

export function keyOf({ trail, sequence }: DumpLine): string {
  return `${trail}/${formatSequence(sequence)}`
}

function chained(
  record: DumpLine,
  prevHash: string,
  tree: MerkleTree,
  ends: ReadonlyMap<string, string>,
  signer: CheckpointSigner | undefined,
): string {
  const { type, data } = parsed(record.line)
  let event = eventOf(record.line)
  if (type.includes('checkpoint') && signer !== undefined) {
    const note = signer.sign({ origin: record.trail, size: tree.size, root: tree.root() })
    event = event.replace(JSON.stringify(data['note']), () => JSON.stringify(note))
  }
  const previous = data['previous'] as { readonly trail: string; readonly hash: string } | null | undefined
  if (previous) event = event.replace(previous.hash, ends.get(previous.trail) ?? previous.hash)
  return edited(record, { prevHash, event }).line
}

/**
 * The lines of a replica from a trail on without checkpoints, chained anew, `stepMs` more between their records; undefined for
 * those that are gone.
 */
export function unsigned(lines: readonly DumpLine[], from: string, stepMs: number): Map<string, string | undefined> {
  const fresh = new Map<string, string | undefined>()
  const ends = new Map<string, { readonly sequence: number; readonly hash: string }>()
  const affected = lines.slice(lines.findIndex(({ trail }) => trail === from))
  for (const record of affected) {
    const { type, data, recordedat } = parsed(record.line)
    fresh.set(keyOf(record), undefined)
    if (type.includes('checkpoint')) continue
    const { sequence, hash } = ends.get(record.trail) ?? { sequence: 0, hash: firstPrevHash }
    let event = eventOf(record.line)
    const previous = data['previous'] as { readonly trail: string; readonly hash: string; sequence: string } | null
    const end = previous ? ends.get(previous.trail) : undefined
    if (previous && end)
      event = event.replace(previous.hash, end.hash).replace(previous.sequence, formatSequence(end.sequence))
    const recordedAt = new Date(Date.parse(recordedat) + sequence * stepMs)
    const place = { trail: record.trail, sequence: sequence + 1, prevHash: hash, recordedAt }
    const sealed = sealRecord(event as EncodedEvent, place)
    fresh.set(keyOf(record), sealed.line)
    ends.set(record.trail, { sequence: sequence + 1, hash: sealed.hash })
  }
  return fresh
}
