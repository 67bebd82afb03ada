import type { CheckpointSigner } from '../../audit/checkpoint.ts'
import type { TrailData } from '../../audit/event-data.ts'
import { checkpointEvent, trailEvent } from '../../audit/event.ts'
import { MerkleTree } from '../../audit/merkle.ts'
import { encodeEvent, type EncodedEvent, firstPrevHash, sealRecord } from '../../audit/record.ts'
import type { TrailEnd } from './head.ts'
import type { CheckpointOpening, SpoolState } from '../protocol.ts'
import { digestOf, type Sql } from './sql.ts'

export interface TrailContext {
  readonly sql: Sql
  readonly trail: string
  readonly signer: CheckpointSigner
  readonly checkpoints: Pick<CheckpointOpening, 'everyRecords' | 'everyMs'>
  readonly now: () => Date
  readonly newId: () => string
}

/** The open trail between two transactions. */
export interface TrailMark {
  readonly end: TrailEnd
  readonly edge: Buffer
  readonly bytes: number
  readonly checkpoint: SpoolState['checkpoint']
}

/**
 * The open trail: gives each event its place, keeps the Merkle tree over what it has, and signs it. Writes within the transaction
 * that its caller has begun; where that is rolled back, the caller MUST `restore` what `mark` gave before.
 */
export class OpenTrail {
  readonly #context: TrailContext
  #end: TrailEnd
  #tree = MerkleTree.empty()
  #bytes = 0
  #checkpoint: SpoolState['checkpoint'] = null
  readonly #openedMs: number

  /** Begins after `position`, the last one that was ever used. */
  constructor(context: TrailContext, position: number) {
    this.#context = context
    this.#end = { trail: context.trail, sequence: 0, hash: firstPrevHash, position }
    this.#openedMs = context.now().getTime()
  }

  get end(): TrailEnd {
    return this.#end
  }

  /** Bytes of all lines so far. */
  get bytes(): number {
    return this.#bytes
  }

  get checkpoint(): SpoolState['checkpoint'] {
    return this.#checkpoint
  }

  mark(): TrailMark {
    return { end: this.#end, edge: this.#tree.edge(), bytes: this.#bytes, checkpoint: this.#checkpoint }
  }

  restore({ end, edge, bytes, checkpoint }: TrailMark): void {
    this.#end = end
    this.#tree = MerkleTree.restore(end.sequence, edge)
    this.#bytes = bytes
    this.#checkpoint = checkpoint
  }

  append(events: readonly EncodedEvent[]): void {
    const { sql, trail, now } = this.#context
    let { sequence, hash, position } = this.#end
    for (const event of events) {
      sequence += 1
      position += 1
      const recordedAt = now()
      const record = sealRecord(event, { trail, sequence, prevHash: hash, recordedAt })
      hash = record.hash
      sql.run(
        'INSERT INTO records (position, trail, sequence, recorded_ms, line) VALUES (?, ?, ?, ?, ?)',
        ...[position, trail, sequence, recordedAt.getTime(), record.line],
      )
      this.#tree.append(hash)
      this.#bytes += Buffer.byteLength(record.line)
    }
    this.#end = { trail, sequence, hash, position }
  }

  appendOwn(id: string, data: TrailData): void {
    this.append([encodeEvent(trailEvent(id, this.#context.now(), data))])
  }

  /** A clock that was put back by more than the interval makes one due: the age must not be waited for a second time. */
  get checkpointIsDue(): boolean {
    const { everyRecords, everyMs } = this.#context.checkpoints
    const { sequence } = this.#end
    const { size, at } = this.#checkpoint ?? { size: 0, at: this.#openedMs }
    const age = Math.abs(this.#context.now().getTime() - at)
    return sequence - size >= everyRecords || age >= everyMs
  }

  appendCheckpoint(): void {
    const { trail, signer, now, newId } = this.#context
    const at = now()
    const size = this.#end.sequence
    const note = signer.sign({ origin: trail, size, root: this.#tree.root() })
    this.append([encodeEvent(checkpointEvent(newId(), at, { note }))])
    this.#checkpoint = { size, at: at.getTime() }
  }

  /** Writes the trail's own row. */
  save(closed: boolean): void {
    const { trail, sequence, hash, position } = this.#end
    const values = [sequence, hash, position, closed ? 1 : 0] as const
    this.#context.sql.run(
      `INSERT INTO trails (trail, last_sequence, last_hash, position, closed, digest) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (trail) DO UPDATE SET last_sequence = excluded.last_sequence, last_hash = excluded.last_hash,
           position = excluded.position, closed = excluded.closed, digest = excluded.digest`,
      ...[trail, ...values, digestOf(trail, ...values)],
    )
  }
}
