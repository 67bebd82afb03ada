import type { Parsed } from '../../identity/parsed.ts'
import { problem, shown, warning, type PolicyProblem } from '../problem.ts'
import { isObject, parseObject, readEnvelope, signEnvelope, signersOf, type Envelope } from './manifest-envelope.ts'
import type { PublicSigner, SigningKey } from './manifest-keys.ts'
import { manifestFile, type Snapshot } from './source.ts'

export { readSigners, type PublicSigner } from './manifest-keys.ts'

/** Names the payload's meaning and version; DSSE has it signed with the payload. */
export const manifestType = 'application/vnd.countersign.policy-manifest.v1+json'

/** Characters of an author or ticket at most. */
export const maxNameLength = 256

/** Who wrote a policy, in the words of somebody who holds a listed key. */
export interface PolicyAuthor {
  readonly author: string
  readonly ticket: string | null
  /** RFC 3339, UTC; the signer's own clock. */
  readonly signedAt: string
  /** Key ids of the listed keys by which there is a good signature; at least one. */
  readonly signedBy: readonly string[]
}

export interface ManifestVerdict {
  /** Null unless the manifest fits the files and a listed key signed it. */
  readonly author: PolicyAuthor | null
  /** Any of them refuses the policy. */
  readonly problems: readonly PolicyProblem[]
  readonly warnings: readonly PolicyProblem[]
}

/** What is signed. */
interface Manifest {
  readonly policyVersion: string
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
  readonly author: string
  readonly ticket: string | null
  readonly signedAt: string
}

export interface ManifestClaim {
  readonly author: string
  readonly ticket: string | null
  readonly signedAt: Date
}

/**
 * Says who wrote a policy. An author is given only where a listed key signed and every file is the one that was signed.
 * A manifest that is broken, forged or of other files is a problem also where none is required: nobody shall be named for
 * what they did not write. Where no listed key signed: a problem where a signature is required, else a warning. Pure; never throws.
 */
export function verifyManifest(
  manifestText: string | undefined,
  snapshot: Snapshot,
  signers: readonly PublicSigner[],
  required: boolean,
): ManifestVerdict {
  if (manifestText === undefined) return required ? refused([missing()]) : { author: null, problems: [], warnings: [] }
  const envelope = readEnvelope(manifestText)
  if (!envelope.ok) return refused([invalid(manifestFile, `the manifest cannot be read: ${envelope.problem}`)])
  const by = signersOf(envelope.value, signers)
  if (by.length === 0) {
    const forged = forgedKeyOf(envelope.value, signers)
    if (forged !== undefined) return refused([forged])
    if (required) return refused([unknownSigner(envelope.value, signers)])
  }
  return verdictOf(envelope.value, snapshot, by, signers)
}

function verdictOf(
  envelope: Envelope,
  snapshot: Snapshot,
  by: readonly PublicSigner[],
  signers: readonly PublicSigner[],
): ManifestVerdict {
  const manifest = readManifest(envelope)
  if (!manifest.ok) return refused([invalid(manifestFile, `the manifest cannot be read: ${manifest.problem}`)])
  const problems = differences(manifest.value, snapshot)
  if (problems.length > 0) return refused(problems)
  if (by.length === 0) return { author: null, problems: [], warnings: [unverified(envelope, signers)] }
  const { author, ticket, signedAt } = manifest.value
  return {
    author: { author, ticket, signedAt, signedBy: by.map(({ keyId }) => keyId) },
    problems: [],
    warnings: [],
  }
}

/** The text of a manifest for these files, signed by each of the keys. */
export function signManifest(snapshot: Snapshot, claim: ManifestClaim, keys: readonly SigningKey[]): string {
  const manifest: Manifest = {
    policyVersion: snapshot.policyVersion,
    files: snapshot.files.map(({ name, sha256 }) => ({ name, sha256 })),
    author: claim.author,
    ticket: claim.ticket,
    signedAt: claim.signedAt.toISOString(),
  }
  return signEnvelope(manifestType, Buffer.from(JSON.stringify(manifest), 'utf8'), keys)
}

/** One line for people and for the audit event: `Ana Li (CHG-1), signed by 1f2e3d4c5b6a7988`. */
export function authorText({ author, ticket, signedBy }: PolicyAuthor): string {
  const keys = signedBy.map((keyId) => keyId.slice(0, 16)).join(', ')
  return `${author}${ticket === null ? '' : ` (${ticket})`}, signed by ${keys}`
}

/** Why a text cannot be an author or a ticket; undefined where it can. */
export function nameProblem(text: string): string | undefined {
  if (text.trim() === '') return 'it is empty'
  if (text.length > maxNameLength) return `it is longer than ${String(maxNameLength)} characters`
  // Whoever reads the audit trail must see what stands there.
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(text)) return 'it holds a control character or a line end'
  return text === text.trim() ? undefined : 'it begins or ends with a space'
}

