import { join } from 'node:path'
import type { RuleSet } from '../../decision/rule-set.ts'
import type { AnnounceOptions } from './announce.ts'
import { type CandidateStatus, followCandidate } from './candidate.ts'
import type { FollowOptions } from './follow.ts'
import { PolicyInForce } from './in-force.ts'
import { type PolicyStatus, startReload } from './reload.ts'

export interface PoliciesOptions extends FollowOptions, AnnounceOptions {
  /** Folder of the candidate policy, where there is one. */
  readonly candidateDir?: string | undefined
  /** Folder for what is kept of policies between two runs. */
  readonly keptDir: string
  /** How long the start waits for a policy to be loaded, in milliseconds. */
  readonly startMs: number
  /** How long a failed attempt to keep the last good policy waits for the next, in milliseconds. */
  readonly retryMs: number
  readonly onChange: (status: PolicyStatus) => void
  readonly onCandidate: (status: CandidateStatus) => void
}

/** The policies of a server: the one in force, and a candidate beside it. */
export interface Policies {
  /** Undefined until a usable policy has been loaded. */
  rulesInForce(): RuleSet | undefined
  /** Undefined while there is none. */
  candidate(): RuleSet | undefined
  status(): PolicyStatus & { readonly candidate: CandidateStatus }
  stop(): Promise<void>
}

/** Starts with the policy in force, as `startReload` does; the candidate is loaded after it, and nobody waits for it. */
export async function startPolicies(options: PoliciesOptions): Promise<Policies> {
  const { keptDir, candidateDir, retryMs, onCandidate, ...common } = options
  const [inForce, candidate] = [new PolicyInForce(), new PolicyInForce()]
  const reload = await startReload({ ...common, inForce, lastGood: { dir: keptDir, retryMs } })
  const follow = followCandidate({
    ...common,
    dir: candidateDir,
    mark: join(keptDir, 'candidate'),
    candidate,
    inForce: () => reload.loaded(),
    onChange: onCandidate,
  })
  return {
    rulesInForce: () => inForce.rules,
    candidate: () => candidate.rules,
    status: () => ({ ...reload.status(), candidate: follow.status() }),
    stop: async () => {
      await Promise.all([reload.stop(), follow.stop()])
    },
  }
}
