import { Worker } from 'node:worker_threads'
import type { PolicyRequest, RuleSet } from '../../decision/rule-set.ts'
import { messageOf } from '../../errors.ts'
import { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import { problem, shown, warning, type PolicyProblem } from '../problem.ts'
import { modelFile, type Snapshot } from '../source/source.ts'
import type { OwnAnswer } from './compare.ts'
import type { CasbinAnswer } from './plain-casbin.ts'
import type {
  Asked,
  Disagreement,
  FromOracleWorker,
  OracleOpening,
  OracleVerdict,
  ToOracleWorker,
} from './worker-messages.ts'

export interface AskLimits {
  /** Most requests to make from the rules. Default 500. */
  readonly requests?: number
  /** How long to ask Casbin, in milliseconds; at least one request is asked. Default 1,000. */
  readonly askMs?: number
  /** How long Casbin may say nothing, while it loads or answers one request, in milliseconds. Default 10,000. */
  readonly silenceMs?: number
  /** Nobody waits for the outcome any more: ends the thread, and rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** How many requests were asked. */
export interface AskCounts {
  readonly asked: number
  /** Requests for which there was no time. */
  readonly skipped: number
  /** Answers that differ by what `docs/casbin.md` lists. */
  readonly excused: number
}

export interface AskOutcome {
  /** `CASBIN_DISAGREES` for each request, or `CASBIN_REFUSED` where Casbin does not take the policy. */
  readonly problems: readonly PolicyProblem[]
  /** `NOT_COMPARED` where Casbin took the policy but gave no answer in time. */
  readonly warnings: readonly PolicyProblem[]
  readonly counts: AskCounts
}

/** node-casbin with a policy, in a thread of its own. */
export interface Oracle {
  /**
   * Puts requests (those of the policy's tests, then ones made from its rules) to node-casbin and compares effect and rule with
   * what `ask` answers. A difference that is not on the list of `differences.ts` is a problem; so is it where Casbin refuses the
   * policy. Never rejects but by `limits.signal`.
   */
  compare(cases: readonly { readonly request: PolicyRequest }[], ask: RuleSet['evaluate']): Promise<AskOutcome>
  /** Leaves no thread behind. */
  end(): Promise<void>
}

/** Hands a policy to node-casbin, which reads it for itself while other work goes on. */
export function startOracle(snapshot: Pick<Snapshot, 'policyVersion' | 'files'>, limits: AskLimits = {}): Oracle {
  limits.signal?.throwIfAborted()
  const opening = { seed: snapshot.policyVersion, requests: limits.requests ?? 500, askMs: limits.askMs ?? 1_000 }
  const thread = new OracleThread(opening, limits.silenceMs ?? 10_000, limits.signal)
  const files = snapshot.files.filter(({ name }) => name === modelFile || name.endsWith('.csv'))
  thread.handOver(files)
  return {
    compare: async (cases, ask) => {
      try {
        return outcomeOf(await thread.verdict(cases, ask))
      } catch (fault) {
        limits.signal?.throwIfAborted()
        return notCompared(messageOf(fault))
      }
    },
    end: () => thread.end(),
  }
}

function outcomeOf(verdict: OracleVerdict | Refusal): AskOutcome {
  if (verdict.kind === 'refused') {
    const message = `Casbin refuses the policy: ${verdict.message}`
    return { counts: nothingAsked, problems: [problem(modelFile, null, 'CASBIN_REFUSED', message)], warnings: [] }
  }
  const { asked, skipped, excused, disagreements } = verdict
  return { problems: disagreements.map(disagreementProblem), warnings: [], counts: { asked, skipped, excused } }
}

const nothingAsked: AskCounts = { asked: 0, skipped: 0, excused: 0 }

function notCompared(message: string): AskOutcome {
  return { counts: nothingAsked, problems: [], warnings: [warning(modelFile, null, 'NOT_COMPARED', message)] }
}

type Files = Snapshot['files']
type Refusal = Extract<FromOracleWorker, { kind: 'refused' }>

/** Of a file's text, in characters. */
const pieceLength = 512 * 1024
/** Requests that are handed over at a time. */
const askedAtOnce = 500

class OracleThread {
  readonly #worker: Worker
  readonly #silenceMs: number
  readonly #askMs: number
  readonly #signal: AbortSignal | undefined
  readonly #loaded = Promise.withResolvers<readonly PolicyRequest[] | Refusal>()
  readonly #verdict = Promise.withResolvers<OracleVerdict | Refusal>()
  #silence: NodeJS.Timeout | undefined

  constructor(opening: OracleOpening, silenceMs: number, signal: AbortSignal | undefined) {
    // The sources run as they are too, without a build: then the worker is TypeScript like this file.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    // Casbin prints some of what it is asked, and standard output belongs to the command that runs.
    const options = { workerData: opening, stdout: true }
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), options)
    this.#worker.stdout.resume()
    this.#silenceMs = silenceMs
    this.#askMs = opening.askMs
    this.#signal = signal
    this.#listen()
  }

  #listen(): void {
    // Nobody may be waiting yet when one of them fails.
    for (const { promise } of [this.#loaded, this.#verdict]) promise.catch(() => undefined)
    this.#worker.on('message', (message: FromOracleWorker) => {
      this.#hear()
      if (message.kind === 'verdict') this.#verdict.resolve(message)
      if (message.kind === 'loaded') this.#loaded.resolve(message.requests)
      if (message.kind === 'refused') this.#refuse(message)
      // From here on it waits for what it is to ask.
      if (message.kind === 'loaded') clearTimeout(this.#silence)
    })
    this.#worker.on('error', (error) => {
      this.#fail(`the thread that asks Casbin ended: ${messageOf(error)}`)
    })
    this.#worker.on('exit', () => {
      this.#fail('the thread that asks Casbin ended without a word')
    })
    this.#signal?.addEventListener('abort', this.#giveUp, { once: true })
    this.#hear()
  }

  readonly #giveUp = (): void => {
    this.#fail('given up')
  }

  #refuse(refusal: Refusal): void {
    this.#loaded.resolve(refusal)
    this.#verdict.resolve(refusal)
  }

  #fail(message: string): void {
    this.#loaded.reject(new Error(message))
    this.#verdict.reject(new Error(message))
  }

  /** Goes on by itself: the thread reads while the policy is compiled. */
  handOver(files: Files): void {
    this.#handOver(files).catch((fault: unknown) => {
      this.#fail(messageOf(fault))
    })
  }

  async #handOver(files: Files): Promise<void> {
    const pace = new Pace(this.#signal)
    for (const { name, text } of files) {
      for (let at = 0; at < text.length; at += pieceLength) {
        this.#post({ kind: 'piece', file: name, text: text.slice(at, at + pieceLength) })
        await pace.rest()
      }
    }
    this.#post({ kind: 'complete' })
  }

  /** Rejects where the thread ends, or says nothing for too long. */
  async verdict(
    cases: readonly { readonly request: PolicyRequest }[],
    ask: RuleSet['evaluate'],
  ): Promise<OracleVerdict | Refusal> {
    const loaded = await this.#loaded.promise
    if ('kind' in loaded) return loaded
    const pace = new Pace(this.#signal)
    const until = performance.now() + this.#askMs
    const requests = [...cases.map(({ request }) => request), ...loaded]
    let handed = 0
    for (let at = 0; at < requests.length; at += askedAtOnce) {
      const asked: Asked[] = []
      for (const request of requests.slice(at, at + askedAtOnce)) {
        if (pace.due) await pace.rest()
        if (handed > 0 && performance.now() >= until) break
        asked.push({ request, own: answerOf(request, ask) })
        handed += 1
      }
      this.#post({ kind: 'ask', asked })
    }
    this.#post({ kind: 'complete' })
    // Only from here on it is Casbin's turn to say something.
    this.#hear()
    const verdict = await this.#verdict.promise
    return verdict.kind === 'refused' ? verdict : { ...verdict, skipped: requests.length - verdict.asked }
  }

  async end(): Promise<void> {
    clearTimeout(this.#silence)
    this.#signal?.removeEventListener('abort', this.#giveUp)
    await this.#worker.terminate()
  }

  #post(message: ToOracleWorker): void {
    this.#worker.postMessage(message)
  }

  #hear(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => {
      this.#fail(
        `Casbin has not answered for ${String(this.#silenceMs)} ms; a pattern or a role may have no end for it`,
      )
    }, this.#silenceMs)
  }
}

function answerOf(request: PolicyRequest, ask: RuleSet['evaluate']): OwnAnswer {
  try {
    const { effect, rule } = ask(request)
    return { effect, rule }
  } catch (thrown) {
    return { fault: messageOf(thrown) }
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
