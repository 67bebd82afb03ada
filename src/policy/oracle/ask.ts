import { Worker } from 'node:worker_threads'
import type { PolicyRequest, RuleSet } from '../../decision/rule-set.ts'
import { messageOf } from '../../errors.ts'
import { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import { problem, shown, type PolicyProblem } from '../problem.ts'
import { modelFile, type Snapshot } from '../source/source.ts'
import type { CheckedPolicy } from '../validate/validate.ts'
import type { OwnAnswer } from './compare.ts'
import type { CasbinAnswer } from './plain-casbin.ts'
import { readingProblem } from './same-reading.ts'
import type { Disagreement, FromOracleWorker, OracleOpening, OracleVerdict, ToOracleWorker } from './worker-messages.ts'

export interface AskLimits {
  /** Most requests to make from the rules. Default 500. */
  readonly requests?: number
  /** How long to ask Casbin, in milliseconds; at least one request is asked. Default 1,500. */
  readonly askMs?: number
  /** How long Casbin may say nothing, while it loads or answers one request, in milliseconds. Default 20,000. */
  readonly silenceMs?: number
  /** Nobody waits for the outcome any more: ends the thread, and rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface AskOutcome {
  /** `CASBIN_DISAGREES` for each request, or `CASBIN_REFUSED` where Casbin could not be asked. */
  readonly problems: readonly PolicyProblem[]
  readonly asked: number
  /** Requests for which there was no time. */
  readonly skipped: number
  /** Answers that differ by what `docs/casbin.md` lists. */
  readonly excused: number
}

/**
 * Puts requests (those of the policy's tests, then ones made from its rules) to node-casbin, in a thread of its own, and compares
 * effect and rule with what `ask` answers. A difference that is not on the list of `differences.ts` is a problem; so is it
 * where Casbin refuses the policy, ends or hangs. Never rejects but by `limits.signal`; leaves no thread behind.
 */
export async function askCasbin(
  snapshot: Pick<Snapshot, 'policyVersion' | 'files'>,
  policy: CheckedPolicy,
  cases: readonly { readonly request: PolicyRequest }[],
  ask: RuleSet['evaluate'],
  limits: AskLimits = {},
): Promise<AskOutcome> {
  limits.signal?.throwIfAborted()
  const otherReading = readingProblem(policy.model)
  if (otherReading !== undefined) return refused(otherReading)
  const opening: OracleOpening = {
    seed: snapshot.policyVersion,
    cases: cases.map(({ request }) => request),
    requests: limits.requests ?? 500,
    askMs: limits.askMs ?? 1_500,
  }
  const thread = new OracleThread(opening, limits.silenceMs ?? 20_000, limits.signal)
  try {
    const pace = new Pace(limits.signal)
    const files = snapshot.files.filter(({ name }) => name === modelFile || name.endsWith('.csv'))
    const verdict = await thread.verdict(files, pace, (requests) => answersOf(requests, ask, pace))
    const { asked, skipped, excused, disagreements } = verdict
    return { problems: disagreements.map(disagreementProblem), asked, skipped, excused }
  } catch (fault) {
    limits.signal?.throwIfAborted()
    return refused(messageOf(fault))
  } finally {
    await thread.end()
  }
}

function refused(message: string): AskOutcome {
  return { problems: [problem(modelFile, null, 'CASBIN_REFUSED', message)], asked: 0, skipped: 0, excused: 0 }
}

async function answersOf(
  requests: readonly PolicyRequest[],
  ask: RuleSet['evaluate'],
  pace: Pace,
): Promise<readonly OwnAnswer[]> {
  const answers: OwnAnswer[] = []
  for (const request of requests) {
    if (pace.due) await pace.rest()
    answers.push(answerOf(request, ask))
  }
  return answers
}

function answerOf(request: PolicyRequest, ask: RuleSet['evaluate']): OwnAnswer {
  try {
    const { effect, rule } = ask(request)
    return { effect, rule }
  } catch (thrown) {
    return { fault: messageOf(thrown) }
  }
}

type Files = Snapshot['files']
type AnswerAll = (requests: readonly PolicyRequest[]) => Promise<readonly OwnAnswer[]>

/** Of a file's text, in characters. */
const pieceLength = 512 * 1024

class OracleThread {
  readonly #worker: Worker
  readonly #silenceMs: number
  readonly #signal: AbortSignal | undefined
  #silence: NodeJS.Timeout | undefined

  constructor(opening: OracleOpening, silenceMs: number, signal: AbortSignal | undefined) {
    // The sources run as they are too, without a build: then the worker is TypeScript like this file.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    // Casbin prints some of what it is asked, and standard output belongs to the command that runs.
    const options = { workerData: opening, stdout: true }
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), options)
    this.#worker.stdout.resume()
    this.#silenceMs = silenceMs
    this.#signal = signal
  }

  /** Rejects where the thread refuses, ends, or says nothing for too long. */
  verdict(files: Files, pace: Pace, answer: AnswerAll): Promise<OracleVerdict> {
    return new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromOracleWorker) => {
        this.#hear(reject)
        if (message.kind === 'verdict') resolve(message)
        else if (message.kind === 'refused') reject(new Error(`Casbin refuses the policy: ${message.message}`))
        else if (message.kind === 'loaded') this.#answer(message.requests, answer).catch(reject)
      })
      this.#worker.on('error', (error) => reject(new Error(`the thread that asks Casbin ended: ${messageOf(error)}`)))
      this.#worker.on('exit', () => reject(new Error('the thread that asks Casbin ended without a word')))
      this.#signal?.addEventListener('abort', () => reject(new Error('given up')), { once: true })
      this.#hear(reject)
      this.#handOver(files, pace).catch(reject)
    })
  }

  async #handOver(files: Files, pace: Pace): Promise<void> {
    for (const { name, text } of files) {
      for (let at = 0; at < text.length; at += pieceLength) {
        this.#post({ kind: 'piece', file: name, text: text.slice(at, at + pieceLength) })
        await pace.rest()
      }
    }
    this.#post({ kind: 'complete' })
  }

  async #answer(requests: readonly PolicyRequest[], answer: AnswerAll): Promise<void> {
    this.#post({ kind: 'answers', answers: await answer(requests) })
  }

  async end(): Promise<void> {
    clearTimeout(this.#silence)
    await this.#worker.terminate()
  }

  #post(message: ToOracleWorker): void {
    this.#worker.postMessage(message)
  }

  #hear(reject: (fault: Error) => void): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => {
      reject(new Error(`Casbin has not answered for ${String(this.#silenceMs)} ms; a pattern may have no end for it`))
    }, this.#silenceMs)
  }
}

function disagreementProblem({ request, own, casbin }: Disagreement): PolicyProblem {
  const rule = ('rule' in own ? own.rule : null) ?? ('row' in casbin ? casbin.row?.rule : null)
  const message = `for the request ${JSON.stringify(request)} Casbin answers ${casbinWords(casbin)}, and the compiled rules ${ownWords(own)}`
  return problem(rule?.file ?? modelFile, rule?.line ?? null, 'CASBIN_DISAGREES', message)
}

function casbinWords(casbin: CasbinAnswer): string {
  return 'fault' in casbin ? `with the fault ${shown(casbin.fault)}` : words(casbin.effect, casbin.row?.rule ?? null)
}

function ownWords(own: OwnAnswer): string {
  return 'fault' in own ? `with the fault ${shown(own.fault)}` : words(own.effect, own.rule)
}

function words(effect: 'allow' | 'deny', rule: PolicyRow['rule'] | null): string {
  return rule === null ? `${effect}, by no rule` : `${effect}, by ${rule.file}:${String(rule.line)} ${shown(rule.text)}`
}
