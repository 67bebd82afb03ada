import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { PolicyRequest } from '../../src/decision/rule-set.ts'
import { compile } from '../../src/policy/compile.ts'
import { compileCondition, valuesOf } from '../../src/policy/compiled/conditions.ts'
import { maxClosureEntries } from '../../src/policy/compiled/role-closures.ts'
import type { CompiledRuleSet } from '../../src/policy/compiled/rule-set.ts'
import { Pace } from '../../src/policy/pace.ts'
import { checkPolicy } from '../../src/policy/validate/validate.ts'
import { anyPolicy } from './oracle/kinds.ts'
import { modelText, snapshot } from './policies.ts'

async function compiled(model: string, csv: string): Promise<CompiledRuleSet> {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
  const outcome = await compile(checked.policy, new Pace())
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
  return outcome.ruleSet
}

/** The rules that match, found by asking each of them. */
function scanned({ model, rules, roles }: CompiledRuleSet, request: PolicyRequest): readonly string[] {
  const matcher = compileCondition(model.matcher, { tokens: model.tokens, columns: model.columns, roles })
  const values = valuesOf(request, model.tokens)
  return rules.filter((rule) => matcher(values, rule.values)).map(({ rule }) => rule.text)
}

function matched(rules: CompiledRuleSet, request: PolicyRequest): readonly string[] {
  return rules.matching(request).map(({ rule }) => rule.text)
}

describe('compile', () => {
  test('finds by the index every rule that a scan of all rules finds, in the same order', async () => {
    let found = 0
    await fc.assert(
      fc.asyncProperty(anyPolicy(6), async ({ model, csv, requests }) => {
        const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
        fc.pre(checked.ok)
        const rules = await compiled(model, csv)
        for (const request of requests) {
          const expected = scanned(rules, request)
          found += expected.length
          expect(matched(rules, request)).toEqual(expected)
        }
      }),
      { numRuns: 1500 },
    )
    expect(found).toBeGreaterThan(1000)
  })

  test('finds rules in every part of a policy that is large enough to be split by each dimension', async () => {
    const count = 400
    const line = (at: number) =>
      `p, role${String(at % 7)}, /s${String(at % 5)}/${at % 3 === 0 ? '{id}' : at % 3 === 1 ? '**' : `x${String(at)}`}, ${at % 2 === 0 ? 'GET' : 'PUT'}`
    const lines = Array.from({ length: count }, (_, at) => line(at))
    const links = Array.from({ length: 40 }, (_, at) => `g, user${String(at)}, role${String(at % 7)}`)
    const m = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'
    const rules = await compiled(modelText({ m }), [...lines, ...links].join('\n'))
    for (let at = 0; at < count; at += 1) {
      const request = {
        sub: `user${String(at % 40)}`,
        obj: `/s${String(at % 5)}/x${String(at)}`,
        act: at % 4 < 2 ? 'GET' : 'PUT',
      }
      expect(matched(rules, request)).toEqual(scanned(rules, request))
    }
    expect(rules.scans).toEqual([])
  })

  test('says which conditions the index cannot help with, and how many rules are asked for them', async () => {
    const lines = Array.from({ length: 100 }, (_, at) => `p, alice, 10.0.${String(at)}.0/24, GET`)
    const m = 'r.sub == p.sub && ipMatch(r.host, p.obj)'
    const rules = await compiled(modelText({ r: 'sub, host', g: '', m }), lines.join('\n'))
    expect(rules.scans).toEqual([{ condition: 'ipMatch(r.host, p.obj)', rules: 100 }])
    expect(matched(rules, { sub: 'alice', host: '10.0.7.1' })).toEqual(['p, alice, 10.0.7.0/24, GET'])
  })

  test('follows roles deeper than Casbin does, and refuses more than it can hold instead of forgetting some', async () => {
    const chain = (length: number) =>
      Array.from(
        { length },
        (_, at) => `g, n${String(at)}, n${String(at + 1)}\np, n${String(at)}, /n${String(at)}, GET`,
      )
    const deep = await compiled(modelText(), [...chain(500), 'p, n500, /end, GET'].join('\n'))
    expect(deep.evaluate({ sub: 'n0', obj: '/end', act: 'GET' })).toMatchObject({
      effect: 'allow',
      roles: { length: 500 },
    })

    const length = Math.ceil(Math.sqrt(2 * maxClosureEntries)) + 10
    const checked = await checkPolicy(
      snapshot({ 'model.conf': modelText(), 'policy.csv': chain(length).join('\n') }),
      new Pace(),
    )
    expect(checked.ok && (await compile(checked.policy, new Pace()))).toMatchObject({
      ok: false,
      problems: [{ code: 'ROLES_TOO_MANY', message: expect.stringContaining(String(maxClosureEntries)) as unknown }],
    })
  })

  test('gives no rule set to who has given it up', async () => {
    const lines = Array.from({ length: 20_000 }, (_, at) => `p, n${String(at)}, /a, GET`)
    const checked = await checkPolicy(
      snapshot({ 'model.conf': modelText(), 'policy.csv': lines.join('\n') }),
      new Pace(),
    )
    const abort = new AbortController()
    const compiling = checked.ok ? compile(checked.policy, new Pace(abort.signal)) : Promise.resolve(checked)
    abort.abort(new Error('given up'))
    await expect(compiling).rejects.toThrow('given up')
  })

  test('a long path with thousands of segments meets no deep lookup', async () => {
    const deepest = `/${Array.from({ length: 3000 }, () => '{x}').join('/')}`
    const rules = await compiled(
      modelText({ m: 'r.sub == p.sub && pathMatch(r.obj, p.obj) && r.act == p.act', g: '' }),
      [`p, alice, ${deepest}, GET`, ...Array.from({ length: 9 }, (_, at) => `p, alice, /${String(at)}/**, GET`)].join(
        '\n',
      ),
    )
    const obj = `/${Array.from({ length: 3000 }, (_, at) => String(at)).join('/')}`
    expect(matched(rules, { sub: 'alice', obj, act: 'GET' })).toHaveLength(2)
    expect(matched(rules, { sub: 'alice', obj: `${obj}/more`, act: 'GET' })).toHaveLength(1)
  })
})

