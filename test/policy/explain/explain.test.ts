import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { explain } from '../../../src/policy/explain/explain.ts'
import { modelText } from '../policies.ts'
import { explained, opened } from './opened.ts'

const deny = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))'
const paths = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'
const rbac = modelText({ m: paths })
const withDenials = modelText({ p: 'sub, obj, act, eft', e: deny, m: paths })

const orders = [
  'p, reader, /orders/{id}, GET',
  'p, writer, /orders, POST',
  'p, writer, /orders/{id}, PUT',
  'g, web, writer',
  'g, report, reader',
  'g, writer, reader',
].join('\n')

describe('what settles a request', () => {
  test('is the rule, with the roles that lead to it and the lines of their links', async () => {
    const { effect, reason, rule, roles, rolePaths, nearMisses } = await explained(rbac, orders, {
      sub: 'web',
      obj: '/orders/1',
      act: 'GET',
    })
    expect({ effect, reason, line: rule?.line, roles, nearMisses }).toEqual({
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      line: 1,
      roles: ['writer', 'reader'],
      nearMisses: [],
    })
    expect(rolePaths).toEqual([
      {
        definition: 'g',
        domain: null,
        names: ['web', 'writer', 'reader'],
        links: [
          { file: 'policy.csv', line: 4, text: 'g, web, writer' },
          { file: 'policy.csv', line: 6, text: 'g, writer, reader' },
        ],
      },
    ])
  })

  test('has a path for each role call, in the domain of the request', async () => {
    const model = modelText({
      r: 'sub, host, obj, act',
      p: 'sub, dom, obj, act',
      g: 'g = _, _, _\ng2 = _, _',
      m: 'g(r.sub, p.sub, r.host) && r.host == p.dom && g2(r.obj, p.obj) && r.act == p.act',
    })
    const csv = 'p, admin, one, things, GET\ng, web, admin, one\ng, web, admin, two\ng2, /a, things'
    const { rolePaths } = await explained(model, csv, { sub: 'web', host: 'one', obj: '/a', act: 'GET' })
    expect(rolePaths.map(({ links, ...path }) => ({ ...path, lines: links.map(({ line }) => line) }))).toEqual([
      { definition: 'g', domain: 'one', names: ['web', 'admin'], lines: [2] },
      { definition: 'g2', domain: null, names: ['/a', 'things'], lines: [4] },
    ])
  })

  test('is a fault where the rules cannot be asked', async () => {
    const { ruleSet, policy } = await opened(rbac, orders)
    const failing = Object.assign(Object.create(ruleSet) as typeof ruleSet, {
      model: ruleSet.model,
      evaluate: () => {
        throw new Error('too long')
      },
    })
    expect(explain({ ruleSet: failing, rows: policy.rows }, { sub: 'web' })).toMatchObject({
      effect: 'deny',
      reason: 'DECISION_FAULT',
      fault: 'too long',
      eligible: [],
    })
  })
})

