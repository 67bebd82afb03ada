/**
 * What recording costs while far more flows through the spool than it may hold: `make bench-spool`. Events whose records have about 1.6 kB are appended at a
 * steady rate, as decisions are, and delivered to an archive, by the real threads in this process. The spool must never be full: what
 * is kept for replay alone makes room first.
 *
 * Usage: node test/bench/spool.ts [--short]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { v7 as uuidv7 } from 'uuid'
import { type AuditEvent, decisionEvent } from '../../src/audit/event.ts'
import { decide } from '../../src/decision/decide.ts'
import { startDelivery } from '../../src/sinks/delivery.ts'
import { Spool } from '../../src/spool/spool.ts'
import { ordersRequest } from '../cases/access-requests.ts'
import { recordLine } from '../cases/place.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { openingIn } from '../spool/opening.ts'

const { values: options } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const perSecond = 5000
const seconds = options.short ? 10 : 60
const maxBytes = (options.short ? 32 : 64) * 1024 * 1024
const tickMs = 5
const rules = ruleSetThat(() => allowed)
/** Bytes of one record. */
const recordBytes = recordLine(eventOf()).length

interface Watched {
  mostWaiting: number
  mostWaitingBytes: number
  mostRetainedBytes: number
  mostResidentBytes: number
  /** Set where the spool said that it is full, or refused an event. */
  full: boolean
  bytes: number
}

async function bench(folder: string): Promise<void> {
  const spool = await Spool.open(
    openingIn(join(folder, 'spool'), { maxBytes }),
    // An append that is late counts with its time: a busy machine must not be taken for a full spool.
    { mode: 'strict', deadlineMs: 60_000, maxBytes },
    { newId: () => uuidv7(), now: () => new Date() },
  )
  const sinks = { archive: { type: 'archive', dir: join(folder, 'archive') } } as const
  const delivery = startDelivery(
    { spoolDir: join(folder, 'spool'), replica: 'test-1', sinks },
    {
      onDelivered: (cursor) => {
        spool.advance(cursor)
      },
      onRewound: ({ sink }, message) => {
        throw new Error(`${sink}: ${message}`)
      },
      onTrouble: (sink, code, message) => {
        console.error(`${sink}: ${message} (${code})`)
      },
      log: () => undefined,
    },
  )
  spool.onCommit(() => {
    delivery.appended()
  })
  const watched: Watched = {
    ...{ mostWaiting: 0, mostWaitingBytes: 0, mostRetainedBytes: 0, mostResidentBytes: 0 },
    ...{ full: false, bytes: 0 },
  }
  const cpu = process.cpuUsage()
  const began = performance.now()
  const latencies = await appendAll(spool, watched)
  const tookMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  await spool.seal()
  await delivery.stop(spool.status().lastPosition, 60_000)
  await spool.close()
  report(watched, latencies, tookMs, (user + system) / latencies.length)
}

/** Appends at the rate, whatever becomes of what was appended before. Resolves with how long each append took, in milliseconds. */
async function appendAll(spool: Spool, watched: Watched): Promise<Float64Array> {
  const total = perSecond * seconds
  const latencies = new Float64Array(total)
  const began = performance.now()
  const underWay: Promise<void>[] = []
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, Math.floor(((performance.now() - began) / 1000) * perSecond))
    for (; sent < due; sent += 1) {
      const [at, index] = [performance.now(), sent]
      const append = spool.append(eventOf()).then((kept) => {
        latencies[index] = performance.now() - at
        if (!kept) watched.full = true
      })
      underWay.push(append)
    }
    watch(spool, watched)
    await sleep(tickMs)
  }
  await Promise.all(underWay)
  watch(spool, watched)
  return latencies
}

function eventOf(): AuditEvent {
  const decisionId = uuidv7()
  const decision = decide(ordersRequest, rules, {
    decisionId,
    nowUs: () => performance.now() * 1000,
    anonymous: 'deny',
  })
  return decisionEvent(ordersRequest, decision)
}

function watch(spool: Spool, watched: Watched): void {
  const { waitingRecords, waitingBytes, retainedBytes, problem } = spool.status()
  watched.mostWaiting = Math.max(watched.mostWaiting, waitingRecords)
  watched.mostWaitingBytes = Math.max(watched.mostWaitingBytes, waitingBytes)
  watched.mostRetainedBytes = Math.max(watched.mostRetainedBytes, retainedBytes)
  watched.mostResidentBytes = Math.max(watched.mostResidentBytes, process.memoryUsage.rss())
  if (problem?.code === 'SPOOL_FULL') watched.full = true
}

function report(watched: Watched, latencies: Float64Array, tookMs: number, cpuUs: number): void {
  const sorted = latencies.toSorted()
  const at = (share: number): string => `${(sorted[Math.ceil(share * sorted.length) - 1] ?? NaN).toFixed(2)} ms`
  const table = new Table({ head: ['what', 'found'], style: { head: [], border: [] } })
  table.push(
    ['appended', `${count(latencies.length)} events in ${(tookMs / 1000).toFixed(1)} s`],
    ['bytes, and what the spool may hold', `${mb(latencies.length * recordBytes)} against ${mb(maxBytes)}`],
    ['waiting at most', `${count(watched.mostWaiting)} records, ${mb(watched.mostWaitingBytes)}`],
    ['kept for replay at most', mb(watched.mostRetainedBytes)],
    ['append, p50', at(0.5)],
    ['append, p99', at(0.99)],
    ['CPU for each event, all threads', `${cpuUs.toFixed(0)} µs`],
    ['resident memory at most', mb(watched.mostResidentBytes)],
    ['the spool was full', watched.full ? 'YES, AND MUST NOT BE' : 'never'],
  )
  console.log(table.toString())
  if (watched.full) process.exitCode = 1
}

const count = (number: number): string => number.toLocaleString('en')
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-spool-'))
try {
  await bench(folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