describe('a role call', () => {
  test('whose name is cut out of the path by the rule’s own pattern leaves out no rule that denies', async () => {
    const others = Array.from({ length: 10 }, (_, at) => `p, f${String(at)}, /users/*, GET, deny`)
    const rules = await compiled(
      modelText({
        p: 'role, obj, act, eft',
        e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
        m: '(g(keyGet(r.obj, p.obj), p.role) && r.act == p.act && p.eft == "deny") || (p.eft == "allow" && r.act == p.act)',
      }),
      ['p, forbidden, /users/*, GET, deny', 'p, x, /*, GET, allow', 'g, bob, forbidden', ...others].join('\n'),
    )
    expect(rules.evaluate({ sub: 's', obj: '/users/bob', act: 'GET' })).toMatchObject({
      effect: 'deny',
      rule: { line: 1 },
    })
    expect(rules.evaluate({ sub: 's', obj: '/users/al', act: 'GET' }).effect).toBe('allow')
  })
})

describe('regular expressions', () => {
  const byRegex = { m: 'r.sub == p.sub && regexMatch(r.obj, p.obj) && r.act == p.act', g: '' }

  test('are refused where there are more than a policy may have', async () => {
    const lines = Array.from({ length: 5_001 }, (_, at) => `p, alice, ^/${String(at)}$, GET`)
    const checked = await checkPolicy(
      snapshot({ 'model.conf': modelText(byRegex), 'policy.csv': lines.join('\n') }),
      new Pace(),
    )
    expect(checked.ok && (await compile(checked.policy, new Pace()))).toMatchObject({
      ok: false,
      problems: [{ code: 'EXPRESSIONS_TOO_MANY', message: expect.stringContaining('5001') as unknown }],
    })
  })

  test('give no answer to a value that is too long for them, where a denial might be missed', async () => {
    const rules = await compiled(modelText(byRegex), 'p, alice, ^/docs/.*-.{36}$, GET')
    const ask = (length: number) => rules.evaluate({ sub: 'alice', obj: `/docs/${'-'.repeat(length)}`, act: 'GET' })
    expect(ask(100).effect).toBe('allow')
    expect(() => ask(8_000)).toThrow('too long')
  })
})
