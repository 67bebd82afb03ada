import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseFilter } from '../../src/readers/filter.ts'
import { replay } from '../../src/readers/replay.ts'
import type { ReplayPolicy } from '../../src/readers/replay-change.ts'
import { compile } from '../../src/policy/compile.ts'
import { Pace } from '../../src/policy/pace.ts'
import { checkPolicy } from '../../src/policy/validate/validate.ts'
import { modelText, snapshot } from '../policy/policies.ts'
import { things, workload, workloads, writeArchive } from './replay-archive.ts'

// Replays an archive of decisions, each with the access event of its outcome between, through a policy of 1,600 rules.
// `node test/bench/replay.ts [DECISIONS]` prints one JSON object: three runs of each policy, each of which must reach the target.

const target = 50_000
const decisions = Number(process.argv[2] ?? 200_000)
const start = new Date('2026-11-20T10:00:00Z')

const model = modelText({
  r: 'sub, act, obj, protocol',
  p: 'sub, act, obj, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  m: 'g(r.sub, p.sub) && r.act == p.act && pathMatch(r.obj, p.obj)',
})

/** Who may read and write which kind of thing in each namespace; the other policy lets nobody read prices and takes a role's POST. */
function rules(changed: boolean): string {
  const lines: string[] = []
  for (let namespace = 0; namespace < 20; namespace += 1) {
    for (const thing of things) {
      const role = `${thing}-${String(namespace)}`
      for (const act of ['GET', 'POST', 'PUT', 'PATCH', 'HEAD']) {
        if (changed && (thing === 'prices' || (thing === 'stock' && act === 'POST'))) continue
        lines.push(`p, ${role}, ${act}, /api/v2/${thing}/{id}/lines, allow`)
        lines.push(`p, ${role}, ${act}, /api/v2/${thing}/{id}, allow`)
      }
    }
  }
  for (let number = 0; number < workloads; number += 1) {
    for (const thing of things) lines.push(`g, ${workload(number)}, ${thing}-${String(number % 20)}`)
  }
  return `${lines.join('\n')}\n`
}

async function policyOf(csv: string): Promise<ReplayPolicy> {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems.slice(0, 3)))
  const compiled = await compile(checked.policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems.slice(0, 3)))
  return { ruleSet: compiled.ruleSet, reads: compiled.ruleSet.model.reads.tokens }
}

async function timed(dir: string, policy: ReplayPolicy) {
  const filter = parseFilter({ since: '2026-11-20' }, start)
  if (!filter.ok) throw new Error(filter.problem)
  const cpu = process.cpuUsage()
  const from = performance.now()
  const result = await replay(dir, filter.value, policy)
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    decisions: result.decisions,
    changed: result.decisions - result.unchanged,
    seconds: round(seconds),
    decisionsPerSecond: Math.round(result.decisions / seconds),
    cpuMicrosecondsPerDecision: round((user + system) / result.decisions),
    cpuShare: round((user + system) / 1e6 / seconds),
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

const dir = mkdtempSync(join(tmpdir(), 'countersign-replay-'))
try {
  const same = await policyOf(rules(false))
  const written = await writeArchive(join(dir, 'archive'), decisions, same.ruleSet, start)
  const other = await policyOf(rules(true))
  const samePolicy: Awaited<ReturnType<typeof timed>>[] = []
  const otherPolicy: typeof samePolicy = []
  for (let run = 0; run < 3; run += 1) {
    samePolicy.push(await timed(dir, same))
    otherPolicy.push(await timed(dir, other))
  }
  const rates = [...samePolicy, ...otherPolicy]
    .map(({ decisionsPerSecond }) => decisionsPerSecond)
    .sort((a, b) => a - b)
  const lowest = rates[0] ?? 0
  const ok = lowest >= target
  const archive = {
    records: written.records,
    bytes: written.bytes,
    decisionRecordBytes: Math.round(written.decisionBytes / decisions),
    // With the access event of its outcome.
    bytesReadPerDecision: Math.round(written.bytes / decisions),
  }
  const memoryMiB = Math.round(process.resourceUsage().maxRSS / 1024)
  const load = loadavg().map(round)
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, load }
  const result = {
    bench: 'replay',
    target,
    ok,
    lowest,
    median: rates[rates.length >> 1],
    archive,
    samePolicy,
    otherPolicy,
  }
  console.log(JSON.stringify({ ...result, memoryMiB, ...machine }, null, 2))
  process.exitCode = ok ? 0 : 1
} finally {
  rmSync(dir, { recursive: true, force: true })
}