function readManifest({ payloadType, payload }: Envelope): Parsed<Manifest> {
  if (payloadType !== manifestType) return wrong(`"payloadType" is ${shown(payloadType)}, not ${shown(manifestType)}`)
  const { policyVersion, files, author, ticket = null, signedAt } = parseObject(payload.toString('utf8')) ?? {}
  if (typeof policyVersion !== 'string') return wrong('its payload has no "policyVersion"')
  if (!isFileList(files)) return wrong('"files" of its payload is no list of different names, each with its sha256')
  if (typeof author !== 'string') return wrong('its payload has no "author"')
  if (ticket !== null && typeof ticket !== 'string') return wrong('"ticket" of its payload is neither a text nor null')
  if (typeof signedAt !== 'string' || !isTime(signedAt)) return wrong('"signedAt" of its payload is no time in UTC')
  for (const [name, text] of Object.entries({ author, ticket })) {
    const why = text === null ? undefined : nameProblem(text)
    if (why !== undefined) return wrong(`"${name}" of its payload cannot be used: ${why}`)
  }
  return { ok: true, value: { policyVersion, files, author, ticket, signedAt } }
}

function isFileList(value: unknown): value is Manifest['files'] {
  if (!Array.isArray(value)) return false
  const names = new Set<unknown>()
  for (const file of value) {
    if (!isObject(file) || typeof file['name'] !== 'string' || typeof file['sha256'] !== 'string') return false
    names.add(file['name'])
  }
  return names.size === value.length
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text) && !Number.isNaN(Date.parse(text))
}

/** Every file that is not as it was signed, by name; the version where the files alone do not tell. */
function differences(manifest: Manifest, snapshot: Snapshot): readonly PolicyProblem[] {
  const signed = new Map(manifest.files.map(({ name, sha256 }) => [name, sha256]))
  const present = new Set(snapshot.files.map(({ name }) => name))
  const problems: PolicyProblem[] = []
  for (const { name, sha256 } of snapshot.files) {
    const covered = signed.get(name)
    if (covered === undefined) problems.push(invalid(name, `the manifest does not cover the file; ${signAgain}`))
    else if (covered !== sha256) problems.push(invalid(name, `the file is not the one that was signed; ${signAgain}`))
  }
  for (const name of signed.keys()) {
    if (present.has(name)) continue
    problems.push(
      invalid(manifestFile, `the manifest covers the file ${shown(name)}, which is not there; ${signAgain}`),
    )
  }
  if (problems.length > 0 || manifest.policyVersion === snapshot.policyVersion) return problems
  const found = `the manifest is of version ${shown(manifest.policyVersion)}, the files are ${snapshot.policyVersion}`
  return [invalid(manifestFile, `${found}; ${signAgain}`)]
}

const signAgain = 'sign the policy again (countersign policy sign), or put back what was signed'

/** A signature that is said to be by a listed key, and is not. */
function forgedKeyOf({ signatures }: Envelope, signers: readonly PublicSigner[]): PolicyProblem | undefined {
  const named = signers.find(({ keyId }) => signatures.some((one) => one.keyId === keyId))
  if (named === undefined) return undefined
  return invalid(
    manifestFile,
    `the signature by the key ${named.keyId} is wrong: the manifest was altered; ${signAgain}`,
  )
}

function unknownSigner(envelope: Envelope, signers: readonly PublicSigner[]): PolicyProblem {
  const listed = signers.length === 0 ? 'none is listed' : `listed are ${listOf(signers)}`
  const message = `no listed key signed the manifest: it names ${keysNamedIn(envelope)}; ${listed} (policy.signers)`
  return problem(manifestFile, null, 'SIGNER_UNKNOWN', message)
}

function unverified(envelope: Envelope, signers: readonly PublicSigner[]): PolicyProblem {
  const why =
    signers.length === 0
      ? 'no keys are listed in policy.signers'
      : `no key of policy.signers signed it: it names ${keysNamedIn(envelope)}; listed are ${listOf(signers)}`
  return warning(manifestFile, null, 'MANIFEST_UNVERIFIED', `the author is not shown: ${why}`)
}

function keysNamedIn({ signatures }: Envelope): string {
  return signatures.map(({ keyId }) => (keyId === undefined ? 'no key' : shown(keyId))).join(', ')
}

function listOf(signers: readonly PublicSigner[]): string {
  return signers.map(({ keyId }) => keyId).join(', ')
}

function missing(): PolicyProblem {
  const message =
    'a signature is required (policy.requireSignature), and the folder holds no manifest.json; sign it with countersign policy sign'
  return problem(manifestFile, null, 'SIGNATURE_MISSING', message)
}

function invalid(file: string, message: string): PolicyProblem {
  return problem(file, null, 'SIGNATURE_INVALID', message)
}

function refused(problems: readonly PolicyProblem[]): ManifestVerdict {
  return { author: null, problems, warnings: [] }
}

function wrong(text: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem: text }
}
