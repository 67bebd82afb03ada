import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { PolicyRequest, RuleSet } from '../../../src/decision/rule-set.ts'
import { compile } from '../../../src/policy/compile.ts'
import { compareWithCasbin, namesOfExcuse, type OwnAnswer } from '../../../src/policy/oracle/compare.ts'
import { differences, type DifferenceName } from '../../../src/policy/oracle/differences.ts'
import { PlainCasbin } from '../../../src/policy/oracle/plain-casbin.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { build, modelText, snapshot } from '../policies.ts'
import { anyPolicy, kindNames, type Asked } from './kinds.ts'

/** How many triples of model, policy and request to compare; the full run is `make differential`. */
const triples = Number(process.env['COUNTERSIGN_DIFFERENTIAL_RUNS'] ?? 6_000)
/** Another one each time, named in the title; `COUNTERSIGN_DIFFERENTIAL_SEED` repeats a run. */
const seed = Number(process.env['COUNTERSIGN_DIFFERENTIAL_SEED'] ?? Date.now() % 2 ** 31)
const requestsEach = 6

interface Counts {
  triples: number
  allows: number
  denials: number
  /** Denials by a rule, not for want of one. */
  denialsByRule: number
  excused: number
  refused: number
}

const counts = new Map<string, Counts>()

const excuses = new Map<DifferenceName, number>()

function countExcuse(names: readonly DifferenceName[]): void {
  for (const name of names) excuses.set(name, (excuses.get(name) ?? 0) + 1)
}

function countsOf(kind: string): Counts {
  const found = counts.get(kind) ?? { triples: 0, allows: 0, denials: 0, denialsByRule: 0, excused: 0, refused: 0 }
  counts.set(kind, found)
  return found
}

function sum(of: (counted: Counts) => number): number {
  return [...counts.values()].reduce((total, counted) => total + of(counted), 0)
}

async function compareAll(asked: Asked): Promise<void> {
  const counted = countsOf(asked.kind)
  const both = await rulesAndCasbin(asked.model, asked.csv)
  if (both === undefined) {
    counted.refused += asked.requests.length
    return
  }
  for (const request of asked.requests) {
    const own = answerOf(both.rules, request)
    const { kind } = compareWithCasbin(both.casbin, request, own)
    count(counted, own, kind)
    if (kind === 'excused') countExcuse(namesOfExcuse(both.casbin, request, own))
    if (kind === 'disagrees') throw new Error(`${asked.kind}\n${await fewestLines(asked.model, asked.csv, request)}`)
  }
}

/** The compiled rules and Casbin, or undefined where the policy is refused. */
async function rulesAndCasbin(model: string, csv: string) {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) return undefined
  const compiled = await compile(checked.policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  return { rules: compiled.ruleSet, casbin: await PlainCasbin.build(checked.policy) }
}

/** What is said of a request where the answers disagree; undefined where they do not. */
async function disagreement(model: string, csv: string, request: PolicyRequest): Promise<string | undefined> {
  const both = await rulesAndCasbin(model, csv)
  if (both === undefined) return undefined
  const own = answerOf(both.rules, request)
  const comparison = compareWithCasbin(both.casbin, request, own)
  if (comparison.kind !== 'disagrees') return undefined
  return `${model}\n${csv}\n${JSON.stringify({ request, here: own, casbin: comparison.casbin }, null, 2)}`
}

/** fast-check cannot leave out a rule after which a request was made; here the request stays as it is. */
async function fewestLines(model: string, csv: string, request: PolicyRequest): Promise<string> {
  const lines = csv.split('\n')
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const [left] = lines.splice(at, 1)
    if ((await disagreement(model, lines.join('\n'), request)) === undefined) lines.splice(at, 0, left ?? '')
  }
  return (await disagreement(model, lines.join('\n'), request)) ?? 'which did not happen again'
}

function answerOf(rules: RuleSet, request: PolicyRequest): OwnAnswer {
  try {
    return rules.evaluate(request)
  } catch (thrown) {
    return { fault: String(thrown) }
  }
}

function count(counted: Counts, own: OwnAnswer, kind: string): void {
  counted.triples += 1
  if (kind === 'excused') counted.excused += 1
  if ('fault' in own) return
  if (own.effect === 'allow') counted.allows += 1
  else {
    counted.denials += 1
    if (own.rule !== null) counted.denialsByRule += 1
  }
}

// Casbin's ipMatch prints what is no address.
const { log } = console
beforeAll(() => {
  console.log = () => undefined
})
afterAll(() => {
  console.log = log
})

describe('the rules', () => {
  test(
    `answer ${String(triples)} triples of model, policy and request as Casbin does, or by a difference that is listed (seed ${String(seed)})`,
    async () => {
      await fc.assert(fc.asyncProperty(anyPolicy(requestsEach), compareAll), {
        seed,
        numRuns: Math.ceil(triples / requestsEach),
      })
      if (process.env['COUNTERSIGN_DIFFERENTIAL_RUNS'] !== undefined) process.stderr.write(table())
      expect(sum((of) => of.triples)).toBeGreaterThan(triples * 0.9)
      expect(sum((of) => of.allows)).toBeGreaterThan(triples * 0.15)
      expect(sum((of) => of.denials - of.denialsByRule)).toBeGreaterThan(triples * 0.15)
      expect(sum((of) => of.denialsByRule)).toBeGreaterThan(triples * 0.05)
      expect(sum((of) => of.excused)).toBeLessThan(triples * 0.15)
      expect([...counts.keys()].sort()).toEqual([...kindNames].sort())
      if (triples < 100_000) return
      expect([...counts].filter(([, of]) => of.allows === 0)).toEqual([])
      expect([...excuses.keys()].sort()).toEqual(differences.map(({ name }) => name).sort())
    },
    600_000 + triples * 20,
  )

  test('refuse the effect of Casbin’s model with denials alone, which allows whatever nobody thought of', async () => {
    const outcome = await build(
      modelText({ p: 'sub, obj, act, eft', e: '!some(where (p.eft == deny))' }),
      'p, a, b, c, deny',
    )
    expect(outcome).toMatchObject({ ok: false, problems: [{ code: 'EFFECT_ALLOWS_BY_DEFAULT' }] })
  })
})

function table(): string {
  const total = countsOf('total')
  counts.delete('total')
  for (const of of counts.values()) {
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += of[key]
  }
  const columns = Object.keys(total) as (keyof Counts)[]
  const line = (kind: string, of: Counts) =>
    kind.padEnd(52) + columns.map((key) => String(of[key]).padStart(14)).join('')
  const excused = [...excuses].map(([name, times]) => `${name} ${String(times)}`).join(', ')
  const head = ' '.repeat(52) + columns.map((key) => key.padStart(14)).join('')
  return (
    [head, ...[...counts].map(([kind, of]) => line(kind, of)), line('total', total), `excused by: ${excused}`].join(
      '\n',
    ) + '\n'
  )
}
