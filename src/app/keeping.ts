import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Settings, settingsDigest } from '../config.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { Spool } from '../spool/spool.ts'
import { newId } from './ids.ts'

/** Opens the spool in the data folder, which is made where it is absent. Throws the spool's codes. */
export async function openSpool(settings: Settings, version: string): Promise<Spool> {
  makeDataFolder(settings.data)
  const { audit, replica, spool } = settings
  const opening = {
    dir: spoolDir(settings),
    replica,
    trail: `${replica}-${newId()}`,
    openedId: newId(),
    versions: { countersign: version, node: process.version },
    settings: settingsDigest(settings),
    sinks: Object.keys(settings.sinks),
    retainDeliveredMs: spool.retainDeliveredMs,
  }
  return Spool.open(opening, { ...audit, maxBytes: spool.maxBytes }, { newId, now: () => new Date() })
}

export function spoolDir(settings: Settings): string {
  return join(settings.data, 'spool')
}

function makeDataFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw new CountersignError('SPOOL_FAILED', `data: cannot make ${dir}: ${messageOf(thrown)}`)
  }
}
