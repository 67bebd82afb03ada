/** Loads a policy of the benchmark, and measures it: node --expose-gc test/bench/load.ts SIZE prints `Loaded` as JSON. */
import { hash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildPolicy, type LoadedPolicy } from '../../src/policy/load.ts'
import { policyVersionOf, type Snapshot } from '../../src/policy/source/source.ts'
import { meshPolicy, type BenchPolicy } from './policies.ts'

export interface Loaded {
  readonly seconds: number
  readonly longestStopMs: number
  /** What the policy keeps, beyond the process without it. */
  readonly heapBytes: number
  /** The whole process, with all that was needed while loading. */
  readonly residentBytes: number
}

export async function loadBench(policy: BenchPolicy, options: { compare: boolean }): Promise<LoadedPolicy> {
  const outcome = await buildPolicy(snapshotOf(policy), options.compare ? {} : { compareWithCasbin: false })
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems.slice(0, 3)))
  return outcome
}

function snapshotOf({ model, rules }: BenchPolicy): Snapshot {
  const files = Object.entries({ 'model.conf': model, 'policy.csv': rules }).map(([name, text]) => ({
    name,
    text,
    sha256: hash('sha256', text),
  }))
  return { policyVersion: policyVersionOf(files), files, atomic: true }
}

async function measure(size: number): Promise<Loaded> {
  // What the code itself needs is loaded and compiled before.
  await loadBench(meshPolicy(100, matcher, ':id'), { compare: true })
  const policy = meshPolicy(size, matcher, ':id')
  await sleep(100)
  const before = heap()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const loaded = await loadBench(policy, { compare: true })
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  const residentBytes = process.memoryUsage().rss
  const heapBytes = heap() - before
  if (loaded.rows.length < size) throw new Error('the policy is not whole')
  return { seconds, longestStopMs: delay.max / 1e6, heapBytes, residentBytes }
}

const matcher = 'g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act'

function heap(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const [size] = process.argv.slice(2)
if (import.meta.main && size !== undefined) console.log(JSON.stringify(await measure(Number(size))))
