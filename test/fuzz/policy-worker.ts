import { parentPort } from 'node:worker_threads'
import type { PolicyRequest } from '../../src/decision/rule-set.ts'
import { buildPolicy } from '../../src/policy/load.ts'
import type { PolicyProblem } from '../../src/policy/problem.ts'
import { snapshot } from '../policy/policies.ts'

/** What became of the files of a policy. */
export interface Answer {
  readonly ok: boolean
  /** Whether there is something that could be asked, or something was allowed without a rule of the files. */
  readonly unsafe: boolean
  readonly problems: readonly PolicyProblem[]
  readonly warnings: readonly PolicyProblem[]
  /** Time of the processor that the fastest of some tries took, in milliseconds. */
  readonly ms: number
  /** What was thrown, if anything was. */
  readonly fault: string | null
}

const requests: readonly PolicyRequest[] = [
  {},
  { sub: 'anonymous', obj: '/', act: 'GET' },
  { sub: 'spiffe://cluster.local/ns/shop/sa/web', obj: '/orders/1', act: 'GET', dst: 'spiffe://cluster.local/x' },
  { sub: 'x', obj: '/x', act: 'x', host: 'x', user: 'x', rpc: 'x', port: '1', protocol: 'tcp' },
]

/** Tries for one that was slow: a busy machine is not the input's fault. */
const tries = 5
export const slowMs = 50

async function answer(files: Record<string, string>): Promise<Answer> {
  let best = await load(files)
  for (let left = tries; left > 0 && best.ms > slowMs; left -= 1) {
    const again = await load(files)
    if (again.ms < best.ms) best = again
  }
  return best
}

async function load(files: Record<string, string>): Promise<Answer> {
  const none = { ok: false, unsafe: false, problems: [], warnings: [] }
  const start = usedMs()
  try {
    const outcome = await buildPolicy(snapshot(files), { compareWithCasbin: false })
    const ms = usedMs() - start
    const problems = outcome.ok ? [] : outcome.problems
    const { warnings = [] } = outcome
    const unsafe = outcome.ok ? allowsWithoutRule(outcome.ruleSet, files) : 'ruleSet' in outcome
    return { ok: outcome.ok, unsafe, problems, warnings, ms, fault: null }
  } catch (fault) {
    return { ...none, ms: usedMs() - start, fault: fault instanceof Error ? String(fault.stack) : String(fault) }
  }
}

function allowsWithoutRule(
  rules: { evaluate(request: PolicyRequest): { effect: string; rule: { file: string; text: string } | null } },
  files: Record<string, string>,
): boolean {
  return requests.some((request) => {
    const { effect, rule } = rules.evaluate(request)
    if (effect !== 'allow') return false
    return rule === null || !(files[rule.file] ?? '').includes(rule.text) || !/^"?\s*p\s*"?\s*,/.test(rule.text)
  })
}

/** Of this thread alone: others may be busy. */
function usedMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

parentPort?.on('message', (files: Record<string, string>) => {
  void answer(files).then((found) => parentPort?.postMessage(found))
})