describe('the rules that match say why they did not settle it:', () => {
  const request = { sub: 'web', obj: '/a', act: 'GET' }
  const fates = async (model: string, csv: string) => {
    const { eligible } = await explained(model, csv, request)
    return eligible.map(({ rule, why }) => `${String(rule.line)} ${why}`)
  }

  test('the first that allows is enough', async () => {
    expect(await fates(rbac, 'p, web, /a, GET\np, web, /b, GET\np, web, /*, GET')).toEqual([
      '1 settles it',
      '3 comes after policy.csv:1',
    ])
  })

  test('a denial overrides', async () => {
    const csv = 'p, web, /a, GET, allow\np, web, /**, GET, deny\np, web, /a, GET, deny'
    expect(await fates(withDenials, csv)).toEqual([
      '1 overridden by the denial of policy.csv:2',
      '2 settles it',
      '3 denies too, after policy.csv:2',
    ])
  })

  test('of several that allow, where none denies, the last is named', async () => {
    expect(await fates(withDenials, 'p, web, /a, GET, allow\np, web, /*, GET, allow')).toEqual([
      '1 allows too; of several the last is named, policy.csv:2',
      '2 settles it',
    ])
  })

  test('the smaller priority comes first', async () => {
    const model = modelText({ p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny', m: paths })
    const csv = 'p, 20, web, /a, GET, allow\np, 10, web, /*, GET, deny\np, 10, web, /**, GET, allow'
    expect(await fates(model, csv)).toEqual([
      '2 settles it',
      '3 comes after policy.csv:2, with the same priority',
      '1 comes after policy.csv:2: priority 20, after 10',
    ])
  })

  test('the nearer subject comes first', async () => {
    const model = modelText({ p: 'sub, obj, act, eft', e: 'subjectPriority(p.eft) || deny', m: paths })
    const csv = 'p, all, /a, GET, deny\np, web, /a, GET, allow\ng, web, all'
    expect(await fates(model, csv)).toEqual(['2 settles it', '1 comes after policy.csv:2 in the order of subjects'])
  })
})

describe('tokens', () => {
  test('that the matcher reads and the request lacks are named, as are those that it does not read', async () => {
    const { absent, unread } = await explained(rbac, orders, { sub: 'web', obj: '', host: 'orders.shop' })
    expect({ absent, unread }).toEqual({ absent: ['obj', 'act'], unread: ['host'] })
  })
})

describe('properties', () => {
  const models = [
    rbac,
    withDenials,
    modelText({ p: 'sub, obj, act, eft', e: 'priority(p.eft) || deny', m: paths }),
    modelText({ m: `${paths} || r.sub == "root"` }),
    modelText({
      m: '(p.sub == "*" || g(r.sub, p.sub)) && !(r.act == "TRACE") && keyMatch2(r.obj, p.obj) && r.act == p.act',
    }),
  ]
  const name = fc.constantFrom('web', 'report', 'reader', 'writer', 'root')
  const rule = fc.tuple(
    fc.oneof(name, fc.constant('*')),
    fc.constantFrom('/a', '/a/b', '/a/*', '/b/c/d', '/a/b/c'),
    fc.constantFrom('GET', 'PUT', 'POST'),
    fc.constantFrom('allow', 'deny'),
  )
  const policies = fc
    .record({
      model: fc.constantFrom(...models),
      rules: fc.array(rule, { minLength: 1, maxLength: 8 }),
      links: fc.array(fc.tuple(name, name), { maxLength: 5 }),
    })
    .map(({ model, rules, links }) => {
      const withEffect = model.includes('eft\n')
      const lines = rules.map((values) => `p, ${values.slice(0, withEffect ? 4 : 3).join(', ')}`)
      return { model, csv: [...lines, ...links.map(([a, b]) => `g, ${a}, ${b}`)].join('\n') }
    })
  const requests = fc.record(
    {
      sub: name,
      obj: fc.constantFrom('/a', '/a/b', '/a/x', '/b/c', '/z'),
      act: fc.constantFrom('GET', 'PUT', 'DELETE', 'TRACE'),
    },
    { requiredKeys: [] },
  )

  test('the rules that match are those of the rule set, and exactly the one that settles the request is marked', async () => {
    await fc.assert(
      fc.asyncProperty(policies, requests, async ({ model, csv }, request) => {
        const { ruleSet, policy } = await opened(model, csv)
        const explanation = explain({ ruleSet, rows: policy.rows }, request)
        const evaluation = ruleSet.evaluate(request)
        expect(explanation.eligible.map((one) => one.rule)).toEqual(ruleSet.matching(request).map((row) => row.rule))
        expect(explanation).toMatchObject({ effect: evaluation.effect, rule: evaluation.rule, roles: evaluation.roles })
        const settling = explanation.eligible.filter(({ settles }) => settles)
        expect(settling.map((one) => one.rule)).toEqual(evaluation.rule === null ? [] : [evaluation.rule])
      }),
      { numRuns: 150 },
    )
  })

  test('a near miss whose differences are repaired in the request becomes a rule that matches', async () => {
    let repaired = 0
    await fc.assert(
      fc.asyncProperty(policies, requests, async ({ model, csv }, request) => {
        const { ruleSet, policy } = await opened(model, csv)
        for (const { rule: missed, conditions } of explain({ ruleSet, rows: policy.rows }, request).nearMisses) {
          const failed = conditions.filter(({ holds }) => !holds)
          expect(failed.length).toBeGreaterThan(0)
          if (failed.some(({ repair }) => repair === null)) continue
          const tokens: PolicyRequest = Object.fromEntries(
            failed.flatMap(({ repair }) => (repair === null ? [] : [[repair.token, repair.value]])),
          )
          const rules = ruleSet.matching({ ...request, ...tokens }).map((row) => row.rule)
          expect(rules).toContainEqual(missed)
          repaired += 1
        }
      }),
      { numRuns: 150 },
    )
    expect(repaired).toBeGreaterThan(50)
  })

  test('the lines that would make a near miss match do so', async () => {
    let mended = 0
    await fc.assert(
      fc.asyncProperty(policies, requests, async ({ model, csv }, request) => {
        const { ruleSet, policy } = await opened(model, csv)
        for (const { remedies } of explain({ ruleSet, rows: policy.rows }, request).nearMisses) {
          if (remedies.length === 0) continue
          const { ruleSet: better } = await opened(model, [csv, ...remedies].join('\n'))
          expect(better.matching(request).length).toBeGreaterThan(ruleSet.matching(request).length)
          mended += 1
        }
      }),
      { numRuns: 150 },
    )
    expect(mended).toBeGreaterThan(20)
  })
})
