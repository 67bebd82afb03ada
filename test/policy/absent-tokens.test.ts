import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { policyFunctions } from '../../src/policy/patterns/functions.ts'
import { modelText, ruleSet } from './policies.ts'

async function effect(m: string, csv: string, request: object = {}): Promise<string> {
  const model = modelText({ r: 'sub, user, dst, host, obj, act, port', p: 'sub, user', m })
  return (await ruleSet(model, csv)).evaluate({ sub: 'web', ...request }).effect
}

const anyRule = 'p, *, *'

describe('an absent token', () => {
  test.each([
    ['is not equal to a column', 'r.user == p.user'],
    ['is not strictly equal to a column', 'r.user === p.user'],
    ['is not equal to an empty text', 'r.user == "" && p.sub == "*"'],
    ['is not equal to the text NaN', 'r.user == "NaN" && p.sub == "*"'],
    ['is not equal to another absent token', 'r.user == r.dst && p.sub == "*"'],
    ['is in no list', '(r.user in ["", "NaN"]) && p.sub == "*"'],
    ['is neither smaller', 'r.port < 99999 && p.sub == "*"'],
    ['nor greater than a number', 'r.port >= 0 && p.sub == "*"'],
    ['has no role', 'g(r.user, p.sub)'],
    ['is no role', 'g(p.sub, r.user)'],
    ['makes keyMatch false, even against "*"', 'keyMatch(r.obj, p.sub)'],
    ['has no part to get', 'keyGet(r.obj, p.sub) == ""'],
    ['has no part that could be equal to 0', 'keyGet(r.obj, p.sub) == 0'],
  ])('%s: %s', async (_title, matcher) => {
    expect(await effect(matcher, `${anyRule}\ng, NaN, *`)).toBe('deny')
  })

  test.each(Object.keys(policyFunctions).filter((name) => !name.startsWith('keyGet')))(
    'makes %s false',
    async (name) => {
      const patterns = {
        spiffeMatch: 'spiffe://*/**',
        ipMatch: '0.0.0.0/0',
        regexMatch: '',
        pathMatch: '/**',
        keyMatch3: '.*',
        keyMatch4: '.*',
        keyMatch5: '.*',
      } as Record<string, string>
      expect(await effect(`${name}(r.obj, "${patterns[name] ?? '*'}") && p.sub == "*"`, anyRule)).toBe('deny')
    },
  )

  test('is no domain, also where a domain has the name of what stands for it', async () => {
    const model = modelText({ r: 'sub, host', p: 'sub', g: 'g = _, _, _', m: 'g(r.sub, p.sub, r.host)' })
    const rules = await ruleSet(model, 'p, admin\ng, alice, admin, NaN\ng, alice, admin, undefined')
    expect(rules.evaluate({ sub: 'alice', host: 'NaN' }).effect).toBe('allow')
    expect(rules.evaluate({ sub: 'alice' }).effect).toBe('deny')
  })

  test.each(['keyGet(r.obj, p.sub) == ""', 'keyGet2(r.obj, p.sub, "id") == ""', 'keyGet(r.obj, p.sub) == 0'])(
    'is also what a function gives that finds nothing: %s',
    async (matcher) => {
      expect(await effect(matcher, 'p, /b/*, -', { obj: '/a' })).toBe('deny')
    },
  )

  test('may be given as an empty text', async () => {
    expect(await effect('g(r.user, p.sub) || r.user == p.user', anyRule, { user: '' })).toBe('deny')
  })

  test('is not taken from the prototype of the request', async () => {
    const request = Object.create({ user: '*' }) as object
    const rules = await ruleSet(modelText({ r: 'user', p: 'user', m: 'r.user == p.user' }), 'p, *')
    expect(rules.evaluate(request).effect).toBe('deny')
  })
})

describe('a policy', () => {
  test('without rules denies everything, also what the matcher would allow by itself', async () => {
    expect(await effect('r.sub == "web" || keyMatch(r.obj, p.sub)', '# nothing')).toBe('deny')
    expect(await effect('!(r.sub == p.sub)', 'g, a, b')).toBe('deny')
  })

  test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', 'prototype'])(
    'treats the name %s like any other',
    async (name) => {
      const model = modelText({ p: 'sub, obj, act' })
      const rules = await ruleSet(model, `p, ${name}, /a, GET\ng, alice, ${name}\np, bob, /b, ${name}`)
      expect(rules.evaluate({ sub: name, obj: '/a', act: 'GET' })).toMatchObject({ effect: 'allow', roles: [] })
      expect(rules.evaluate({ sub: 'alice', obj: '/a', act: 'GET' })).toMatchObject({ effect: 'allow', roles: [name] })
      expect(rules.evaluate({ sub: 'bob', obj: '/b', act: name }).effect).toBe('allow')
      expect((await ruleSet(model, 'p, alice, /a, GET')).evaluate({ sub: name, obj: '/a', act: name }).effect).toBe(
        'deny',
      )
    },
  )

  test('names the first of several equal lines, also where the last rule that allows is named', async () => {
    const effects = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))'
    const model = modelText({ p: 'sub, obj, act, eft', e: effects })
    const rules = await ruleSet(model, 'p, alice, /a, GET, allow\np, alice, /a, GET, allow')
    expect(rules.evaluate({ sub: 'alice', obj: '/a', act: 'GET' })).toMatchObject({ rule: { line: 1 } })
  })

  test('names the first of several equal lines', async () => {
    const csv = 'p, bob, /a, GET\np, alice, /a, GET\np, alice , "/a", GET'
    expect((await ruleSet(modelText(), csv)).evaluate({ sub: 'alice', obj: '/a', act: 'GET' })).toMatchObject({
      rule: { line: 2, text: 'p, alice, /a, GET' },
    })
  })

  test('keeps names with commas apart', async () => {
    const model = modelText({ r: 'sub', p: 'sub, dom', g: 'g = _, _, _', m: 'g(r.sub, p.sub, p.dom)' })
    const rules = await ruleSet(model, 'p, "a,b", c\np, a, "b,c"\ng, alice, a, "b,c"')
    expect(rules.evaluate({ sub: 'alice' })).toMatchObject({ effect: 'allow', rule: { line: 2 }, roles: ['a'] })
  })

  test('answers a value as long as a path may be', async () => {
    const rules = await ruleSet(modelText({ m: 'keyMatch2(r.obj, p.obj)' }), 'p, -, /a/*/z, -')
    expect(rules.evaluate({ obj: `/a/${'b/'.repeat(4_000)}z` }).effect).toBe('allow')
    expect(rules.evaluate({ obj: `/a/${'b/'.repeat(4_000)}y` }).effect).toBe('deny')
  })

  test('allows nothing to names that it does not have', async () => {
    const rules = await ruleSet(modelText(), 'p, reader, /a, GET\ng, alice, reader')
    const value = fc.string({ unit: 'binary' }).filter((text) => text !== 'alice' && text !== 'reader')
    fc.assert(
      fc.property(value, (sub) => rules.evaluate({ sub, obj: '/a', act: 'GET' }).effect === 'deny'),
      { numRuns: 500 },
    )
  })
})
