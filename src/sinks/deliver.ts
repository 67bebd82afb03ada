import type { Sink } from './sink.ts'
import type { Excerpt } from './excerpt.ts'

/** One sink with its place in the spool; what it needs to go on by itself. */
export interface Lane {
  readonly name: string
  readonly sink: Sink
  /** The sink has every record up to this position. */
  position: number
  /** Which of the spool's files the position belongs to; changes when another one takes its place. */
  file: number
  /** What the sink lost and the lane has not gone back for yet; undefined where there is nothing. A sink says it once. */
  lost: string | undefined
  stopped: boolean
  /** What the spool has for the sink after a position. Rejects with SPOOL_FAILED. */
  readonly read: (after: number) => Promise<Excerpt>
  /** Tells the spool how far the sink has got. */
  readonly delivered: (upTo: number, records: number, mark: string | null) => void
  /**
   * Tells that the sink lost records, and resolves with the position before the oldest record that the spool still has: not
   * before it is certain that delivery would go on from there after a crash too.
   */
  readonly goBack: (lost: string) => Promise<number>
  /** Tells of a delivery that failed; it will be tried again. */
  readonly troubled: (fault: unknown) => void
  /** Resolves when there may be more to read. */
  readonly moreToRead: () => Promise<void>
  /** Resolves when it is time for the next try, after this many failures in a row. */
  readonly nextTry: (failures: number) => Promise<void>
}

/**
 * Delivers the spool to one sink, in order, until the lane is stopped. A record counts as delivered only when the sink has said
 * so; the same records are given again until it does. Where the sink lost what it had, everything that is still here is given again.
 */
export async function deliver(lane: Lane): Promise<void> {
  let failures = 0
  while (!lane.stopped) {
    try {
      if (lane.lost === undefined) await deliverNext(lane)
      if (lane.lost !== undefined) await goBack(lane, lane.lost)
      failures = 0
    } catch (fault) {
      failures += 1
      lane.troubled(fault)
      await lane.nextTry(failures)
    }
  }
  await lane.sink.close().catch(lane.troubled)
}

async function deliverNext(lane: Lane): Promise<void> {
  const { file } = lane
  const { records, upTo } = await lane.read(lane.position)
  if (upTo === lane.position) {
    await lane.moreToRead()
    return
  }
  const outcome = await lane.sink.deliver(records)
  if (outcome.kind === 'lost') {
    lane.lost = outcome.what
    return
  }
  // Positions of a file that is gone say nothing of the one that took its place: its lane was put where that needs it.
  if (lane.file !== file) return
  lane.position = upTo
  lane.delivered(upTo, records.length, outcome.mark)
}

/** Until it resolves, nothing more is given to the sink: it would go on from where it has nothing before. */
async function goBack(lane: Lane, lost: string): Promise<void> {
  lane.position = await lane.goBack(lost)
  lane.lost = undefined
}
