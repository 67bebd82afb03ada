import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { v7 as uuidv7 } from 'uuid'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { type Delivery, type DeliveryContext, startDelivery } from '../../src/sinks/delivery.ts'
import { type DeliveryWorker, startDeliveryWorker } from '../../src/sinks/delivery-worker.ts'
import type { FromDeliveryWorker, SinkSettings } from '../../src/sinks/protocol.ts'
import type { Cursor } from '../../src/spool/protocol.ts'
import { Spool } from '../../src/spool/spool.ts'
import { keptLines } from '../archive/kept-lines.ts'
import { newAccess, newFolder, openingIn } from '../spool/opening.ts'

let folder: string
let broker: Server
const sockets = new Set<Socket>()
const toClose: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  folder = newFolder()
  // It takes connections, and never says a word.
  broker = createServer((socket) => sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1')
  await once(broker, 'listening')
})

afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  broker.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Node {
  readonly spool: Spool
  readonly delivery: Delivery
  readonly troubles: (readonly [sink: string, code: string, message: string])[]
  readonly workers: DeliveryWorker[]
  append(count: number): Promise<void>
  last(): number
  /** As the server stops. */
  stop(withinMs: number): Promise<void>
}

const archive = (): SinkSettings => ({ type: 'archive', dir: join(folder, 'archive') })

/** A sink that takes nothing and does not say so for a very long time. */
function hanging(): SinkSettings {
  const { port } = broker.address() as { port: number }
  const brokers = [`127.0.0.1:${port}`]
  return {
    type: 'kafka',
    brokers,
    topic: 'audit',
    topicCheck: 'enforce',
    compression: 'zstd',
    requestTimeoutMs: 3_600_000,
  }
}

async function start(
  sinks: Readonly<Record<string, SinkSettings>>,
  more: { retainDeliveredMs?: number } = {},
): Promise<Node> {
  const dir = join(folder, 'spool')
  const opening = openingIn(dir, { sinks: Object.keys(sinks), ...more })
  const settings = { mode: 'strict', deadlineMs: 60_000, maxBytes: 2 ** 30 } as const
  const spool = await Spool.open(opening, settings, { newId: () => uuidv7(), now: () => new Date() })
  const troubles: [string, string, string][] = []
  const workers: DeliveryWorker[] = []
  const context: DeliveryContext = {
    onDelivered: (cursor) => {
      spool.advance(cursor)
    },
    onRewound: (cursor) => {
      spool.advance(cursor)
    },
    onTrouble: (...trouble) => troubles.push(trouble),
    log: () => undefined,
    // Long enough for an archive that has nothing to do.
    ...(Object.keys(sinks).includes('central') ? { lastBatchMs: 200 } : {}),
    startWorker: (started) => {
      const worker = startDeliveryWorker(started)
      workers.push(worker)
      return worker
    },
  }
  const delivery = startDelivery({ spoolDir: dir, replica: 'test-1', sinks }, context)
  spool.onCommit(() => {
    delivery.appended()
  })
  let stopped = false
  const stop = async (withinMs: number): Promise<void> => {
    if (stopped) return
    stopped = true
    await spool.seal()
    await delivery.stop(spool.status().lastPosition, withinMs)
    await spool.close()
  }
  toClose.push(() => stop(0))
  const append = async (count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, () => spool.record(newAccess())))
  }
  return { spool, delivery, troubles, workers, append, last: () => spool.status().lastPosition, stop }
}

const positionOf = ({ delivery }: Node, sink: string): number => delivery.status().get(sink)?.position ?? 0
const never = 2 ** 31 - 1

