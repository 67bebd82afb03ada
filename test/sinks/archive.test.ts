import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createArchiveSink } from '../../src/sinks/archive.ts'
import { decisions, idOf, makeTrail } from '../archive/trails.ts'

const trail = `web-0-${idOf(1)}`
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'countersign-sink-'))
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

describe('the archive as a sink', () => {
  test('has the records on disk when a delivery resolves, once each although they were given twice', async () => {
    const records = makeTrail({ trail }, decisions(3))
    const sink = createArchiveSink(join(dir, 'archive'))
    await sink.deliver(records)
    await sink.deliver(records)
    const path = join(dir, 'archive', '2026-11-22', `${trail}.0000000000000001.ndjson`)
    expect(readFileSync(path, 'utf8')).toBe(records.map(({ line }) => `${line}\n`).join(''))
    await sink.close()
  })

  test('rejects while its folder cannot be made, and takes the same records once it can', async () => {
    const records = makeTrail({ trail }, decisions(1))
    writeFileSync(join(dir, 'archive'), 'in the way')
    const sink = createArchiveSink(join(dir, 'archive'))
    await expect(sink.deliver(records)).rejects.toMatchObject({ code: 'ARCHIVE_UNWRITABLE', retryable: true })
    rmSync(join(dir, 'archive'))
    await sink.deliver(records)
    await sink.close()
  })

  test('takes nothing without complaint', async () => {
    const sink = createArchiveSink(join(dir, 'archive'))
    await sink.deliver([])
    await sink.close()
  })
})
