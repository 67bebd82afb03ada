import { rm, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Announcements, type AnnounceOptions } from './announce.ts'
import { candidateChange, candidateRemoval, refusalOf } from './change.ts'
import { FollowedFolder, type FollowOptions } from './follow.ts'
import type { PolicyInForce } from './in-force.ts'
import type { LoadedPolicy, RefusedPolicy } from '../load.ts'
import { loadedStatus, refusedStatus, type LoadedStatus, type RefusedStatus } from './reload.ts'

export interface CandidateOptions extends Omit<FollowOptions, 'dir'>, AnnounceOptions {
  /** Left out where no candidate is wanted. */
  readonly dir?: string | undefined
  /** File that says which candidate is loaded, so that its removal is told also where it happens between two runs. */
  readonly mark: string
  /** Where the candidate's rules are put. */
  readonly candidate: PolicyInForce
  /** The policy in force, beside which it is evaluated. */
  readonly inForce: () => LoadedPolicy | undefined
  /** Told after each change of the status. MUST NOT throw. */
  readonly onChange?: (status: CandidateStatus) => void
}

export interface CandidateStatus {
  readonly loaded: LoadedStatus | null
  readonly refused: RefusedStatus | null
}

export interface CandidateFollow {
  status(): CandidateStatus
  /** Looks at the folder at once. Resolves when what stands there now is loaded, refused, or known to be nothing. */
  check(): Promise<void>
  stop(): Promise<void>
}

/**
 * Loads a candidate policy and follows its folder, as that of the policy in force. It is told and evaluated, and MUST NOT
 * have any other effect. A folder that is missing or empty is no fault: there is no candidate. Does not wait for the first load.
 */
export function followCandidate(options: CandidateOptions): CandidateFollow {
  const follow = new Candidate(options)
  void follow.check()
  follow.watch()
  return follow
}

class Candidate implements CandidateFollow {
  readonly #options: CandidateOptions
  readonly #folder: FollowedFolder | undefined
  readonly #announcements: Announcements
  readonly #markRead: Promise<void>
  /** Version of the candidate that was told last; null where none was, or its removal. */
  #told: string | null = null
  #marking: Promise<void> = Promise.resolve()
  #status: CandidateStatus = { loaded: null, refused: null }

  constructor(options: CandidateOptions) {
    this.#options = options
    this.#announcements = new Announcements(options)
    this.#markRead = readMark(options.mark).then((version) => {
      this.#told = version
    })
    const { dir } = options
    if (dir === undefined) return
    this.#folder = new FollowedFolder(
      { ...options, dir },
      {
        loaded: (policy, tookMs) => {
          this.#load(policy, tookMs)
        },
        refused: (policy) => {
          this.#refuse(policy)
        },
        back: () => {
          this.#tell({ refused: null })
        },
        empty: () => {
          this.#remove()
        },
      },
    )
  }

  status(): CandidateStatus {
    return this.#status
  }

  async check(): Promise<void> {
    await this.#markRead
    if (this.#folder === undefined) this.#remove()
    await this.#folder?.check()
    this.#announcements.retry()
  }

  watch(): void {
    this.#folder?.watch(() => this.check())
  }

  async stop(): Promise<void> {
    await this.#folder?.stop()
    await this.#marking
  }

  #load(policy: LoadedPolicy, tookMs: number): void {
    this.#options.candidate.swap(policy.ruleSet)
    const { policyVersion } = policy.snapshot
    const since = this.#announcements.announce(candidateChange(this.#options.inForce(), policy), () => {
      this.#mark(policyVersion)
    })
    this.#told = policyVersion
    this.#tell({ loaded: loadedStatus(policy, since, tookMs), refused: null })
  }

  #refuse(policy: RefusedPolicy): void {
    const since = this.#announcements.announce(refusalOf(this.#options.inForce(), policy, { candidate: true }))
    this.#tell({ refused: refusedStatus(policy, since) })
  }

  #remove(): void {
    this.#options.candidate.clear()
    if (this.#told !== null) {
      this.#announcements.announce(candidateRemoval(this.#options.inForce(), this.#told), () => {
        this.#mark(null)
      })
      this.#told = null
    }
    this.#tell({ loaded: null, refused: null })
  }

  #mark(version: string | null): void {
    this.#marking = this.#marking.then(() => writeMark(this.#options.mark, version))
  }

  #tell(news: Partial<CandidateStatus>): void {
    this.#status = { ...this.#status, ...news }
    this.#options.onChange?.(this.#status)
  }
}

async function readMark(path: string): Promise<string | null> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return /^(sha256:[0-9a-f]{64})\n$/.exec(text)?.[1] ?? null
}

/** Where it cannot be written, a removal between two runs is not told: nothing else depends on it. */
async function writeMark(path: string, version: string | null): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    if (version === null) await rm(path, { force: true })
    else await writeFile(path, `${version}\n`, { mode: 0o600 })
  } catch {
    // Said above.
  }
}
