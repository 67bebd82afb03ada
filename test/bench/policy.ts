/**
 * What a decision costs, what a policy weighs, and how long it takes to load: `make bench-policy`. All figures that are compared
 * come from one run, beside node-casbin on the same policy; the last lines say which limits hold.
 *
 * Usage: node test/bench/policy.ts [--short]
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin'
import { Bench } from 'tinybench'
import type { CompiledRuleSet } from '../../src/policy/compiled/rule-set.ts'
import { loadBench, type Loaded } from './load.ts'
import { manyRoles, meshPolicy, model, type BenchPolicy } from './policies.ts'

const { values: options } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const rbac = 'g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act'

interface Limit {
  readonly what: string
  readonly found: number
  readonly unit: string
  readonly atMost?: number
  readonly atLeast?: number
  /** Held in the short form too: what a busy machine does to both sides alike. */
  readonly ratio?: boolean
}

async function bench(): Promise<void> {
  const sizes = options.short ? [100, 1000, 10_000] : [100, 1000, 10_000, 100_000]
  const largest = sizes.at(-1) ?? 0
  const mesh = (size: number) => meshPolicy(size, rbac, ':id')
  const ours = await time(
    sizes.map((size) => [`${count(size)} rules + ${count(size)} role links`, mesh(size)] as const),
  )
  const variants = await time(variantsOf(largest))
  const casbin = await timeCasbin(options.short ? [100] : [100, 1000])
  print(
    'Deciding (RBAC with paths by keyMatch2; medians, in µs)',
    ['policy', 'countersign', 'node-casbin', 'times faster'],
    [
      ...sizes.map((size, index) => {
        const [mine, theirs] = [ours[index]?.us ?? NaN, casbin.get(size)]
        return [
          ours[index]?.name ?? '',
          us(mine),
          theirs === undefined ? '–' : us(theirs),
          theirs === undefined ? '–' : times(theirs / mine),
        ]
      }),
    ],
  )
  print(
    `Deciding with ${count(largest)} rules, other matchers and shapes`,
    ['policy', 'µs'],
    variants.map(({ name, us: mine }) => [name, us(mine)]),
  )
  const loaded = measureLoad(largest)
  print(
    'Loading',
    ['policy', 'load', 'longest stop', 'heap', 'process'],
    [
      [
        `${count(largest)} rules + ${count(largest)} role links`,
        `${loaded.seconds.toFixed(2)} s`,
        `${loaded.longestStopMs.toFixed(1)} ms`,
        mb(loaded.heapBytes),
        mb(loaded.residentBytes),
      ],
    ],
  )
  judge(limitsOf(sizes, ours, casbin, loaded))
}

function variantsOf(size: number): (readonly [string, BenchPolicy])[] {
  const path = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'
  const denying = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))'
  const withEffect = meshPolicy(size, path, '{id}')
  const rules =
    withEffect.rules.replace(/^(p,.*)$/gm, '$1, allow') + '\np, service-1-user, /service-1/secret, GET, deny'
  return [
    ['keyMatch2, with requests to 10,000 rules in turn', meshPolicy(size, rbac, ':id', 10_000)],
    ['pathMatch', withEffect],
    ['pathMatch, and a rule that denies', { ...withEffect, model: model(path, 'sub, obj, act, eft', denying), rules }],
    ['pathMatch or superuser', { ...withEffect, model: model(`r.sub == "root" || ${path}`) }],
    [
      'role or SPIFFE pattern, pathMatch',
      meshPolicy(
        size,
        `(g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub)) && pathMatch(r.obj, p.obj) && r.act == p.act`,
        '{id}',
      ),
    ],
    [
      'regexMatch, with 1,000 rules only',
      meshPolicy(1000, 'g(r.sub, p.sub) && regexMatch(r.obj, p.obj) && r.act == p.act', '[^/]+$'),
    ],
    ['50 roles for each workload, 20 paths shared by all', manyRoles(size, 50)],
  ]
}

interface Timed {
  readonly name: string
  readonly us: number
}

async function time(policies: readonly (readonly [string, BenchPolicy])[]): Promise<Timed[]> {
  const timer = new Bench({ time: options.short ? 150 : 600, warmupTime: 150 })
  for (const [name, policy] of policies) {
    const { ruleSet } = await loadBench(policy, { compare: false })
    const ask = inTurn(policy, ruleSet)
    timer.add(name, ask)
  }
  await timer.run()
  return timer.tasks.map((task) => ({ name: task.name, us: medianUs(task) }))
}

