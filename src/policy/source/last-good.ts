import { lstat, mkdir, open, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { problem } from '../problem.ts'
import { digestOf, manifestFile, readSource, type Snapshot, type SourceFile, type SourceOutcome } from './source.ts'
import { snapshotKey } from './watch.ts'

// <folder>/last-good        a link to the copy that counts
// <folder>/copy-<random>/   the files as they were, and `policy-version` with the digests that they had

const link = 'last-good'
const copyName = /^copy-[0-9a-f-]{36}(?:\.link)?$/
/** File of a copy that says of what files it is. */
const versionFile = 'policy-version'

/**
 * Keeps a copy of a policy's files, byte for byte, as the last good one. What was kept before counts no longer once this
 * has begun: a process or machine that dies meanwhile, or a full disk, leaves no copy rather than one that allows what was
 * revoked. Throws what the file system says.
 */
export async function keepLastGood(folder: string, snapshot: Snapshot): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const kept = await readLastGood(folder)
  if (
    kept?.snapshot === undefined ||
    kept.problems.length > 0 ||
    snapshotKey(kept.snapshot) !== snapshotKey(snapshot)
  ) {
    await replaceCopy(folder, snapshot)
  }
}

/** Takes the copy away, durably, unless it is of this version. Throws what the file system says. */
export async function dropOtherLastGood(folder: string, snapshot: Snapshot): Promise<void> {
  if ((await keyKept(join(folder, link))) !== snapshotKey(snapshot)) await unlinkCopy(folder)
}

/** Whether a copy stands there, good or damaged. Never throws. */
export function hasLastGood(folder: string): Promise<boolean> {
  return exists(join(folder, link))
}

/**
 * Reads the copy; undefined where none is kept. A copy that does not have the digest with which it was kept is a
 * problem, whatever else it is. Never throws.
 */
export async function readLastGood(folder: string): Promise<SourceOutcome | undefined> {
  const copy = join(folder, link)
  if (!(await exists(copy))) return undefined
  const source = await readSource(copy)
  const [kept, found] = [await keyKept(copy), source.snapshot && snapshotKey(source.snapshot)]
  if (kept !== undefined && kept === found) return source
  const is = `it was kept as ${kept ?? 'nobody knows what'} and is ${found ?? 'not readable'}`
  const message = `the copy of the last good policy is damaged (${is}), and is not used`
  return { problems: [problem(copy, null, 'LAST_GOOD_DAMAGED', message)] }
}

async function keyKept(copy: string): Promise<string | undefined> {
  const text = await readFile(join(copy, versionFile), 'utf8').catch(() => '')
  return /^(sha256:[0-9a-f]{64}(?: [0-9a-f]{64})?)\n$/.exec(text)?.[1]
}

async function replaceCopy(folder: string, snapshot: Snapshot): Promise<void> {
  const name = `copy-${randomUUID()}`
  await unlinkCopy(folder)
  try {
    await writeCopy(join(folder, name), snapshot)
    await pointTo(folder, name)
  } catch (fault) {
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined)
    throw fault
  }
  const others = (await readdir(folder)).filter((other) => copyName.test(other) && other !== name)
  for (const other of others) await rm(join(folder, other), { recursive: true, force: true })
}

async function writeCopy(path: string, snapshot: Snapshot): Promise<void> {
  const { files, manifest } = snapshot
  await mkdir(path, { mode: 0o700 })
  for (const file of files) await writeDurably(join(path, file.name), await bytesOf(file))
  if (manifest !== undefined) await writeDurably(join(path, manifestFile), manifest)
  await writeDurably(join(path, versionFile), `${snapshotKey(snapshot)}\n`)
  await syncFolder(path)
}

/** The bytes that a file was read from: its text came without the byte order mark that its digest knows. */
async function bytesOf({ text, sha256 }: SourceFile): Promise<Buffer> {
  const bytes = Buffer.from(text)
  return (await digestOf(bytes)) === sha256 ? bytes : Buffer.concat([Buffer.from('\uFEFF'), bytes])
}

/** Needs no room on the disk. What the link pointed to is removed when the next copy is kept. */
async function unlinkCopy(folder: string): Promise<void> {
  const current = join(folder, link)
  const found = await lstat(current).catch(() => undefined)
  if (found === undefined) return
  // Where somebody copied the data folder following its links, a folder stands here.
  if (found.isDirectory()) await rename(current, join(folder, `copy-${randomUUID()}`))
  else await rm(current)
  await syncFolder(folder)
}

async function pointTo(folder: string, name: string): Promise<void> {
  const fresh = join(folder, `${name}.link`)
  await symlink(name, fresh)
  await rename(fresh, join(folder, link)).catch(async (fault: unknown) => {
    await rm(fresh, { force: true })
    throw fault
  })
  await syncFolder(folder)
}

async function writeDurably(path: string, content: Buffer | string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}
