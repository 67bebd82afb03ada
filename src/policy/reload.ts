import { policyEvent, type AuditEvent } from '../audit/event.ts'
import { changeBetween, refusalOf } from './change.ts'
import type { PolicyInForce } from './in-force.ts'
import { buildPolicy, type LoadedPolicy, type LoadOutcome, type RefusedPolicy } from './load.ts'
import type { PolicyProblem } from './problem.ts'
import { readSettled, snapshotKey, sourceKey, watchFolder } from './source/watch.ts'
import type { SourceOutcome } from './source/source.ts'

/** Keeps one audit event of a policy change. MUST NOT reject; false where it could not be kept: it is handed over again. */
export type PolicyRecorder = (event: AuditEvent) => Promise<boolean>

export interface ReloadOptions {
  readonly dir: string
  /** How often the folder's content is looked at even if nothing announced a change, in milliseconds. */
  readonly pollMs: number
  readonly inForce: PolicyInForce
  readonly record: PolicyRecorder
  /** Told after each change of the status. MUST NOT throw. */
  readonly onChange?: (status: PolicyStatus) => void
  /** Makes a UUIDv7. */
  readonly ids: () => string
  readonly now: () => Date
}

export interface PolicyStatus {
  /** The policy in force; null where none has been usable yet. */
  readonly inForce: { readonly policyVersion: string; readonly rules: number; readonly since: Date } | null
  /** What stands in the folder now, where it was refused. */
  readonly refused: {
    readonly policyVersion: string | null
    readonly problems: readonly PolicyProblem[]
    readonly since: Date
  } | null
}

export interface PolicyReload {
  status(): PolicyStatus
  /** Looks at the folder at once. Resolves when what stands there now is in force or refused. */
  check(): Promise<void>
  /** Ends watching; the policy in force stays. */
  stop(): Promise<void>
}

/**
 * Loads the policy of a folder and follows its changes. A good version replaces the one in force in one assignment; a bad
 * one is refused and the last good one stays. Each is recorded once. Resolves after the first attempt to load, good or bad.
 */
export async function startReload(options: ReloadOptions): Promise<PolicyReload> {
  const reload = new Reload(options)
  await reload.check()
  const unwatch = watchFolder(options.dir, options.pollMs, () => reload.check())
  return {
    status: () => reload.status,
    check: () => reload.check(),
    stop: () => {
      unwatch()
      return reload.stop()
    },
  }
}

class Reload {
  status: PolicyStatus = { inForce: null, refused: null }
  readonly #options: ReloadOptions
  #loaded: LoadedPolicy | undefined
  #refusedKey: string | undefined
  #running: Promise<void> | undefined
  #again = false
  #stopped = false
  #recording = false
  readonly #unrecorded: AuditEvent[] = []

  constructor(options: ReloadOptions) {
    this.#options = options
  }

  /** One look at a time; whoever asks meanwhile gets one more after it. */
  check(): Promise<void> {
    this.#again = true
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      await this.#look()
      void this.#recordWaiting()
    }
  }

  async #look(): Promise<void> {
    const source = await readSettled(this.#options.dir, (key) => this.#isKnown(key))
    if (source === undefined) return
    const key = sourceKey(source)
    if (this.#isLoaded(key)) this.#backToLoaded()
    if (this.#isKnown(key)) return
    const outcome = await build(source)
    if (this.#stopped) return
    if (outcome.ok) this.#accept(outcome)
    else this.#refuse(outcome, key)
    this.#options.onChange?.(this.status)
  }

  #isKnown(key: string): boolean {
    return this.#isLoaded(key) || key === this.#refusedKey
  }

  #isLoaded(key: string): boolean {
    return this.#loaded !== undefined && key === snapshotKey(this.#loaded.snapshot)
  }

  #accept(policy: LoadedPolicy): void {
    const data = changeBetween(this.#loaded, policy)
    this.#options.inForce.swap(policy.ruleSet)
    this.#loaded = policy
    this.#refusedKey = undefined
    const since = this.#announce(data)
    const { policyVersion } = policy.snapshot
    this.status = { inForce: { policyVersion, rules: policy.rows.length, since }, refused: null }
  }

  #refuse(policy: RefusedPolicy, key: string): void {
    this.#refusedKey = key
    const since = this.#announce(refusalOf(this.#loaded, policy))
    const { problems, snapshot } = policy
    this.status = { ...this.status, refused: { policyVersion: snapshot?.policyVersion ?? null, problems, since } }
  }

  /** Somebody put back the files of the policy in force: nothing changes but that nothing is refused any more. */
  #backToLoaded(): void {
    if (this.#refusedKey === undefined) return
    this.#refusedKey = undefined
    this.status = { ...this.status, refused: null }
    this.#options.onChange?.(this.status)
  }

  #announce(data: Parameters<typeof policyEvent>[2]): Date {
    const time = this.#options.now()
    this.#unrecorded.push(policyEvent(this.#options.ids(), time, data))
    return time
  }

  /** Not waited for: a slow disk must not hold back a change that takes a right away. */
  async #recordWaiting(): Promise<void> {
    if (this.#recording) return
    this.#recording = true
    for (let event = this.#unrecorded[0]; event !== undefined; event = this.#unrecorded[0]) {
      if (!(await this.#options.record(event))) break
      this.#unrecorded.shift()
    }
    this.#recording = false
  }
}

async function build({ snapshot, problems }: SourceOutcome): Promise<LoadOutcome> {
  if (snapshot === undefined) return { ok: false, problems }
  return problems.length > 0 ? { ok: false, snapshot, problems } : buildPolicy(snapshot)
}
