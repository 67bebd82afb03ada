import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { compile } from '../../../src/policy/compile.ts'
import { compareWithCasbin, namesOfExcuse, type OwnAnswer } from '../../../src/policy/oracle/compare.ts'
import { differences, type DifferenceName } from '../../../src/policy/oracle/differences.ts'
import { PlainCasbin, type CasbinAnswer } from '../../../src/policy/oracle/plain-casbin.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { tableRows, section } from '../../markdown.ts'
import { modelText, snapshot } from '../policies.ts'

// Casbin's ipMatch prints what is no address.
const { log } = console
beforeAll(() => {
  console.log = () => undefined
})
afterAll(() => {
  console.log = log
})

interface Policy {
  readonly model: string
  readonly csv: string
}

async function both({ model, csv }: Policy, request: PolicyRequest) {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
  const compiled = await compile(checked.policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  return { casbin: await PlainCasbin.build(checked.policy), own: compiled.ruleSet.evaluate(request) }
}

/** Effect and line of the rule. */
function short(answer: CasbinAnswer | OwnAnswer): string {
  if ('fault' in answer) return 'fault'
  const rule = 'row' in answer ? answer.row?.rule : answer.rule
  return `${answer.effect} ${String(rule?.line ?? '-')}`
}

function chain(links: number, from = 'n'): string {
  return Array.from({ length: links }, (_, at) => `g, ${from}${String(at)}, ${from}${String(at + 1)}`).join('\n')
}

const deep = {
  model: modelText({ r: 'sub', p: 'sub', m: 'g(r.sub, p.sub)' }),
  csv: `p, n12\np, m3\n${chain(12)}\n${chain(3, 'm')}`,
}
const address = { model: modelText({ g: '', r: 'host', p: 'net', m: 'ipMatch(r.host, p.net)' }) }
const domains = { model: modelText({ r: 'sub, host', p: 'sub', g: 'g = _, _, _', m: 'g(r.sub, p.sub, r.host)' }) }
const denies = modelText({
  g: '',
  r: 'obj',
  p: 'obj, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  m: 'keyMatch(r.obj, p.obj)',
})

/** Name, policy, request, Casbin's answer and ours. */
const cases: [DifferenceName, Policy, PolicyRequest, string, string][] = [
  [
    'role-names-with-commas',
    {
      model: modelText({
        r: 'sub',
        p: 'sub, dom, eft',
        g: 'g = _, _, _',
        e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
        m: 'g(r.sub, p.sub, p.dom)',
      }),
      csv: 'p, a, "b,c", allow\np, "a,b", c, deny\ng, alice, a, "b,c"',
    },
    { sub: 'alice' },
    'deny 2',
    'allow 1',
  ],
  ['deep-roles', deep, { sub: 'n0' }, 'deny -', 'allow 1'],
  ['no-address', { ...address, csv: 'p, 10.0.0.0/8' }, { host: 'shop' }, 'fault', 'deny -'],
  ['address-families', { ...address, csv: 'p, 10.0.0.1' }, { host: '::ffff:10.0.0.1' }, 'allow 1', 'deny -'],
  ['addresses-in-full', { ...address, csv: 'p, 0:2:3:4:5:6:7:8' }, { host: '::2:3:4:5:6:7:8' }, 'deny -', 'allow 1'],
  [
    'nothing-found',
    { model: modelText({ g: '', r: 'obj', p: 'obj', m: 'keyGet(r.obj, p.obj) == 0' }), csv: 'p, /a/*' },
    { obj: '/b' },
    'allow 1',
    'deny -',
  ],
  [
    'absent-tokens',
    { model: modelText({ g: '', r: 'sub, obj', p: 'obj', m: 'keyMatch(r.obj, p.obj)' }), csv: 'p, *' },
    { sub: 'alice' },
    'allow 1',
    'deny -',
  ],
  ['absent-tokens', { ...domains, csv: 'p, alice' }, { sub: 'alice' }, 'allow 1', 'deny -'],
  ['absent-tokens', { ...address, csv: 'p, 10.0.0.0/8' }, {}, 'fault', 'deny -'],
  [
    'duplicate-rules',
    { model: denies, csv: 'p, /*, allow\np, /a, allow\np, /*, allow' },
    { obj: '/a' },
    'allow 3',
    'allow 2',
  ],
  [
    'no-rules',
    { model: modelText({ g: '', m: 'r.sub == p.sub || r.sub == "admin"' }), csv: '# none' },
    { sub: 'admin' },
    'allow -',
    'deny -',
  ],
]

describe('Casbin is meant to answer otherwise', () => {
  test.each(cases)('by %s', async (name, policy, request, casbins, ours) => {
    const { casbin, own } = await both(policy, request)
    expect([short(casbin.answer(request)), short(own)]).toEqual([casbins, ours])
    expect(compareWithCasbin(casbin, request, own).kind).toBe('excused')
    expect(namesOfExcuse(casbin, request, own)).toEqual([name])
  })

  test('in no way that has no example here', () => {
    expect(differences.map(({ name }) => name).sort()).toEqual([...new Set(cases.map(([name]) => name))].sort())
  })
})

describe('a difference excuses nothing else', () => {
  const rule = (line: number) => ({ file: 'policy.csv', line, text: '' })

  test.each<[string, PolicyRequest, OwnAnswer]>([
    ['a denial that is wrong, where another chain is deep', { sub: 'm0' }, { effect: 'deny', rule: null }],
    ['an allow that is wrong, where a chain is deep', { sub: 'm4' }, { effect: 'allow', rule: rule(2) }],
    ['a wrong rule at the end of a deep chain', { sub: 'n0' }, { effect: 'allow', rule: rule(2) }],
    ['a fault', { sub: 'n0' }, { fault: 'broken' }],
  ])('such as %s', async (_title, request, own) => {
    const { casbin } = await both(deep, request)
    expect(compareWithCasbin(casbin, request, own).kind).toBe('disagrees')
  })

  test('such as an allow of what is no address', async () => {
    const { casbin } = await both({ ...address, csv: 'p, 10.0.0.0/8' }, { host: 'shop' })
    const own = { effect: 'allow', rule: rule(1) } as const
    expect(compareWithCasbin(casbin, { host: 'shop' }, own).kind).toBe('disagrees')
  })

  test('such as a denial for a token that is there, where another one is absent', async () => {
    const policy = { ...domains, csv: 'p, reader\ng, alice, reader, one' }
    const request = { sub: 'alice', host: 'one' }
    const { casbin } = await both(policy, request)
    expect(compareWithCasbin(casbin, request, { effect: 'deny', rule: null }).kind).toBe('disagrees')
  })
})

test('docs/casbin.md lists each difference with its meaning, and no other', () => {
  const rows = tableRows(section('docs/casbin.md', 'Differences in answers'))
  expect(rows).toEqual(differences.map(({ name, meaning }) => [`\`${name}\``, meaning]))
})
