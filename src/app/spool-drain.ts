import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config.ts'
import { CountersignError } from '../errors.ts'
import { isLeftBehind, type LeftBehind, readLeftBehind } from '../spool/left-behind.ts'
import type { Spool } from '../spool/spool.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { deliverSpool } from './delivering.ts'
import { type Inputs, readSinks } from './inputs.ts'
import { openSpool } from './keeping.ts'
import { closeSpool } from './parts.ts'

/** How far the draining of a spool has got. */
export interface DrainProgress {
  /** Records that at least one sink lacks. */
  readonly left: number
  /** What keeps sinks from taking them, by the sink's name. */
  readonly troubles: ReadonlyMap<string, string>
}

export interface DrainOptions {
  /** Gives up when no sink has taken anything for so long. */
  readonly patienceMs: number
  /** Gives up at once. */
  readonly stop: AbortSignal
  readonly onProgress: (progress: DrainProgress) => void
}

const pollMs = 200

/**
 * Delivers what a replica that is gone left in its data folder: takes its spool under its own name, with a trail of its own, and lets go of
 * it when every sink has everything. A file that is damaged or gone is replaced first, as at every opening. Resolves with how many
 * records stay. Throws USAGE where there is no spool, CONFIG_INVALID where the settings lack a sink that it waits for, and the spool's
 * codes.
 */
export async function drainSpool(
  dir: string,
  settingsFor: (data: string, replica: string) => Settings,
  version: string,
  options: DrainOptions,
): Promise<{ readonly left: number; readonly replica: string }> {
  const data = dataFolderOf(dir)
  const found = readLeftBehind(join(data, 'spool'))
  if (found === undefined || found.replica === null) throw noSpool(dir)
  const { replica } = found
  if (found.isReadable && found.lacking.length === 0) return { left: 0, replica }
  const settings = settingsFor(data, replica)
  const inputs = { settings, sinks: readSinks(settings) }
  refuseForgotten(dir, found, Object.keys(inputs.sinks))
  const left = await drain(inputs, version, options)
  return { left, replica }
}

async function drain(
  inputs: Pick<Inputs, 'settings' | 'sinks'>,
  version: string,
  { patienceMs, stop, onProgress }: DrainOptions,
): Promise<number> {
  const { settings } = inputs
  const told = { log: () => undefined, metrics: createMetrics() }
  const spool = await openSpool(inputs, version, told)
  const delivery = deliverSpool(inputs, { ...told, spool })
  const progress = (): DrainProgress => ({
    left: spool.status().waitingRecords,
    troubles: new Map(
      [...delivery.status()].flatMap(([sink, { problem }]) => (problem === null ? [] : [[sink, problem.message]])),
    ),
  })
  await untilDrained(spool, patienceMs, stop, () => {
    onProgress(progress())
  })
  const { left } = await closeSpool({ spool, delivery }, stop.aborted ? 0 : settings.shutdown.graceMs)
  onProgress({ ...progress(), left })
  return left
}

/** The trail's own records come as delivery goes on: what counts is that what waits becomes less. */
async function untilDrained(spool: Spool, patienceMs: number, stop: AbortSignal, tell: () => void): Promise<void> {
  let [least, sinceMs] = [Infinity, performance.now()]
  while (!stop.aborted) {
    const { waitingRecords } = spool.status()
    tell()
    if (waitingRecords === 0) return
    if (waitingRecords < least) [least, sinceMs] = [waitingRecords, performance.now()]
    if (performance.now() - sinceMs > patienceMs) return
    await sleep(pollMs, undefined, { signal: stop }).catch(() => undefined)
  }
}

/** The data folder, also where its `spool/` itself is named. */
function dataFolderOf(dir: string): string {
  const path = resolve(dir)
  const isSpool = basename(path) === 'spool' && isLeftBehind(path)
  return isSpool ? dirname(path) : path
}

function noSpool(dir: string): CountersignError {
  return new CountersignError('USAGE', `there is no spool in ${dir}: give the data folder of the replica that is gone`)
}

/** A sink that the settings do not name would be forgotten, with what it lacks. */
function refuseForgotten(dir: string, { lacking }: LeftBehind, sinks: readonly string[]): void {
  const forgotten = lacking.filter((sink) => !sinks.includes(sink))
  if (forgotten.length === 0) return
  const message = `the spool in ${dir} has records for ${forgotten.join(', ')}, which the settings do not name; they name ${sinks.join(', ')}`
  throw new CountersignError('CONFIG_INVALID', `sinks: ${message}`)
}
