import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../errors.ts'
import type { LoadedPolicy, LoadOutcome, RefusedPolicy } from '../load.ts'
import { problem } from '../problem.ts'
import { LoadRetry } from './retry.ts'
import { fingerprint } from '../source/fingerprint.ts'
import { modelFile, readSource, type Snapshot, type SourceOutcome } from '../source/source.ts'
import { readSettled, snapshotKey, sourceKey, watchFolder } from '../source/watch.ts'

export interface FollowOptions {
  readonly dir: string
  /** How often the folder is looked at even if nothing announced a change, in milliseconds. */
  readonly pollMs: number
  /** Checks and builds what was read; may take seconds. Where `signal` gives it up it may end early, and may reject. */
  readonly build: (snapshot: Snapshot, signal: AbortSignal) => Promise<LoadOutcome>
  /** How long a load that failed inside waits for its second attempt, in milliseconds; one second where it is left out. */
  readonly firstRetryMs?: number
}

/** What is told of a folder, one after another. MUST NOT throw. */
export interface FolderNews {
  /** Waited for before a version is told as loaded. MUST NOT reject. */
  beforeLoaded?(snapshot: Snapshot): Promise<void>
  /** A version that can be used, and the milliseconds that loading it took. */
  loaded(policy: LoadedPolicy, tookMs: number): void
  refused(policy: RefusedPolicy): void
  /** What was loaded last stands in the folder again, after something else was refused. */
  back(): void
  /** There is no policy any more. Where it is left out, that is refused like any other fault. */
  empty?(): void
}

/** So many versions in a row may be given up for a newer one while they are loaded; else a busy folder would never get any in force. */
const mostGivenUp = 3
const longestStopMs = 1000

/**
 * Follows a policy folder: each state of it is told once. While a version is loaded a newer one may appear; then only the
 * newer one is told. A load that fails inside is told as a refusal and tried again, after a pause that grows.
 */
export class FollowedFolder {
  readonly #options: FollowOptions
  readonly #news: FolderNews
  readonly #stopping = new AbortController()
  readonly #retry: LoadRetry
  /** What stands in the folder, as far as it is known: the version loaded last, and what was refused after it. */
  #loadedKey: string | undefined
  #refusedKey: string | undefined
  #seen: string | undefined
  #building: { readonly key: string; readonly abort: AbortController } | undefined
  #givenUp = 0
  #fromElsewhere = false
  #peeking = false
  #running: Promise<void> | undefined
  #again = false
  #unwatch: () => void = () => undefined

