import { on } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../errors.ts'
import { Pace } from '../pace.ts'
import { parseModel } from '../parse/parse-model.ts'
import { parseRules, type PolicyRow } from '../parse/parse-rules.ts'
import { modelFile } from '../source/source.ts'
import { validateModel } from '../validate/validate-model.ts'
import { compareWithCasbin } from './compare.ts'
import { PlainCasbin, type AskedPolicy } from './plain-casbin.ts'
import { deriveRequests } from './requests.ts'
import type {
  Asked,
  Disagreement,
  FromOracleWorker,
  OracleOpening,
  OracleVerdict,
  ToOracleWorker,
} from './worker-messages.ts'

// The thread in which Casbin is asked. It reads the files for itself, asks, says its verdict and ends.

const port = parentPort
if (port === null) throw new Error('oracle/worker runs as a worker thread only')

/** How often to say that it goes on, in milliseconds. */
const sayMs = 200
const maxDisagreements = 20

// From the beginning, so that none is missed.
const messages = on(port, 'message')

function say(message: FromOracleWorker): void {
  port?.postMessage(message)
}

async function receive(): Promise<ToOracleWorker> {
  const { value } = (await messages.next()) as IteratorYieldResult<[ToOracleWorker]>
  return value[0]
}

/** Of the files by their names, in their order. */
async function receiveTexts(): Promise<ReadonlyMap<string, string>> {
  const pieces = new Map<string, string[]>()
  for (let message = await receive(); message.kind === 'piece'; message = await receive()) {
    const { file, text } = message
    pieces.set(file, [...(pieces.get(file) ?? []), text])
  }
  return new Map([...pieces].map(([name, texts]) => [name, texts.join('')]))
}

async function readPolicy(texts: ReadonlyMap<string, string>): Promise<AskedPolicy> {
  const sources = [...texts].map(([name, text]) => ({ name, text, sha256: '' }))
  const model = sources.find(({ name }) => name === modelFile) ?? { name: modelFile, text: '', sha256: '' }
  const read = validateModel(model.text, parseModel(model))
  if (read.model === undefined) throw new Error(read.problems[0]?.message ?? 'the model cannot be read')
  const rows: PolicyRow[] = []
  for (const file of sources.filter(({ name }) => name.endsWith('.csv'))) {
    for (const row of (await parseRules(file, new Pace())).rows) rows.push(row)
  }
  return { model: read.model, rows }
}

async function receiveAsked(): Promise<readonly Asked[]> {
  const all: Asked[] = []
  for (let message = await receive(); message.kind === 'ask'; message = await receive()) all.push(...message.asked)
  return all
}

function compareAll(casbin: PlainCasbin, all: readonly Asked[], askMs: number): OracleVerdict {
  const disagreements: Disagreement[] = []
  const start = performance.now()
  let said = start
  let asked = 0
  let excused = 0
  for (const { request, own } of all) {
    const now = performance.now()
    if (asked > 0 && (now - start >= askMs || disagreements.length >= maxDisagreements)) break
    if (now - said >= sayMs) say({ kind: 'asking' })
    if (now - said >= sayMs) said = now
    const comparison = compareWithCasbin(casbin, request, own)
    asked += 1
    if (comparison.kind === 'excused') excused += 1
    if (comparison.kind === 'disagrees') disagreements.push({ request, own, casbin: comparison.casbin })
  }
  return { kind: 'verdict', asked, skipped: all.length - asked, excused, disagreements }
}

try {
  const opening = workerData as OracleOpening
  const policy = await readPolicy(await receiveTexts())
  say({ kind: 'asking' })
  const casbin = await PlainCasbin.build(policy)
  say({ kind: 'loaded', requests: deriveRequests(policy, opening.seed, opening.requests) })
  say(compareAll(casbin, await receiveAsked(), opening.askMs))
} catch (thrown) {
  say({ kind: 'refused', message: messageOf(thrown) })
} finally {
  port.close()
}
