import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { encodeEvent } from '../../../src/audit/record.ts'
import { fileName } from '../../../src/spool/file/schema.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import type { FromSpoolWorker } from '../../../src/spool/protocol.ts'
import { newDecision, newFolder, openingIn } from '../opening.ts'

// A backlog of many gigabytes must not have to fit into memory because one page of it is damaged.

const pageBytes = 4096
const records = 16_000
/** Half of what the lines alone take. */
const heapMb = 12

let dir: string

beforeEach(() => {
  dir = newFolder()
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

test('a big backlog with one damaged page is rescued in little memory', async () => {
  const store = new SpoolStore(openingIn(dir), () => new Date())
  const batch = Array.from({ length: 1000 }, () => encodeEvent(newDecision().event))
  for (let count = 0; count < records; count += batch.length) store.append(batch, [])
  store.close()
  damageInTheMiddle(join(dir, fileName))
  const opened = await openWithin(heapMb)
  expect(opened).toMatchObject({ kind: 'opened' })
  const waiting = opened.kind === 'opened' ? opened.state.waitingRecords : 0
  expect(waiting).toBeGreaterThan(records - 10)
}, 240_000)

function damageInTheMiddle(path: string): void {
  const file = openSync(path, 'r+')
  writeSync(
    file,
    Buffer.alloc(pageBytes, 0x55),
    0,
    pageBytes,
    Math.floor(statSync(path).size / 2 / pageBytes) * pageBytes,
  )
  closeSync(file)
}

/** Opens the spool in a thread with so much memory for its objects; rejects where that does not suffice. */
async function openWithin(maxOldGenerationSizeMb: number): Promise<FromSpoolWorker> {
  const worker = new Worker(new URL('../../../src/spool/file/worker.ts', import.meta.url), {
    workerData: openingIn(dir, { distrust: 'one of its pages is damaged' }),
    resourceLimits: { maxOldGenerationSizeMb, maxYoungGenerationSizeMb: 8 },
  })
  try {
    return await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  } finally {
    await worker.terminate()
  }
}
