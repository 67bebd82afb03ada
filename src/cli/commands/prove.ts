import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { formatSequence } from '../../audit/record.ts'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { CountersignError } from '../../errors.ts'
import { verifierKeysFile } from '../../keys/signing-key.ts'
import { readVerifierKeys } from '../../keys/verifier-keys.ts'
import { formatProof } from '../../readers/proof.ts'
import { prove, type Proving, type ProvingOutcome } from '../../readers/prove.ts'
import { openDataFolder } from '../../readers/source.ts'
import { commanderOutput, counted, exitByUsage, visible, type Io } from '../print.ts'
import { recordText } from '../record-text.ts'
import { replaceFile } from '../replace-file.ts'

interface ProveOptions {
  readonly data: string
  readonly out?: string
}

const examples = `
The proof holds the record, the path from it to the Merkle root, and the signed checkpoint with that root (the format is C2SP's
tlog-proof). Whoever has the public key checks it without any other record. A decision that was superseded has two records: both are
proved, one after the other. The id of any event will do.

Examples:
  countersign prove 0197a000-0000-7000-8000-000000000001 --out decision.tlog-proof
  countersign verify --proof decision.tlog-proof --keys trusted.pub

Exit status: 0 proved, 1 no such record, or none that can be proved yet, 2 usage, or the data cannot be read.`

/** `countersign prove ID`: writes an inclusion proof of what was recorded. Reads the data folder only. */
export function proveCommand(io: Io): Command {
  return new Command('prove')
    .description('prove to somebody without access to the trail what was decided')
    .argument('<id>', 'decision id, or the id of another event')
    .option('--data <dir>', 'data folder of the server', './countersign-data')
    .option('--out <file>', 'where the proof is written; standard output where it is left out')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (id: string, options: ProveOptions) => {
      process.exitCode = await proveId(io, id, options)
    })
}

async function proveId(io: Io, id: string, { data, out }: ProveOptions): Promise<number> {
  const provings = await readProvings(io, data, id)
  if (provings === undefined) return 2
  const proved = provings.flatMap(({ outcome }) => (outcome.kind === 'proved' ? [outcome] : []))
  if (proved.length === 0 || proved.length < provings.length) {
    io.err(visibleLines(provings.length === 0 ? unknownText(id, data) : provings.map(failureText).join('\n')))
    return 1
  }
  const text = proved.map(({ proof }) => formatProof(proof)).join('')
  const notes = [...provings.map(provedText), ...signerTexts(proved, data)].join('\n')
  if (out === undefined) {
    io.err(visibleLines(notes))
    io.out(text.replace(/\n$/, ''))
    return 0
  }
  // It holds the record, which is no less private than the archive.
  replaceFile('--out', out, text, 0o600)
  io.out(visibleLines(`${notes}\nWritten to ${out}. Check it with: countersign verify --proof ${out} --keys FILE`))
  return 0
}

async function readProvings(io: Io, dir: string, id: string): Promise<readonly Proving[] | undefined> {
  try {
    const folder = await openDataFolder(dir)
    try {
      return await prove(folder, id, keysOf(dir))
    } finally {
      folder.close()
    }
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    io.err(`${fault.code}: ${fault.message}`)
    return undefined
  }
}

type Proved = Extract<ProvingOutcome, { kind: 'proved' }>

function provedText({ record, outcome }: Proving): string {
  const size = outcome.kind === 'proved' ? outcome.checkpoint.size : 0
  return `Proved: ${recordText(record)}, by the checkpoint of the first ${counted(size, 'record')}.`
}

function failureText({ record, outcome }: Proving): string {
  const what = recordText(record)
  switch (outcome.kind) {
    case 'proved':
      return `Could be proved: ${what}; nothing is written, because what belongs to it is not proved.`
    case 'broken':
      return `Not proved: ${what}: the trail is not whole, ${outcome.problem}. "countersign verify" tells more.`
    case 'uncovered':
      return `Not proved yet: ${what}: ${uncoveredText(outcome)}`
  }
}

function uncoveredText({ lastSequence, ended }: Extract<ProvingOutcome, { kind: 'uncovered' }>): string {
  const last = `no checkpoint stands between it and the last record here, ${formatSequence(lastSequence)}.`
  return ended
    ? `${last} Its writer was ended by force, so none will: the hash that the next trail names is what covers it ("countersign verify").`
    : `${last} Try again after the next one, in checkpoint.everyMs (10 s by default) while the server runs.`
}

/** The folder's own list of keys. It may lack one: a folder that was filled from Kafka has none. */
function keysOf(data: string): readonly VerifierKey[] {
  const file = verifierKeysFile(join(data, 'keys'))
  return existsSync(file) ? readVerifierKeys(file) : []
}

/** Whose key the auditor needs, as far as the folder's own list tells. */
function signerTexts(proved: readonly Proved[], data: string): readonly string[] {
  const unknown = `Warning: ${verifierKeysFile(join(data, 'keys'))} has no key that signed it: the signature was not checked`
  return [...new Set(proved.map(({ signedBy }) => (signedBy === undefined ? unknown : `Signed by ${signedBy.text}`)))]
}

function unknownText(id: string, dir: string): string {
  return `No record of ${id} in ${dir}. "countersign query --data ${dir} --json" lists what is there.`
}

function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}
