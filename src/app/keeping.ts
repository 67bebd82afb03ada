import { join } from 'node:path'
import { type Settings, settingsDigest } from '../config.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { makeDurableFolder } from '../spool/folder.ts'
import type { SpoolOpening } from '../spool/protocol.ts'
import { Spool } from '../spool/spool.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { reopeningTeller } from '../telemetry/spool.ts'
import { newId } from './ids.ts'
import { checkpointFileOf, type Inputs } from './inputs.ts'
import { readKnownEnds } from './known-ends.ts'
import { openCheckpoints } from './signing.ts'

interface Told {
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * Opens the spool in the data folder, which is made where it is absent; should its file be lost meanwhile, another takes its place.
 * Throws the spool's codes, or KEY_INVALID.
 */
export async function openSpool(
  { settings, sinks }: Pick<Inputs, 'settings' | 'sinks'>,
  version: string,
  { log, metrics }: Told,
): Promise<Spool> {
  const { audit, data, replica, spool } = settings
  makeDataFolder(data)
  const opening: SpoolOpening = {
    dir: spoolDir(settings),
    replica,
    trail: `${replica}-${newId()}`,
    openedId: newId(),
    versions: { countersign: version, node: process.version },
    settings: settingsDigest(settings),
    sinks: Object.keys(sinks),
    retainDeliveredMs: spool.retainDeliveredMs,
    maxBytes: spool.maxBytes,
    checkpoints: openCheckpoints(settings, log),
    known: await readKnownEnds(replica, join(data, 'archive'), checkpointFileOf(settings)),
    distrust: null,
  }
  const keeping = { ...audit, ...spool, requiredSinks: requiredSinks(settings) }
  return Spool.open(opening, keeping, {
    newId,
    now: () => new Date(),
    onMissed: (of, reason) => {
      metrics.count('countersign_events_missed_total', { of, reason })
    },
    onReopening: reopeningTeller(metrics, log),
  })
}

/** Where Kafka has to have a record, every sink of that type has to: an answer is not given while one of them lacks it. */
function requiredSinks({ audit, sinks }: Settings): readonly string[] {
  if (audit.require === 'disk') return []
  return Object.keys(sinks).filter((name) => sinks[name]?.type === 'kafka')
}

export function spoolDir(settings: Settings): string {
  return join(settings.data, 'spool')
}

function makeDataFolder(dir: string): void {
  try {
    makeDurableFolder(dir, 0o700)
  } catch (thrown) {
    throw new CountersignError('SPOOL_FAILED', `data: cannot make ${dir}: ${messageOf(thrown)}`)
  }
}
