/**
 * The spool as the server runs it: its thread, its sinks' thread, and callers that wait for their records. Whatever a caller was told
 * is written to the ledger at once. It is run under strace, and told what to do by one argument, a `Life` as JSON.
 */
import { hash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { encodeEvent } from '../../../src/audit/record.ts'
import { createIds } from '../../../src/ids.ts'
import { makeDurableFolder } from '../../../src/spool/folder.ts'
import { newDecision, openingIn } from '../../spool/opening.ts'
import { randomFrom } from '../form.ts'

/** One run of the process. */
export interface Life {
  /** The sources to run, a folder `src`: those of this project, or a copy that somebody broke on purpose. */
  readonly sources: string
  /** Holds `data` and `ledger`. */
  readonly root: string
  readonly seed: number
  /** How many events it has kept before it ends. */
  readonly events: number
  /** As by kill -9, or as by a server that is asked to stop. */
  readonly ends: 'killed' | 'stopped'
}

/** Where the spool and the archive lie beneath `root`. */
export const spoolFolder = 'data/spool'
export const archiveFolder = 'data/archive'

const lanes = 8
/** So short that delivered records are deleted while the test runs. */
const retainDeliveredMs = 2
const maxBytes = 64 * 1024 * 1024
const longestUserAgent = 3000
/** The sink hears of nothing new for every other stretch of so many events: what was kept stands in the spool alone. */
const stretchEvents = 150

if (import.meta.main) await live(JSON.parse(process.argv[2] ?? '') as Life)

async function live({ sources, root, seed, events, ends }: Life): Promise<void> {
  const { Spool } = (await import(join(sources, 'spool/spool.ts'))) as typeof import('../../../src/spool/spool.ts')
  const { startDelivery } = (await import(
    join(sources, 'sinks/delivery.ts')
  )) as typeof import('../../../src/sinks/delivery.ts')
  const ledger = openLedger(join(root, 'ledger'))
  makeDurableFolder(join(root, 'data'), 0o700)

  const opening = openingIn(join(root, spoolFolder), { retainDeliveredMs, maxBytes })
  const settings = { mode: 'strict', deadlineMs: 600_000, maxBytes } as const
  const spool = await Spool.open(opening, settings, { newId: createIds(), now: () => new Date() })
  ledger.told(opening.openedId)
  const delivering = Promise.withResolvers<undefined>()
  const delivery = startDelivery(
    {
      spoolDir: opening.dir,
      replica: opening.replica,
      sinks: { archive: { type: 'archive', dir: join(root, archiveFolder) } },
    },
    {
      onDelivered: (cursor) => {
        if (cursor.position > 0) delivering.resolve(undefined)
        spool.advance(cursor)
      },
      onRewound: fail,
      onTrouble: fail,
      log: () => undefined,
    },
  )
  let left = events
  const isHeldBack = (): boolean => Math.floor((events - left) / stretchEvents) % 2 === 1
  spool.onCommit(() => {
    if (!isHeldBack()) delivery.appended()
  })
  // Its thread takes longer to start than the callers take to be done.
  await delivering.promise

  const random = randomFrom(seed)
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const event = eventOfAnySize(random)
      const waits = random() < 0.7
      if (await (waits ? spool.append(event) : spool.record(event))) ledger.told(event.id, encodeEvent(event))
    }
  }
  await Promise.all(Array.from({ length: lanes }, caller))
  if (ends === 'killed') process.kill(process.pid, 'SIGKILL')
  await spool.seal()
  delivery.appended()
  await delivery.stop(spool.status().lastPosition, 60_000)
  await spool.close()
  ledger.close()
}

/** Nothing but the process's end is to go wrong here. */
function fail(...what: readonly unknown[]): never {
  throw new Error(what.join(' '))
}

function eventOfAnySize(random: () => number): AuditEvent {
  const { event } = newDecision()
  const userAgent = 'a'.repeat(Math.floor(random() ** 3 * longestUserAgent))
  return { ...event, data: { ...event.data, context: { userAgent } } }
}

/** Lines `<id> <digest of the event's bytes>`, or the id alone where the process did not make the event. */
function openLedger(path: string): { told: (id: string, event?: string) => void; close: () => void } {
  const file = openSync(path, 'a')
  return {
    told: (id, event) => {
      writeSync(file, `${id}${event === undefined ? '' : ` ${hash('sha256', event)}`}\n`)
    },
    close: () => {
      closeSync(file)
    },
  }
}
