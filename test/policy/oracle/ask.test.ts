import { describe, expect, test } from '@jest/globals'
import type { Evaluation, PolicyRequest } from '../../../src/decision/rule-set.ts'
import { compile } from '../../../src/policy/compile.ts'
import type { CompiledRuleSet } from '../../../src/policy/compiled/rule-set.ts'
import { startOracle, type AskLimits, type AskOutcome } from '../../../src/policy/oracle/ask.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { modelText, snapshot } from '../policies.ts'

interface Asking extends AskLimits {
  readonly model?: string
  readonly csv?: string
  readonly cases?: readonly PolicyRequest[]
  /** Makes the rules answer otherwise than they were compiled. */
  readonly spoil?: (request: PolicyRequest, right: Evaluation) => Evaluation
}

const usual = 'p, reader, /a, GET\np, writer, /a, PUT\ng, alice, writer\ng, writer, reader'

async function ask({ model = modelText(), csv = usual, cases = [], spoil, ...limits }: Asking): Promise<AskOutcome> {
  const files = snapshot({ 'model.conf': model, 'policy.csv': csv })
  const checked = await checkPolicy(files, new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
  const compiled = await compile(checked.policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  const evaluate = answering(compiled.ruleSet, spoil)
  const requests = cases.map((request) => ({ request }))
  const oracle = startOracle(files, limits)
  try {
    return await oracle.compare(requests, evaluate)
  } finally {
    await oracle.end()
  }
}

function answering(rules: CompiledRuleSet, spoil: Asking['spoil']): CompiledRuleSet['evaluate'] {
  return (request) => (spoil ?? ((_request, right) => right))(request, rules.evaluate(request))
}

describe('asking Casbin at every load', () => {
  test('finds nothing where the rules answer as Casbin does, and says how many requests were asked', async () => {
    const outcome = await ask({})
    expect(outcome).toMatchObject({ problems: [], warnings: [], counts: { skipped: 0, excused: 0 } })
    expect(outcome.counts.asked).toBeGreaterThan(15)
  })

  test('asks of each rule: one that is wrongly left out is found by a request that was made from it', async () => {
    const spoil: Asking['spoil'] = (_request, right) =>
      right.rule?.line === 2 ? { effect: 'deny', rule: null, roles: [] } : right
    const { problems } = await ask({ spoil })
    expect(problems[0]).toEqual({
      file: 'policy.csv',
      line: 2,
      column: null,
      code: 'CASBIN_DISAGREES',
      message: expect.stringMatching(
        /^for the request \{"sub":"\w+","obj":"\/a","act":"PUT"\} Casbin answers allow, by policy.csv:2 "p, writer, \/a, PUT", and the compiled rules deny, by no rule$/,
      ) as unknown,
    })
  })

  test('finds an allow too many by a near miss', async () => {
    const rule = { file: 'policy.csv', line: 1, text: 'p, reader, /a, GET' }
    const { problems } = await ask({
      spoil: (_request, right) => (right.rule ? right : { effect: 'allow', rule, roles: [] }),
    })
    expect(problems.map(({ code }) => code)).toContain('CASBIN_DISAGREES')
  })

  test('finds a right answer by a wrong rule', async () => {
    const csv = 'p, alice, /a, GET\np, alice, /a, PUT'
    const rule = { file: 'policy.csv', line: 2, text: 'p, alice, /a, PUT' }
    const spoil: Asking['spoil'] = (_request, right) => (right.effect === 'allow' ? { ...right, rule } : right)
    const { problems } = await ask({ csv, spoil })
    expect(problems[0]?.message).toContain('policy.csv:1')
  })

  test('asks the cases of the tests first', async () => {
    const odd = { sub: 'odd', obj: '/odd', act: 'ODD' }
    const rule = { file: 'policy.csv', line: 1, text: 'p, reader, /a, GET' }
    const spoil: Asking['spoil'] = ({ sub }, right) => (sub === 'odd' ? { effect: 'allow', rule, roles: [] } : right)
    const { problems, counts } = await ask({ cases: [odd], requests: 0, spoil })
    expect(counts.asked).toBe(1)
    expect(problems).toMatchObject([{ code: 'CASBIN_DISAGREES', message: expect.stringContaining('"odd"') as unknown }])
  })

  test('takes rules that throw for a disagreement', async () => {
    const { problems } = await ask({
      spoil: () => {
        throw new Error('broken')
      },
    })
    expect(problems[0]).toMatchObject({
      code: 'CASBIN_DISAGREES',
      message: expect.stringContaining('broken') as unknown,
    })
  })

  test('excuses what is listed, and counts it', async () => {
    const chain = Array.from({ length: 14 }, (_, at) => `g, n${String(at)}, n${String(at + 1)}`).join('\n')
    const outcome = await ask({ csv: `p, n14, /a, GET\n${chain}` })
    expect(outcome.problems).toEqual([])
    expect(outcome.counts.excused).toBeGreaterThan(0)
  })

  test('asks at least one request, whatever the time, and tells of those that it left out', async () => {
    const outcome = await ask({ askMs: 0 })
    expect(outcome.counts.asked).toBe(1)
    expect(outcome.counts.skipped).toBeGreaterThan(10)
  })

  test('warns where Casbin does not answer: that is no reason to keep a change from being put in force', async () => {
    // Casbin walks through every way of roles that have each other.
    const names = Array.from({ length: 20 }, (_, at) => `n${String(at)}`)
    const links = names.flatMap((name) => names.map((role) => `g, ${name}, ${role}`))
    const outcome = await ask({
      csv: [`p, x, /a, GET`, ...links, 'g, y, x'].join('\n'),
      cases: [{ sub: 'n0', obj: '/a', act: 'GET' }],
      silenceMs: 3_000,
    })
    expect(outcome).toMatchObject({
      problems: [],
      warnings: [{ code: 'NOT_COMPARED', message: expect.stringContaining('has not answered for 3000 ms') as unknown }],
    })
  })

  test('ends at once where it is given up', async () => {
    const giveUp = new AbortController()
    const asking = ask({ signal: giveUp.signal, spoil: (_request, right) => (giveUp.abort(new Error('stop')), right) })
    await expect(asking).rejects.toThrow('stop')
  })
})
