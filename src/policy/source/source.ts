import type { Dirent } from 'node:fs'
import { createHash, hash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../errors.ts'
import { Pace } from '../pace.ts'
import { problem, shown, type PolicyProblem } from '../problem.ts'

export const modelFile = 'model.conf'
export const testsFile = 'tests.yaml'
/** Who wrote the policy (`manifest.ts`). It speaks of the other files, so it is not one of those that make the version. */
export const manifestFile = 'manifest.json'

/** All files of a policy together, in bytes. */
export const maxPolicyBytes = 16 * 1024 * 1024

/** The manifest, in bytes. */
export const maxManifestBytes = 256 * 1024

export interface SourceFile {
  readonly name: string
  /** Without a byte order mark. */
  readonly text: string
  /** Lower-case hex, of the file's bytes as they are. */
  readonly sha256: string
}

/** A policy folder as it was at one moment. */
export interface Snapshot {
  /** `sha256:` and 64 hex digits; see `policyVersionOf`. */
  readonly policyVersion: string
  /** Sorted by name. */
  readonly files: readonly SourceFile[]
  /** True where the files came through a ConfigMap's `..data` link, so that they cannot be of two versions. */
  readonly atomic: boolean
  /** Text of the manifest; left out where there is none, or where it could not be read. */
  readonly manifest?: string
  /** Names of what looks like a part of the policy, and is none; left out where there is nothing like it. */
  readonly ignored?: readonly string[]
}

export interface SourceOutcome {
  /** True where there is no folder, or no file of a policy in it: nobody has put a policy there. */
  readonly empty?: boolean
  /** Left out where the files could not all be read. */
  readonly snapshot?: Snapshot
  readonly problems: readonly PolicyProblem[]
}

interface ReadFile {
  readonly name: string
  readonly bytes: Buffer
}

const attempts = 5

/** What is digested at a stretch: a few milliseconds’ worth. */
const pieceBytes = 4 * 1024 * 1024

/**
 * Reads `model.conf`, all `*.csv` (names that begin with a dot are left out) and, where there are any, `tests.yaml` and
 * `manifest.json` of a folder into memory. Where the folder is a ConfigMap mount, its `..data` link is resolved once and all files are read
 * behind it, so that they are of one version. Never throws.
 */
export async function readSource(folder: string): Promise<SourceOutcome> {
  for (let attempt = 1; ; attempt += 1) {
    const { path, atomic } = await resolveFolder(folder)
    const outcome = await readFolder(path, folder, atomic)
    // The kubelet removes the old version's folder right after the swap: what was listed then may have been less than all.
    const swapped = atomic && (await resolveFolder(folder)).path !== path
    if (!swapped) return outcome
    if (attempt === attempts) return { problems: [unsettled(folder)] }
  }
}

/** Where the files of a policy folder are now: behind the `..data` link of a ConfigMap mount, or in the folder itself. */
function unsettled(folder: string): PolicyProblem {
  return problem(folder, null, 'FOLDER_UNREADABLE', 'the folder was swapped again each time before it could be read')
}

export async function resolveFolder(folder: string): Promise<{ path: string; atomic: boolean }> {
  try {
    return { path: await realpath(join(folder, '..data')), atomic: true }
  } catch {
    return { path: folder, atomic: false }
  }
}

async function readFolder(path: string, folder: string, atomic: boolean): Promise<SourceOutcome> {
  let entries: Dirent[]
  try {
    entries = await readdir(path, { withFileTypes: true })
  } catch (fault) {
    const problems = [problem(folder, null, 'FOLDER_UNREADABLE', `cannot list the folder: ${messageOf(fault)}`)]
    return { problems, empty: (fault as NodeJS.ErrnoException).code === 'ENOENT' }
  }
  const listed = entries.map(({ name }) => name)
  const names = listed.filter(isVersionFile).sort()
  const ignored = entries.filter(looksLikePolicy).map(({ name }) => name)
  const odd = misnamed(names)
  if (odd.length > 0) return { problems: odd }
  const { files, problems } = await readFiles(path, names)
  if (problems.length > 0) return { problems }
  const signed = listed.includes(manifestFile) ? await readManifest(path) : {}
  return {
    snapshot: {
      ...(await snapshotOf(files, atomic)),
      ...(signed.text === undefined ? {} : { manifest: signed.text }),
      ...(ignored.length === 0 ? {} : { ignored: ignored.sort() }),
    },
    empty: names.length === 0,
    problems: [...missing(names), ...files.flatMap(notText), ...(signed.problem === undefined ? [] : [signed.problem])],
  }
}

/** What somebody may believe to be a part of the policy: a folder, or a name that differs a little. */
function looksLikePolicy(entry: Dirent): boolean {
  const { name } = entry
  if (isPolicyFile(name) || name.startsWith('..')) return false
  return entry.isDirectory() || /\.csv$|^model\.|test.*\.ya?ml$|^manifest\./i.test(name)
}

/** Never throws. */
async function readManifest(path: string): Promise<{ text?: string; problem?: PolicyProblem }> {
  try {
    const bytes = await readRegularFile(join(path, manifestFile), maxManifestBytes)
    if (bytes !== undefined) return { text: bytes.toString('utf8') }
    const message = `the manifest is larger than ${String(maxManifestBytes)} bytes, which is all that is allowed`
    return { problem: problem(manifestFile, null, 'POLICY_TOO_LARGE', message) }
  } catch (fault) {
    return { problem: problem(manifestFile, null, 'FILE_UNREADABLE', `cannot read the file: ${messageOf(fault)}`) }
  }
}

/** Undefined where the file is larger than `most` bytes. */
async function readRegularFile(path: string, most: number): Promise<Buffer | undefined> {
  // Asked before it is read: a named pipe would never end.
  const facts = await stat(path)
  if (!facts.isFile()) throw new Error('it is not a regular file')
  return facts.size > most ? undefined : readFile(path)
}

/** Whether a file of this name is read with the policy. */
export function isPolicyFile(name: string): boolean {
  return isVersionFile(name) || name === manifestFile
}

/** Whether a file of this name is one of those that make the version. */
function isVersionFile(name: string): boolean {
  return name === modelFile || name === testsFile || (name.endsWith('.csv') && !name.startsWith('.'))
}

/** With a line's end in it, a name could stand for another file in the digest that is the policy version. */
function misnamed(names: readonly string[]): PolicyProblem[] {
  return names
    .filter((name) => /\p{Cc}/u.test(name))
    .map((name) => problem(shown(name), null, 'FILE_UNREADABLE', 'the name of the file holds a control character'))
}

function missing(names: readonly string[]): PolicyProblem[] {
  const problems: PolicyProblem[] = []
  if (!names.includes(modelFile)) {
    problems.push(problem(modelFile, null, 'MODEL_MISSING', 'the policy folder holds no model.conf'))
  }
  if (!names.some((name) => name.endsWith('.csv'))) {
    problems.push(
      problem('*.csv', null, 'RULES_MISSING', 'the policy folder holds no *.csv file; at least one is needed'),
    )
  }
  return problems
}

async function readFiles(
  path: string,
  names: readonly string[],
): Promise<{ files: ReadFile[]; problems: PolicyProblem[] }> {
  const files: ReadFile[] = []
  const problems: PolicyProblem[] = []
  let total = 0
  for (const name of names) {
    try {
      const bytes = await readRegularFile(join(path, name), maxPolicyBytes - total)
      if (bytes === undefined) return { files, problems: [...problems, tooLarge(name)] }
      total += bytes.length
      files.push({ name, bytes })
    } catch (fault) {
      problems.push(problem(name, null, 'FILE_UNREADABLE', `cannot read the file: ${messageOf(fault)}`))
    }
  }
  return { files, problems }
}

function tooLarge(name: string): PolicyProblem {
  const message = `with this file the policy is larger than ${String(maxPolicyBytes)} bytes, which is all that is allowed`
  return problem(name, null, 'POLICY_TOO_LARGE', message)
}

function notText(file: ReadFile): PolicyProblem[] {
  const nul = file.bytes.indexOf(0)
  if (nul !== -1) {
    return [
      problem(
        file.name,
        lineAt(file.bytes, nul),
        'FILE_NOT_TEXT',
        'the line holds a NUL byte; only UTF-8 text is allowed',
      ),
    ]
  }
  if (isUtf8(file.bytes)) return []
  return [problem(file.name, null, 'FILE_NOT_TEXT', 'the file is not valid UTF-8')]
}

function lineAt(bytes: Buffer, offset: number): number {
  let line = 1
  for (let at = bytes.indexOf(10); at !== -1 && at < offset; at = bytes.indexOf(10, at + 1)) line += 1
  return line
}

async function snapshotOf(read: readonly ReadFile[], atomic: boolean): Promise<Snapshot> {
  const files: SourceFile[] = []
  for (const { name, bytes } of read) {
    const sha256 = await digestOf(bytes)
    files.push({ name, text: bytes.toString('utf8').replace(/^\uFEFF/, ''), sha256 })
  }
  return { policyVersion: policyVersionOf(files), files, atomic }
}

/** SHA-256 in hex. A large file is digested in pieces, so that everything else has its turn between them. */
export async function digestOf(bytes: Buffer): Promise<string> {
  if (bytes.length <= pieceBytes) return hash('sha256', bytes, 'hex')
  const [digest, pace] = [createHash('sha256'), new Pace()]
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    digest.update(bytes.subarray(at, at + pieceBytes))
    await pace.rest()
  }
  return digest.digest('hex')
}

/** The digest that names a policy: SHA-256 of the lines `<sha256 of the file in hex>  <file name>\n`, sorted by name. */
export function policyVersionOf(files: readonly { readonly name: string; readonly sha256: string }[]): string {
  const digest = createHash('sha256')
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const file of sorted) digest.update(`${file.sha256}  ${file.name}\n`)
  return `sha256:${digest.digest('hex')}`
}
