import type { CheckpointSigner } from '../../src/audit/checkpoint.ts'
import type { TrailOpened } from '../../src/audit/event-data.ts'
import { checkpointEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { MerkleTree } from '../../src/audit/merkle.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../src/audit/record.ts'
import { signer } from '../cases/signing-key.ts'
import { idOf, timeAt, type MadeRecord, type Writing } from './trails.ts'

/** Where a checkpoint is to be signed. */
export const checkpointHere = Symbol('checkpoint')

/** Makes a trail as `makeTrail` does, with checkpoints where they are asked for. */
export function signedTrail(
  { trail, atMs = 0, stepMs = 1000, previous = null, position = 1 }: Writing,
  events: readonly (AuditEvent | typeof checkpointHere)[],
  by: CheckpointSigner = signer,
): MadeRecord[] {
  const opened: TrailOpened = {
    change: 'opened',
    replica: trail.slice(0, -37),
    previous,
    versions: { countersign: '0.1.0', node: '24' },
    settings: `sha256:${'0'.repeat(64)}`,
    verifierKey: by.verifierKey,
  }
  const tree = MerkleTree.empty()
  let prevHash = firstPrevHash
  return [trailEvent(idOf(1), timeAt(atMs), opened), ...events].map((given, index) => {
    const time = timeAt(atMs + index * stepMs)
    const note = given === checkpointHere ? by.sign({ origin: trail, size: index, root: tree.root() }) : ''
    const event = given === checkpointHere ? checkpointEvent(idOf(2_000_000 + index), time, { note }) : given
    const { line, hash } = sealRecord(encodeEvent(event), { trail, sequence: index + 1, prevHash, recordedAt: time })
    prevHash = hash
    tree.append(hash)
    return { position: position + index, trail, sequence: index + 1, line, hash }
  })
}
