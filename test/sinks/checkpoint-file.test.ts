import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type CheckpointFileHandle, createCheckpointFile } from '../../src/sinks/checkpoint-file.ts'
import { describeSink, makeRecords } from '../contract/sink.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-checkpoints-'))
  path = join(folder, 'data', 'checkpoints.ndjson')
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const text = (records: ReturnType<typeof makeRecords>) => records.map(({ line }) => `${line}\n`).join('')

/** A disk that fails as it is told to, in front of the real one. */
class FailingDisk {
  /** Bytes that it still takes; a write is cut short there, and the next one fails. */
  room = Infinity
  failSync = false
  opened = 0

  readonly open = async (...args: Parameters<typeof open>): Promise<CheckpointFileHandle> => {
    this.opened += 1
    const file = await open(...args)
    const write = async (bytes: Buffer, from: number) => {
      if (this.room === 0) throw new Error('ENOSPC: no space left on device')
      const taken = bytes.subarray(from, from + Math.min(this.room, bytes.length))
      this.room -= taken.length
      return await file.write(taken)
    }
    const sync = async () => {
      if (this.failSync) throw new Error('EIO: i/o error, fsync')
      await file.sync()
    }
    return {
      write: write as CheckpointFileHandle['write'],
      sync,
      close: () => file.close(),
      read: file.read.bind(file),
      stat: file.stat.bind(file),
      truncate: (length) => file.truncate(length),
    }
  }
}

describeSink('the checkpoint file', async () => {
  const disk = new FailingDisk()
  return {
    sink: createCheckpointFile(path, { openFile: disk.open }),
    delivered: async () => {
      if (disk.opened === 0) return []
      return readFileSync(path, 'utf8').split('\n').slice(0, -1)
    },
    fail: async () => {
      disk.room = 100
      return async () => {
        disk.room = Infinity
      }
    },
    dispose: async () => undefined,
  }
})

describe('the checkpoint file', () => {
  test('is for its owner alone, and so is the folder that is made for it', async () => {
    const sink = createCheckpointFile(path)
    await sink.deliver(makeRecords(1))
    await sink.close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'data')).mode & 0o777).toBe(0o700)
  })

  test('is not made before there is something to write', async () => {
    const sink = createCheckpointFile(path)
    await sink.deliver([])
    await sink.close()
    expect(() => statSync(path)).toThrow('ENOENT')
  })

  test('goes on after a restart', async () => {
    for (const part of [makeRecords(4).slice(0, 2), makeRecords(4).slice(2)]) {
      const sink = createCheckpointFile(path)
      await sink.deliver(part)
      await sink.close()
    }
    expect(readFileSync(path, 'utf8')).toBe(text(makeRecords(4)))
  })

  test.each([1, 70_000, 200_000])(
    'loses the %s bytes of a line that a crash cut short, and no whole line',
    async (torn) => {
      const first = createCheckpointFile(path)
      await first.deliver(makeRecords(2))
      await first.close()
      appendFileSync(path, 'x'.repeat(torn))
      const next = createCheckpointFile(path)
      await next.deliver(makeRecords(3).slice(2))
      await next.close()
      expect(readFileSync(path, 'utf8')).toBe(text(makeRecords(3)))
    },
  )

  test('that is nothing but a torn line begins again', async () => {
    const first = createCheckpointFile(path)
    await first.deliver(makeRecords(1))
    await first.close()
    writeFileSync(path, '{"specversion"')
    const next = createCheckpointFile(path)
    await next.deliver(makeRecords(1))
    await next.close()
    expect(readFileSync(path, 'utf8')).toBe(text(makeRecords(1)))
  })

  test('keeps nothing of a write that the disk cut short', async () => {
    const disk = new FailingDisk()
    const sink = createCheckpointFile(path, { openFile: disk.open })
    const records = makeRecords(6)
    await sink.deliver(records.slice(0, 2))
    disk.room = records[2]!.line.length + 10
    const unwritable = { code: 'CHECKPOINTS_UNWRITABLE', retryable: true }
    await expect(sink.deliver(records.slice(2))).rejects.toMatchObject(unwritable)
    disk.room = Infinity
    await sink.deliver(records.slice(2))
    await sink.close()
    expect(readFileSync(path, 'utf8')).toBe(text(records))
  })

  test('is written again from the last certain place after a failed sync', async () => {
    const disk = new FailingDisk()
    const sink = createCheckpointFile(path, { openFile: disk.open })
    await sink.deliver(makeRecords(2))
    disk.failSync = true
    await expect(sink.deliver(makeRecords(4).slice(2))).rejects.toMatchObject({ code: 'CHECKPOINTS_UNWRITABLE' })
    disk.failSync = false
    await sink.deliver(makeRecords(4).slice(2))
    await sink.close()
    expect(readFileSync(path, 'utf8')).toBe(text(makeRecords(4)))
    expect(disk.opened).toBe(2)
  })

  test('that somebody moves away is made anew, and the moved one is whole', async () => {
    const sink = createCheckpointFile(path)
    await sink.deliver(makeRecords(2))
    renameSync(path, `${path}.1`)
    await sink.deliver(makeRecords(4).slice(2))
    await sink.close()
    expect(readFileSync(`${path}.1`, 'utf8')).toBe(text(makeRecords(2)))
    expect(readFileSync(path, 'utf8')).toBe(text(makeRecords(4).slice(2)))
  })
})