function inTurn({ requests }: BenchPolicy, rules: CompiledRuleSet): () => void {
  let next = 0
  let answers = 0
  return () => {
    const request = requests[next]
    next = next + 1 === requests.length ? 0 : next + 1
    if (request !== undefined && rules.evaluate({ ...request }).effect === 'allow') answers += 1
    if (next === 0 && answers === 0) throw new Error('the benchmark’s policy allows nothing')
  }
}

async function timeCasbin(sizes: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const timer = new Bench({ time: options.short ? 150 : 600, warmupTime: 100 })
  for (const size of sizes) {
    const { model: text, rules, requests } = meshPolicy(size, rbac, ':id')
    const enforcer = await newEnforcer(newModelFromString(text), new StringAdapter(rules))
    let next = 0
    timer.add(String(size), () => {
      const request = requests[next % requests.length]
      next += 1
      if (request !== undefined) enforcer.enforceSync(request.sub, request.obj, request.act)
    })
  }
  await timer.run()
  return new Map(timer.tasks.map((task) => [Number(task.name), medianUs(task)]))
}

function medianUs(task: Bench['tasks'][number]): number {
  const { result } = task
  if (!('latency' in result)) throw new Error(`${task.name} failed: ${JSON.stringify(result)}`)
  return result.latency.p50 * 1000
}

/** As in the image that deploy/istio/Dockerfile makes. */
const imageOptions = ['--max-semi-space-size=8']

/** In a process of its own, so that nothing else is in its memory. */
function measureLoad(size: number): Loaded {
  const run = spawnSync(
    process.execPath,
    [
      '--expose-gc',
      ...imageOptions,
      '--disable-warning=ExperimentalWarning',
      `${import.meta.dirname}/load.ts`,
      String(size),
    ],
    { encoding: 'utf8' },
  )
  if (run.status !== 0) throw new Error(`the load could not be measured: ${run.stderr}`)
  return JSON.parse(run.stdout) as Loaded
}

function limitsOf(
  sizes: readonly number[],
  ours: readonly Timed[],
  casbin: ReadonlyMap<number, number>,
  loaded: Loaded,
): Limit[] {
  const at = (size: number) => ours[sizes.indexOf(size)]?.us ?? NaN
  const largest = sizes.at(-1) ?? 0
  const compared = [...casbin.keys()].at(-1) ?? 0
  return [
    { what: `a decision with ${count(largest)} rules`, found: at(largest), unit: 'µs', atMost: 5 },
    { what: `${count(largest)} rules against 100`, found: at(largest) / at(100), unit: 'times', atMost: 1.3 },
    {
      what: `faster than node-casbin with ${count(compared)} rules`,
      found: (casbin.get(compared) ?? NaN) / at(compared),
      unit: 'times',
      atLeast: compared === 1000 ? 200 : 20,
      ratio: true,
    },
    { what: 'heap of the policy', found: loaded.heapBytes / 1e6, unit: 'MB', atMost: 250 },
    { what: 'load', found: loaded.seconds, unit: 's', atMost: 5 },
    { what: 'longest stop of the event loop', found: loaded.longestStopMs, unit: 'ms', atMost: 20 },
  ]
}

function judge(limits: readonly Limit[]): void {
  const rows = limits.map(({ what, found, unit, atMost, atLeast, ratio }) => {
    const holds = atMost === undefined ? found >= (atLeast ?? NaN) : found <= atMost
    if (!holds && (ratio === true || !options.short)) process.exitCode = 1
    const limit = atMost === undefined ? `at least ${String(atLeast)}` : `at most ${String(atMost)}`
    return [what, `${found.toFixed(2)} ${unit}`, limit, holds ? 'holds' : 'DOES NOT HOLD']
  })
  print('Limits', ['what', 'found', 'limit', ''], rows)
}

function print(title: string, head: string[], rows: string[][]): void {
  const table = new Table({ head, style: { head: [], border: [] } })
  table.push(...rows)
  console.log(`\n${title}\n${table.toString()}`)
}

const count = (number: number) => number.toLocaleString('en')
const us = (value: number) => value.toFixed(2)
const times = (value: number) => value.toFixed(0)
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

await bench()