  constructor(options: FollowOptions, news: FolderNews) {
    this.#options = options
    this.#news = news
    this.#retry = new LoadRetry(() => {
      this.#seen = undefined
      void this.check()
    }, options.firstRetryMs)
  }

  /** Calls `look` from now on when the folder may have changed, until `stop`. */
  watch(look: () => Promise<void>): void {
    if (!this.#stopped) this.#unwatch = watchFolder(this.#options.dir, this.#options.pollMs, look)
  }

  /** Takes a version for the one that was loaded last, which came from elsewhere. */
  standsFor(snapshot: Snapshot): void {
    this.#loadedKey = snapshotKey(snapshot)
    this.#fromElsewhere = true
  }

  /** Looks at the folder at once. Resolves when what stands there now has been told; one look at a time. */
  check(): Promise<void> {
    this.#again = true
    if (this.#running === undefined) this.#running = this.#run().finally(() => (this.#running = undefined))
    else void this.#giveUpOlder()
    return this.#running
  }

  /** Nothing is told any more. Ends a load that is under way. */
  async stop(): Promise<void> {
    this.#unwatch()
    this.#retry.clear()
    this.#stopping.abort()
    // A file system that hangs must not keep the process.
    if (this.#running !== undefined) await doneWithin(longestStopMs, this.#running)
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      await this.#look()
    }
  }

  async #look(): Promise<void> {
    const seen = await fingerprint(this.#options.dir, Date.now())
    if (seen !== undefined && seen === this.#seen) return
    const source = await readSettled(this.#options.dir, (key) => this.#isKnown(key))
    if (source === undefined || this.#stopped) return
    const told = this.#isKnown(sourceKey(source)) ? this.#tellKnown(source) : await this.#tellNew(source)
    // What could not be read may be read the next time, although nobody touched it.
    if (told) this.#seen = source.snapshot === undefined ? undefined : seen
  }

  #isKnown(key: string): boolean {
    return key === this.#loadedKey || (key === this.#refusedKey && !this.#retry.isDue(key))
  }

  #tellKnown(source: SourceOutcome): boolean {
    const isNews = this.#refusedKey !== undefined || this.#fromElsewhere
    if (sourceKey(source) !== this.#loadedKey || !isNews) return true
    this.#retry.clear()
    this.#refusedKey = undefined
    this.#fromElsewhere = false
    this.#news.back()
    return true
  }

  async #tellNew(source: SourceOutcome): Promise<boolean> {
    const key = sourceKey(source)
    const startMs = performance.now()
    const empty = source.empty === true && this.#news.empty !== undefined
    const outcome = empty ? undefined : await this.#build(source, key)
    if (this.#stopped || outcome === 'given up') return false
    // The same version may have come from elsewhere meanwhile.
    if (key === this.#loadedKey) return this.#tellKnown(source)
    const isTold = failedInside(outcome) && key === this.#refusedKey
    this.#refusedKey = outcome?.ok === true ? undefined : key
    if (failedInside(outcome)) this.#retry.plan(key)
    else this.#retry.clear()
    if (isTold) return true
    if (outcome?.ok === true) {
      this.#loadedKey = key
      this.#fromElsewhere = false
      this.#news.loaded(outcome, performance.now() - startMs)
    } else if (outcome === undefined) {
      this.#loadedKey = undefined
      this.#news.empty?.()
    } else this.#news.refused(outcome)
    return true
  }

  async #build(source: SourceOutcome, key: string): Promise<LoadOutcome | 'given up'> {
    const abort = new AbortController()
    this.#building = { key, abort }
    const signal = AbortSignal.any([abort.signal, this.#stopping.signal])
    const outcome = await unlessAborted(signal, buildSource(source, this.#options.build, signal))
    this.#building = undefined
    this.#givenUp = outcome === 'given up' ? this.#givenUp + 1 : 0
    if (outcome !== 'given up' && outcome.ok) await this.#news.beforeLoaded?.(outcome.snapshot)
    return outcome
  }

  /** Somebody asks to look while a version is being loaded: where another one stands there by now, that one is loaded instead. */
  async #giveUpOlder(): Promise<void> {
    const building = this.#building
    if (building === undefined || this.#peeking || this.#givenUp >= mostGivenUp) return
    this.#peeking = true
    const source = await readSource(this.#options.dir)
    this.#peeking = false
    if (sourceKey(source) !== building.key) building.abort.abort()
  }
}

/** Whether a load failed for no reason that stands in the files: for want of memory or threads, for example. */
function failedInside(outcome: LoadOutcome | undefined): boolean {
  return outcome?.ok === false && outcome.problems.some(({ code }) => code === 'LOAD_FAILED')
}

/** Builds what was read, where it could be read. Never rejects. */
export async function buildSource(
  { snapshot, problems }: SourceOutcome,
  build: FollowOptions['build'],
  signal: AbortSignal,
): Promise<LoadOutcome> {
  if (snapshot === undefined) return { ok: false, problems }
  if (problems.length > 0) return { ok: false, snapshot, problems }
  try {
    return await build(snapshot, signal)
  } catch (fault) {
    return { ok: false, snapshot, problems: [problem(modelFile, null, 'LOAD_FAILED', messageOf(fault))] }
  }
}

/** What the build gives, or, once nobody waits for it any more, that it was given up. Leaves nothing on the signal behind. */
async function unlessAborted(signal: AbortSignal, build: Promise<LoadOutcome>): Promise<LoadOutcome | 'given up'> {
  const { promise, resolve } = Promise.withResolvers<'given up'>()
  const onAbort = () => {
    resolve('given up')
  }
  signal.addEventListener('abort', onAbort)
  try {
    const built = await Promise.race([build, promise])
    return signal.aborted ? 'given up' : built
  } finally {
    // The signal lives as long as the folder is followed, and a listener on it would keep the policy that was built.
    signal.removeEventListener('abort', onAbort)
  }
}

/** Waits for work, at most so many milliseconds; says whether it was done by then. */
export async function doneWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const waiting = new AbortController()
  const late = sleep(ms, false, { signal: waiting.signal }).catch(() => false)
  const done = await Promise.race([work.then(() => true), late])
  waiting.abort()
  return done
}
