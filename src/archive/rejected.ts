import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { codeOf, realDisk, writeDurable, type Disk } from './disk.ts'
import { durableFolder } from './open-segment.ts'

/** What came and is no record. */
export interface Rejected {
  readonly topic: string
  readonly partition: number
  readonly offset: string
  /** Why it is no record. */
  readonly problem: string
  readonly key: Buffer | null
  readonly value: Buffer | null
}

export interface RejectedStore {
  /**
   * Keeps what was rejected of one partition, each offset once, also beside other processes. Resolves with those that were not
   * kept before, once all are durable. Rejects with ARCHIVE_UNWRITABLE, retryable.
   */
  keep(rejected: readonly Rejected[]): Promise<readonly Rejected[]>
}

/** Opens `dir`: files `<topic>.<partition>.<number>.ndjson`, one line of JSON for each thing that was rejected. */
export function openRejectedStore(dir: string, disk: Disk = realDisk): RejectedStore {
  return {
    keep: async (rejected) => {
      const [first] = rejected
      if (first === undefined) return []
      try {
        return await keepNew(dir, `${first.topic}.${String(first.partition)}`, rejected, disk)
      } catch (fault) {
        const message = `${dir} cannot be written: ${messageOf(fault)}`
        throw new CountersignError('ARCHIVE_UNWRITABLE', message, { cause: fault, retryable: true })
      }
    },
  }
}

/** The number of a file is taken by a link that one process alone can make: whoever takes it has read all files before. */
async function keepNew(
  dir: string,
  base: string,
  rejected: readonly Rejected[],
  disk: Disk,
): Promise<readonly Rejected[]> {
  await durableFolder(dir)
  const temporary = join(dir, `${base}.${randomBytes(8).toString('hex')}.tmp`)
  const kept = new Set<string>()
  let read = 0
  try {
    for (;;) {
      read = await readKept(dir, base, read, kept)
      const left = rejected.filter(({ offset }) => !kept.has(offset))
      if (left.length === 0) {
        // Another may have kept them, and not have come to this.
        await disk.syncFolder(dir)
        return []
      }
      await writeDurable(disk, temporary, Buffer.from(left.map(encode).join('')))
      if (await take(temporary, join(dir, nameOf(base, read + 1)), disk)) {
        await disk.syncFolder(dir)
        return left
      }
    }
  } finally {
    await disk.unlink(temporary).catch(() => undefined)
  }
}

async function take(from: string, to: string, disk: Disk): Promise<boolean> {
  try {
    await disk.link(from, to)
    return true
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return false
    throw thrown
  }
}

/** Reads the files after the number `after`; returns the last number that is taken. */
async function readKept(dir: string, base: string, after: number, kept: Set<string>): Promise<number> {
  const names = new Set(await readdir(dir))
  for (let number = after; ; number += 1) {
    const name = nameOf(base, number + 1)
    if (!names.has(name)) return number
    for (const line of (await readFile(join(dir, name), 'utf8')).split('\n')) {
      const offset = /"offset":"([0-9]+)"/.exec(line)?.[1]
      if (offset !== undefined) kept.add(offset)
    }
  }
}

function nameOf(base: string, number: number): string {
  return `${base}.${String(number).padStart(16, '0')}.ndjson`
}

/** Key and value are in base64, for they may be anything. */
function encode({ topic, partition, offset, problem, key, value }: Rejected): string {
  const said = { topic, partition, offset, problem, key: inBase64(key), value: inBase64(value) }
  return `${JSON.stringify(said)}\n`
}

function inBase64(bytes: Buffer | null): string | null {
  return bytes?.toString('base64') ?? null
}
