import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  type Stats,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createCheckpointSigner } from '../audit/checkpoint.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { makeFile } from './durable-file.ts'
import { newKeyPair, privateKeyIn, type Refuse } from './pem.ts'
import { rememberVerifierKey } from './verifier-keys.ts'

/** The key that checkpoints are signed with. */
export interface SigningKey {
  readonly keyName: string
  /** Ed25519, PKCS #8, PEM. */
  readonly privateKey: string
  /** The public key: `<name>+<key id>+<base64>`. */
  readonly verifierKey: string
  /** Whether it was made just now. */
  readonly made: boolean
  /** What its owner should look at, one sentence each. */
  readonly warnings: readonly string[]
}

export interface SigningKeyPlace {
  /** The file that the settings name, which has to be there. Left out: `checkpoint.key` in `dir`, made where it is absent. */
  readonly file?: string
  /** Name of the key in signed notes. */
  readonly keyName: string
  /** `keys/` of the data folder, made where it is absent; it holds the list of the public keys that were ever used. */
  readonly dir: string
}

/** Far more than a key in PEM has. */
const maxBytes = 64 * 1024

/** Where the data folder keeps every public key that its trails' checkpoints were ever signed with. */
export function verifierKeysFile(keysDir: string): string {
  return join(keysDir, 'checkpoint.pub')
}

/**
 * Opens the signing key, and keeps its public half in the list before anything is signed. A key of our own is made with mode 0600,
 * and MUST NOT take the place of another. A file that is named and absent is refused, not made: a Secret that was not mounted would
 * otherwise go unnoticed. Throws KEY_INVALID, whose message holds nothing of the key.
 */
export function openSigningKey({ file, keyName, dir }: SigningKeyPlace): SigningKey {
  const path = file ?? join(dir, 'checkpoint.key')
  const refuse: Refuse = (why) =>
    new CountersignError('KEY_INVALID', `checkpoint.keyFile: ${path} cannot be used: ${why}`)
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const made = file === undefined && makeKey(path)
    const { privateKey, warnings } = readKey(path, file === undefined, refuse)
    const { verifierKey } = createCheckpointSigner(keyName, privateKey)
    rememberVerifierKey(verifierKeysFile(dir), verifierKey)
    return { keyName, privateKey, verifierKey, made, warnings }
  } catch (thrown) {
    if (thrown instanceof CountersignError) throw thrown
    throw refuse(messageOf(thrown))
  }
}

/** Returns whether there was none. */
function makeKey(path: string): boolean {
  if (existsSync(path)) return false
  try {
    makeFile(path, newKeyPair().privatePem, 0o600)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  }
}

function readKey(path: string, own: boolean, refuse: Refuse): { privateKey: string; warnings: readonly string[] } {
  // A FIFO would wait for somebody to write it.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw refuse('it is no file')
    if (stat.size > maxBytes) throw refuse('it is too long for a key')
    const warnings = own ? keepPrivate(file, stat, refuse) : judgeRights(path, stat, refuse)
    const privateKey = privateKeyIn(readFileSync(file, 'utf8'), refuse)
    return { privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), warnings }
  } finally {
    closeSync(file)
  }
}

/** Takes from the group what a volume's `fsGroup` gives it at every mount. */
function keepPrivate(file: number, stat: Stats, refuse: Refuse): readonly string[] {
  if ((stat.mode & 0o002) !== 0) throw refuse(`everybody may write it (${modeOf(stat)}): it may be another's key`)
  if ((stat.mode & 0o777) !== 0o600 && stat.uid === process.geteuid?.()) fchmodSync(file, 0o600)
  return []
}

/**
 * Whoever may write the file could put their own key there: refused. Whoever may read it could sign in this server's name: a
 * warning, since to stop authorizing a mesh over a mode is the greater harm. In a mounted Secret, whose files are 0644 where nothing
 * else is said, only this container's own processes get to it: no warning.
 */
function judgeRights(path: string, stat: Stats, refuse: Refuse): readonly string[] {
  if ((stat.mode & 0o022) !== 0) {
    throw refuse(`others than its owner may write it (${modeOf(stat)}); chmod go-w it`)
  }
  const mounted = existsSync(join(dirname(path), '..data'))
  if ((stat.mode & 0o004) === 0 || mounted) return []
  return [`everybody on this machine may read the signing key ${path} (${modeOf(stat)}); chmod 600 it`]
}

function modeOf({ mode }: Stats): string {
  return `mode ${(mode & 0o777).toString(8).padStart(4, '0')}`
}