describe('delivery', () => {
  test('brings everything to the sink, and a stop waits for the trail’s last record', async () => {
    const node = await start({ archive: archive() })
    await node.append(2500)
    await node.stop(never)
    expect(linesOfArchive()).toHaveLength(node.last())
    expect(node.spool.status().waitingRecords).toBe(0)
  })

  test('goes on from the cursor after a restart, and gives nothing twice', async () => {
    const first = await start({ archive: archive() })
    await first.append(10)
    await first.stop(never)
    const second = await start({ archive: archive() })
    await until('the cursor', () => positionOf(second, 'archive') >= first.last())
    await second.append(10)
    await second.stop(never)
    const lines = linesOfArchive()
    expect(lines).toHaveLength(second.last())
    expect(new Set(lines).size).toBe(lines.length)
  })

  test('to a sink that hangs holds up neither another sink nor a stop', async () => {
    const node = await start({ archive: archive(), central: hanging() })
    await node.append(10)
    await until('the archive', () => positionOf(node, 'archive') === node.last())
    await node.stop(1)
    expect(positionOf(node, 'central')).toBe(0)
    expect(node.spool.status().waitingRecords).toBe(node.last())
  })

  test('to a sink that refuses is tried again, and told with its code; what was refused arrives when it is well', async () => {
    writeFileSync(join(folder, 'archive'), 'no folder')
    const node = await start({ archive: archive() })
    await node.append(3)
    await until('a second try', () => node.troubles.length > 1)
    expect(node.troubles[0]?.slice(0, 2)).toEqual(['archive', 'ARCHIVE_UNWRITABLE'])
    expect(node.delivery.status().get('archive')?.problem).toMatchObject({ code: 'ARCHIVE_UNWRITABLE' })
    rmSync(join(folder, 'archive'))
    await until('delivery', () => positionOf(node, 'archive') === node.last())
    expect(node.delivery.status().get('archive')?.problem).toBeNull()
  })

  test('is told of when its thread ends by itself, and goes on in another one without a loss', async () => {
    const node = await start({ archive: archive() })
    await node.append(5)
    await until('delivery', () => positionOf(node, 'archive') === node.last())
    node.workers[0]?.terminate()
    await until('the report', () => node.troubles.length > 0)
    expect(node.troubles[0]).toEqual(['archive', 'SPOOL_FAILED', expect.stringContaining('the delivery thread ended')])
    await node.append(5)
    await until('delivery', () => positionOf(node, 'archive') === node.last())
    expect(node.workers).toHaveLength(2)
    expect(node.delivery.status().get('archive')?.problem).toBeNull()
    await node.stop(never)
    expect(new Set(linesOfArchive()).size).toBe(node.last())
  })

  test('hears nothing of positions in a file that is gone', () => {
    let say: (message: FromDeliveryWorker) => void = () => undefined
    const worker = { post: () => undefined, onExit: () => undefined, terminate: () => undefined }
    const heard: [position: number, rewound: boolean][] = []
    const hear = ({ position, rewound }: Cursor): unknown => heard.push([position, rewound])
    const delivery = startDelivery(
      { spoolDir: folder, replica: 'test-1', sinks: { archive: archive() } },
      {
        onDelivered: hear,
        onRewound: hear,
        onTrouble: () => undefined,
        log: () => undefined,
        startWorker: () => ({ ...worker, onMessage: (listener) => (say = listener) }),
      },
    )
    const step = { kind: 'delivered', sink: 'archive', records: 1, mark: null } as const
    const back = { kind: 'rewound', sink: 'archive', upTo: 500, message: 'lost' } as const
    say({ ...step, file: 0, position: 523 })
    delivery.reopen()
    expect(delivery.status().get('archive')?.position).toBe(0)
    say({ ...step, file: 0, position: 524 })
    say({ ...back, file: 0, position: 3 })
    expect(delivery.status().get('archive')).toMatchObject({ position: 0, problem: null })
    say({ ...step, file: 1, position: 7 })
    say({ ...back, file: 1, position: 5 })
    expect(heard).toEqual([
      [523, false],
      [7, false],
      [5, true],
    ])
  })

  test('goes on from what the file knows that takes the place of a deleted one, and passes nothing over', async () => {
    const node = await start({ archive: archive() })
    node.spool.onNewFile(() => {
      node.delivery.reopen()
    })
    await node.append(20)
    await until('the archive', () => positionOf(node, 'archive') === node.last())
    const { trail } = node.spool.status()
    rmSync(join(folder, 'spool'), { recursive: true })
    await until('another trail', () => node.spool.status().trail !== trail)
    await node.append(5)
    await node.stop(never)
    const lines = linesOfArchive().map((line) => JSON.parse(line) as { trail: string; sequence: string })
    const later = lines.filter((line) => line.trail !== trail).map(({ sequence }) => Number(sequence))
    expect(later).toEqual(Array.from({ length: node.spool.status().lastSequence }, (_, index) => index + 1))
    expect(node.spool.status().waitingRecords).toBe(0)
  })

  test('to a new sink begins with what the spool still has', async () => {
    const first = await start({ archive: archive() })
    await first.append(5)
    await first.stop(never)
    const second = await start({ archive: archive(), central: hanging() })
    expect(second.spool.status().waitingRecords).toBe(second.last())
  })

  test('to a sink that the settings no longer name holds no record back', async () => {
    const first = await start({ archive: archive(), central: hanging() })
    await first.append(5)
    await until('the archive', () => positionOf(first, 'archive') === first.last())
    await first.stop(1)
    const second = await start({ archive: archive() })
    await second.stop(never)
    expect(second.spool.status().waitingRecords).toBe(0)
  })
})

function linesOfArchive(): readonly string[] {
  return keptLines(join(folder, 'archive'))
}
