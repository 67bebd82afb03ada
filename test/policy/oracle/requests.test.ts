import { describe, expect, test } from '@jest/globals'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { compile } from '../../../src/policy/compile.ts'
import { deriveRequests } from '../../../src/policy/oracle/requests.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { policyFunctions } from '../../../src/policy/patterns/functions.ts'
import { checkPolicy, type CheckedPolicy } from '../../../src/policy/validate/validate.ts'
import { modelText, snapshot } from '../policies.ts'

async function policyOf(model: string, csv: string): Promise<CheckedPolicy> {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
  return checked.policy
}

/** Lines of the rules that settle the requests, and how many requests no rule allows. */
async function settled(policy: CheckedPolicy, requests: readonly PolicyRequest[]) {
  const compiled = await compile(policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  const answers = requests.map((request) => compiled.ruleSet.evaluate(request))
  const lines = new Set(answers.map(({ rule }) => rule?.line))
  return { lines, denied: answers.filter(({ rule }) => rule === null).length }
}

const many = Array.from({ length: 2_000 }, (_, at) => `p, role${String(at)}, /svc${String(at)}/{id}, GET`)

describe('requests that are made from the rules', () => {
  test('are spread over all rules, match most of them and just miss others', async () => {
    const links = Array.from({ length: 2_000 }, (_, at) => `g, user${String(at)}, role${String(at)}`)
    const model = modelText({ m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act' })
    const policy = await policyOf(model, [...many, ...links].join('\n'))
    const requests = deriveRequests(policy, 'seed', 200)
    const { lines, denied } = await settled(policy, requests)
    expect(requests).toHaveLength(200)
    expect(lines.size).toBeGreaterThan(80)
    expect(denied).toBeGreaterThan(50)
    for (const quarter of [0, 1, 2, 3]) {
      const here = [...lines].filter((line = 0) => line > quarter * 500 && line <= (quarter + 1) * 500)
      expect(here.length).toBeGreaterThan(10)
    }
  })

  test('are the same for the same seed, and others for another', async () => {
    const policy = await policyOf(
      modelText({ g: '', m: 'r.obj == p.obj && r.sub != p.sub' }),
      many.slice(0, 50).join('\n'),
    )
    expect(deriveRequests(policy, 'one', 40)).toEqual(deriveRequests(policy, 'one', 40))
    expect(deriveRequests(policy, 'one', 40)).not.toEqual(deriveRequests(policy, 'two', 40))
  })

  test('are none twice, and as many as are there', async () => {
    const policy = await policyOf(modelText(), 'p, alice, /a, GET')
    const texts = deriveRequests(policy, 'seed', 500).map((request) => JSON.stringify(request))
    expect(new Set(texts).size).toBe(texts.length)
    expect(texts.length).toBeGreaterThan(5)
  })

  test.each([
    ['pathMatch', '/orders/{id}/**'],
    ['spiffeMatch', 'spiffe://*/ns/{name}/**'],
    ['keyMatch', '/orders/*'],
    ['keyMatch2', '/orders/:id/*'],
    ['keyMatch3', '/orders/{id}/*'],
    ['keyMatch4', '/orders/{id}/x/{id}'],
    ['keyMatch5', '/orders/{id}'],
    ['keyGet', '/orders/*'],
    ['keyGet2', '/orders/:id'],
    ['regexMatch', '^/(orders|items)/[^/]+\\.json$'],
    ['ipMatch', '10.0.0.0/8'],
    ['globMatch', '/orders/{a,b}/**/?'],
  ] as const)('match a pattern of %s: %s', async (name, pattern) => {
    const called = `${name}(r.obj, p.obj${name === 'keyGet2' ? ', "id"' : ''})`
    const m = policyFunctions[name].gives === 'truth' ? called : `${called} == "x1"`
    const policy = await policyOf(modelText({ g: '', p: 'obj', m }), `p, "${pattern}"`)
    expect((await settled(policy, deriveRequests(policy, 'seed', 10))).lines).toContain(1)
  })

  test.each([
    ['members of roles, in their domain', 'g(r.sub, p.sub, r.host) && r.host == p.act && r.obj == p.obj'],
    ['members of roles, in a domain that is theirs', 'g(r.sub, p.sub, r.host) && r.obj == p.obj'],
    ['lists', '(r.act in ["GET", "PUT"])&& r.sub == p.sub'],
    ['alternatives', '(r.sub == "root" || r.sub == p.sub)&& r.obj == p.obj'],
    ['negations', '!(r.act == p.act || r.obj != p.obj)&& r.sub == p.sub'],
    ['comparisons of numbers', 'r.port < 1024 && r.port >= 80 && r.sub == p.sub'],
    ['tokens that are compared with one another', 'r.sub == r.dst && r.sub == p.sub'],
  ])('find a way through %s', async (_title, m) => {
    const model = modelText({ r: 'sub, dst, host, obj, act, port', g: 'g = _, _, _', m })
    const policy = await policyOf(model, 'p, reader, /a, one\ng, writer, reader, one\ng, alice, writer, one')
    const { lines } = await settled(policy, deriveRequests(policy, 'seed', 30))
    expect(lines).toContain(1)
  })
})
