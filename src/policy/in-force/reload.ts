import type { PolicyData } from '../../audit/event-data.ts'
import { Announcements, type AnnounceOptions } from './announce.ts'
import { changeBetween, refusalOf } from './change.ts'
import { buildSource, doneWithin, FollowedFolder, type FollowOptions } from './follow.ts'
import type { PolicyInForce } from './in-force.ts'
import { LastGoodKeeper } from './keeper.ts'
import type { LoadedPolicy, RefusedPolicy } from '../load.ts'
import type { PolicyProblem } from '../problem.ts'
import { readLastGood } from '../source/last-good.ts'

export interface ReloadOptions extends FollowOptions, AnnounceOptions {
  readonly inForce: PolicyInForce
  /** Where the last good policy is kept, and how long a failed attempt to keep it waits for the next, in milliseconds. */
  readonly lastGood: { readonly dir: string; readonly retryMs: number }
  /** How long the start waits for a policy to be loaded, in milliseconds; then loading goes on behind it. */
  readonly startMs: number
  /** Told after each change of the status. MUST NOT throw. */
  readonly onChange?: (status: PolicyStatus) => void
}

/** A version that is in use. */
export interface LoadedStatus {
  readonly policyVersion: string
  /** Rules and role links. */
  readonly rules: number
  readonly warnings: number
  readonly since: Date
  /** What loading it took, in milliseconds. */
  readonly tookMs: number
}

/** What stands in a folder now, where it was refused. */
export interface RefusedStatus {
  readonly policyVersion: string | null
  readonly problems: readonly PolicyProblem[]
  readonly since: Date
}

export interface PolicyStatus {
  /** The policy in force; null where none has been usable yet. `origin` says whether it is what stands in the folder, or stood there, or the copy. */
  readonly inForce: (LoadedStatus & { readonly origin: PolicyData['origin'] }) | null
  readonly refused: RefusedStatus | null
  /** What is wrong with the copy of the last good policy: it could not be written, or not be used. */
  readonly copyProblem: string | null
}

export interface PolicyReload {
  status(): PolicyStatus
  /** The policy in force, with its files and rows. */
  loaded(): LoadedPolicy | undefined
  /** Looks at the folder at once. Resolves when what stands there now is in force or refused. */
  check(): Promise<void>
  /** Ends watching, and a load that is under way; the policy in force stays. */
  stop(): Promise<void>
}

/**
 * Loads the policy of a folder and follows its changes. A good version replaces the one in force in one assignment, once the copy of that is gone; a bad
 * one is refused and the last good one stays, which after a start is the copy that was kept of it. Each is recorded once.
 * Resolves after the first attempt to load, good or bad, or when that takes too long.
 */
export async function startReload(options: ReloadOptions): Promise<PolicyReload> {
  const reload = new Reload(options)
  await doneWithin(options.startMs, reload.check())
  if (reload.loaded() === undefined) await doneWithin(options.startMs, reload.restore())
  reload.watch()
  return reload
}

class Reload implements PolicyReload {
  readonly #options: ReloadOptions
  readonly #folder: FollowedFolder
  readonly #announcements: Announcements
  readonly #keeper: LastGoodKeeper
  readonly #stopping = new AbortController()
  #loaded: LoadedPolicy | undefined
  #status: PolicyStatus = { inForce: null, refused: null, copyProblem: null }

  constructor(options: ReloadOptions) {
    this.#options = options
    this.#announcements = new Announcements(options)
    const { dir, retryMs } = options.lastGood
    this.#keeper = new LastGoodKeeper(dir, retryMs, (copyProblem) => {
      if (copyProblem !== this.#status.copyProblem) this.#tell({ copyProblem })
    })
    this.#folder = new FollowedFolder(options, {
      beforeLoaded: (snapshot) => this.#keeper.giveWay(snapshot),
      loaded: (policy, tookMs) => {
        this.#accept(policy, 'folder', tookMs)
      },
      refused: (policy) => {
        this.#refuse(policy)
      },
      back: () => {
        this.#backToLoaded()
      },
    })
  }

  status(): PolicyStatus {
    return this.#status
  }

  loaded(): LoadedPolicy | undefined {
    return this.#loaded
  }

  async check(): Promise<void> {
    await this.#folder.check()
    this.#announcements.retry()
  }

  watch(): void {
    this.#folder.watch(() => this.check())
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#folder.stop()
    await this.#keeper.stop()
  }

  /** Puts the copy of the last good policy in force, where there is one and nothing else is. */
  async restore(): Promise<void> {
    const startMs = performance.now()
    const source = await readLastGood(this.#options.lastGood.dir)
    if (source === undefined) return
    const outcome = await buildSource(source, this.#options.build, this.#stopping.signal)
    if (this.#loaded !== undefined || this.#stopping.signal.aborted) return
    if (outcome.ok) {
      this.#folder.standsFor(outcome.snapshot)
      this.#accept(outcome, 'last-good', performance.now() - startMs)
    } else this.#refuseCopy(outcome)
  }

  #accept(policy: LoadedPolicy, origin: PolicyData['origin'], tookMs: number): void {
    const before = this.#loaded
    this.#options.inForce.swap(policy.ruleSet)
    this.#loaded = policy
    const since = this.#announcements.announce(changeBetween(before, policy, origin))
    const inForce = { ...loadedStatus(policy, since, tookMs), origin }
    if (origin === 'last-good') {
      this.#tell({ inForce })
      return
    }
    this.#tell({ inForce, refused: null })
    this.#keeper.keep(policy.snapshot)
  }

  #refuse(policy: RefusedPolicy): void {
    const since = this.#announcements.announce(refusalOf(this.#loaded, policy))
    this.#tell({ refused: refusedStatus(policy, since) })
  }

  #refuseCopy(policy: RefusedPolicy): void {
    this.#announcements.announce(refusalOf(undefined, policy, { origin: 'last-good' }))
    this.#tell({ copyProblem: policy.problems[0]?.message ?? 'the copy of the last good policy is refused' })
  }

  /** Somebody put back the files of the policy in force: nothing changes but that nothing is refused any more. */
  #backToLoaded(): void {
    const { inForce } = this.#status
    this.#tell({ inForce: inForce?.origin === 'last-good' ? { ...inForce, origin: 'folder' } : inForce, refused: null })
  }

  #tell(news: Partial<PolicyStatus>): void {
    this.#status = { ...this.#status, ...news }
    this.#options.onChange?.(this.#status)
  }
}

export function loadedStatus(policy: LoadedPolicy, since: Date, tookMs: number): LoadedStatus {
  const { policyVersion } = policy.snapshot
  return { policyVersion, rules: policy.rows.length, warnings: policy.warnings.length, since, tookMs }
}

export function refusedStatus({ snapshot, problems }: RefusedPolicy, since: Date): RefusedStatus {
  return { policyVersion: snapshot?.policyVersion ?? null, problems, since }
}
