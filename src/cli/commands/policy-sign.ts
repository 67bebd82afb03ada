import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { CountersignError } from '../../errors.ts'
import { buildPolicy } from '../../policy/load.ts'
import type { PolicyProblem } from '../../policy/problem.ts'
import { nameProblem, signManifest, type ManifestClaim } from '../../policy/source/manifest.ts'
import { readSigningKey, type SigningKey } from '../../policy/source/manifest-keys.ts'
import { manifestFile, readSource, type Snapshot } from '../../policy/source/source.ts'
import { commanderOutput, exitByUsage, visible, type Io } from '../print.ts'
import { problemLines } from '../problem-text.ts'
import { replaceFile } from '../replace-file.ts'

interface SignOptions {
  readonly key: readonly string[]
  readonly author: string
  readonly ticket?: string
  readonly out?: string
  readonly json?: true
}

interface Signed extends ManifestClaim {
  readonly snapshot: Snapshot
  readonly keyIds: readonly string[]
  readonly manifest: string
}

const examples = `
The policy is checked first, as the server would; a bad one is not signed. Each file is covered: sign again after every
change. Servers that list the public key in policy.signers show the author in the audit trail.

Examples:
  countersign policy keygen policy-key.pem
  countersign policy sign ./policy --key policy-key.pem --author "Ana Li" --ticket CHG-1042
  countersign policy sign ./policy --key old.pem --key new.pem --author "Ana Li"

Exit status: 0 signed, 1 the policy has problems, 2 usage, or a key or file that cannot be used.`

/**
 * `countersign policy sign DIR`: checks a policy and writes a manifest that says who wrote it. Sets `process.exitCode` to 1
 * where the policy has problems. Throws USAGE for a key that cannot be used or a manifest that cannot be written.
 */
export function policySignCommand(io: Io, now: () => Date = () => new Date()): Command {
  return new Command('sign')
    .description('say who wrote a policy: check it, and write a signed manifest.json')
    .argument('<dir>', 'folder that holds model.conf and *.csv')
    .requiredOption('--key <file>', 'private key, Ed25519 in PEM (PKCS #8); may be given several times', collect)
    .requiredOption('--author <name>', 'who answers for the policy', parseName)
    .option('--ticket <id>', 'where the change was asked for or approved', parseName)
    .option('--out <file>', `where the manifest is written; ${manifestFile} in the folder where it is left out`)
    .option('--json', 'what was signed as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (dir: string, options: SignOptions) => {
      process.exitCode = await signFolder(io, dir, options, now())
    })
}

async function signFolder(io: Io, dir: string, options: SignOptions, signedAt: Date): Promise<number> {
  const keys = readKeys(io, options.key)
  const { snapshot, problems } = await checkedFolder(dir)
  if (snapshot === undefined || problems.length > 0) {
    io.err(`${problemLines(dir, problems)}\nNothing was signed.`)
    return 1
  }
  const path = options.out ?? pathIn(dir, snapshot)
  const claim = { author: options.author, ticket: options.ticket ?? null, signedAt }
  const signed = { ...claim, snapshot, keyIds: keys.map(({ keyId }) => keyId), manifest: path }
  replaceFile('--out', path, signManifest(snapshot, claim, keys))
  io.out(options.json === true ? JSON.stringify(reportOf(signed)) : textOf(signed))
  return 0
}

/** A key that is given twice signs once. */
function readKeys(io: Io, files: readonly string[]): readonly SigningKey[] {
  const keys = new Map<string, SigningKey>()
  for (const file of files) {
    const key = readSigningKey(file)
    keys.set(key.keyId, key)
    const mode = statSync(file).mode & 0o777
    if ((mode & 0o007) === 0) continue
    const note = `everybody on this machine may open the private key (mode ${mode.toString(8).padStart(4, '0')})`
    io.err(`Warning: ${visible(file)}: ${note}; chmod 600 it`)
  }
  return [...keys.values()]
}

/** The manifest that stands there is about to be replaced: whatever is wrong with it is no obstacle. */
async function checkedFolder(dir: string): Promise<{ snapshot?: Snapshot; problems: readonly PolicyProblem[] }> {
  const source = await readSource(dir)
  const problems = source.problems.filter(({ file }) => file !== manifestFile)
  if (source.snapshot === undefined || problems.length > 0) return { problems }
  const { policyVersion, files, atomic } = source.snapshot
  const snapshot = { policyVersion, files, atomic }
  const outcome = await buildPolicy(snapshot)
  return outcome.ok ? { snapshot, problems: [] } : { problems: outcome.problems }
}

function pathIn(dir: string, { atomic }: Snapshot): string {
  if (!atomic) return join(dir, manifestFile)
  const why = `${dir} is a mounted ConfigMap, and a manifest beside its ..data link is not read`
  throw new CountersignError(
    'USAGE',
    `${why}: sign the folder that the ConfigMap is made of, or name a file with --out`,
  )
}

function reportOf({ snapshot, author, ticket, signedAt, keyIds, manifest }: Signed): object {
  const files = snapshot.files.map(({ name, sha256 }) => ({ name, sha256 }))
  return { policyVersion: snapshot.policyVersion, files, author, ticket, signedAt, signedBy: keyIds, manifest }
}

function textOf({ snapshot, author, ticket, keyIds, manifest }: Signed): string {
  const rows = [
    ['version', snapshot.policyVersion],
    ['files', snapshot.files.map(({ name }) => name).join(', ')],
    ['author', author],
    ...(ticket === null ? [] : [['ticket', ticket]]),
    ...keyIds.map((keyId, index) => [index === 0 ? 'key' : '', keyId]),
    ['manifest', manifest],
  ]
  return ['Signed.', ...rows.map(([name = '', text = '']) => `${name.padEnd(8)}  ${visible(text)}`)].join('\n')
}

function collect(file: string, before: readonly string[] = []): readonly string[] {
  return [...before, file]
}

function parseName(text: string): string {
  const why = nameProblem(text)
  if (why !== undefined) throw new InvalidArgumentError(why)
  return text
}
