import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf, type Disk } from './disk.ts'
import { claimPath, manifestPath, segmentPath } from './layout.ts'
import { decodeClaim, readManifest, type Manifest } from './manifest.ts'

// How several processes publish into one archive. Whoever publishes of a trail and day takes the next number, by a link that
// only one of them can make; so each knows all that was published before, and nothing is published twice. The claim carries
// the manifest: whoever finds a claim that was not carried out, because its writer died or sleeps, carries it out.

/** Where the lines of a segment wait for its claim. */
export function waitingPath(archiveDir: string, { segment, writer = '' }: Manifest): string {
  return join(archiveDir, `${segmentPath(segment)}.${writer}.tmp`)
}

/** Takes a number for what `manifestFile` says; false where another has taken it. */
export async function takeClaim(claim: string, manifestFile: string, disk: Disk): Promise<boolean> {
  try {
    await disk.link(manifestFile, claim)
    return true
  } catch (thrown) {
    // Over a network, a link that was made can be answered as if it had been there: then it is the same file.
    if (codeOf(thrown) === 'EEXIST') return isSameFile(claim, manifestFile)
    throw thrown
  }
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(one), stat(other)])
  return a.ino === b.ino && a.dev === b.dev
}

/** What a claim says; undefined where the number is free, `void` where it cannot be read. */
export async function readClaim(
  archiveDir: string,
  day: string,
  trail: string,
  serial: number,
): Promise<Manifest | 'void' | undefined> {
  try {
    return decodeClaim(await readFile(join(archiveDir, claimPath(day, trail, serial)), 'utf8')) ?? 'void'
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

/**
 * Carries a claim out: publishes its lines, then its manifest, and makes both durable. May be called by several processes,
 * at a time and again. False where its lines are gone, so that it never will be: such a claim counts for nothing.
 */
export async function carryOut(archiveDir: string, claim: string, manifest: Manifest, disk: Disk): Promise<boolean> {
  const lines = join(archiveDir, segmentPath(manifest.segment))
  try {
    await disk.rename(waitingPath(archiveDir, manifest), lines)
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    if ((await sizeOf(lines)) !== manifest.compressed.bytes) return false
  }
  await disk.syncFolder(dirname(lines))
  await publishManifest(archiveDir, claim, manifest, disk)
  await disk.syncFolder(dirname(lines))
  return true
}

async function publishManifest(archiveDir: string, claim: string, manifest: Manifest, disk: Disk): Promise<void> {
  const path = join(archiveDir, manifestPath(manifest.segment))
  try {
    await disk.link(claim, path)
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw thrown
    const there = await readManifest(archiveDir, manifest.segment)
    if (there?.compressed.sha256 === manifest.compressed.sha256) return
    // What a power cut left of a publication that never was: the claim is the authority.
    const temporary = `${path}.${manifest.writer ?? ''}.tmp`
    await disk.unlink(temporary).catch(() => undefined)
    await disk.link(claim, temporary)
    await disk.rename(temporary, path)
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}
