import { join } from 'node:path'
import { type Policies, startPolicies } from '../policy/in-force/policies.ts'
import { buildPolicy } from '../policy/load.ts'
import { candidateTeller, policyTeller } from '../telemetry/policy.ts'
import { newId } from './ids.ts'
import type { Inputs } from './inputs.ts'
import type { Parts } from './parts.ts'

/**
 * How often policy folders are looked at, whether or not the system announces a change; how long the start waits for a
 * policy; and when the last good one is kept again after that failed.
 */
const policyTimes = { pollMs: 1000, startMs: 20_000, retryMs: 10_000 }

/** Puts the policy in force, follows its folder, and records each change. */
export function followPolicy(
  { settings, loading }: Inputs,
  { log, metrics, spool }: Pick<Parts, 'log' | 'metrics' | 'spool'>,
): Promise<Policies> {
  return startPolicies({
    dir: settings.policy.dir,
    candidateDir: settings.policy.candidate,
    keptDir: join(settings.data, 'policy'),
    ...policyTimes,
    build: (snapshot, signal) => buildPolicy(snapshot, { ...loading, signal }),
    record: (event) => spool.record(event),
    onChange: policyTeller(metrics, log),
    onCandidate: candidateTeller(metrics, log),
    ids: newId,
    now: () => new Date(),
  })
}
