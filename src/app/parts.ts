import { setTimeout as sleep } from 'node:timers/promises'
import type { Policies } from '../policy/in-force/policies.ts'
import type { Delivery } from '../sinks/delivery.ts'
import type { Spool } from '../spool/spool.ts'
import type { PartStates } from '../telemetry/health.ts'
import { type Log, type OpenLog, openLog } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { deliverSpool } from './delivering.ts'
import type { Inputs } from './inputs.ts'
import { openSpool } from './keeping.ts'
import { followPolicy } from './policies.ts'

/** What works behind the ports, from the start of the server to its end. */
export interface Parts extends Inputs {
  readonly log: Log
  readonly closeLog: OpenLog['close']
  readonly metrics: Metrics
  readonly spool: Spool
  readonly delivery: Delivery
  readonly policy: Policies
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortController
}

/** What a stop leaves undone. */
export interface Rest {
  /** Records that stay in the spool. */
  readonly left: number
  /** Events that have no record, and that no gap counts. */
  readonly missed: number
}

/** Starts them, each with what stands before it: nothing is decided before there is a place for its record. */
export async function startParts(inputs: Inputs, version: string): Promise<Parts> {
  const { settings } = inputs
  const { log, close: closeLog } = openLog(settings.log.level, settings.replica)
  const metrics = createMetrics()
  const spool = await openSpool(inputs, version, { log, metrics })
  const delivery = deliverSpool(inputs, { log, metrics, spool })
  const policy = await followPolicy(inputs, { log, metrics, spool })
  return { ...inputs, log, closeLog, metrics, spool, delivery, policy, stopping: new AbortController() }
}

/** Stops them in the reverse order. */
export async function stopParts({ policy, spool, delivery, log }: Parts, graceMs: number): Promise<Rest> {
  await policy.stop()
  const rest = await closeSpool({ spool, delivery }, graceMs)
  if (rest.missed > 0)
    log('error', 'events have no record, and no gap could be written that counts them', { events: rest.missed })
  return rest
}

/** Closes the trail, waits for delivery up to `graceMs`, and lets go of the spool. */
export async function closeSpool(
  { spool, delivery }: Pick<Parts, 'spool' | 'delivery'>,
  graceMs: number,
): Promise<Rest> {
  // A disk that hangs must not keep the process: the trail then stays open, as after a crash.
  await within(graceMs, spool.seal())
  await delivery.stop(spool.status().lastPosition, graceMs)
  await within(graceMs, spool.close())
  // What still waits for a disk that hangs is not known to be kept.
  const { waitingRecords, queued, missed } = spool.status()
  return { left: waitingRecords, missed: missed + queued }
}

/** What health is told of them. */
export function statesOf({ policy, spool, delivery, stopping }: Parts): PartStates {
  return { stopping: stopping.signal.aborted, policy: policy.status(), spool: spool.status(), sinks: delivery.status() }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, sleep(ms, undefined, { signal: done.signal }).catch(() => undefined)])
  done.abort()
}
