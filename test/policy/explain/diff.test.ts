import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { RoleGraph } from '../../../src/policy/compiled/roles.ts'
import { diffPolicies, type ComparedPolicy, type PolicyDiff } from '../../../src/policy/explain/diff.ts'
import type { PermissionChange } from '../../../src/policy/explain/permission-diff.ts'
import { modelText } from '../policies.ts'
import { compared } from './opened.ts'

const deny = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))'
const withEffect = modelText({ p: 'sub, obj, act, eft', e: deny })
const byOrder = modelText({ p: 'sub, obj, act, eft', e: 'priority(p.eft) || deny' })
const byPriority = modelText({ p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' })

async function diffOf(model: string, a: string, b: string, modelB = model): Promise<PolicyDiff> {
  return diffPolicies(await compared(model, a), await compared(modelB, b))
}

/** `web gains /a GET allow over writer, reader (2)`. */
function told({ permissions }: PolicyDiff): string[] {
  return permissions.changes.flatMap(({ subjects, changes }) =>
    changes.map((change) => `${subjects.join(' and ')} ${changeText(change)}`),
  )
}

function changeText({ change, permission, was, domain, through, members }: PermissionChange): string {
  const before = was === null ? '' : `${Object.values(was).join(' ')} to `
  const over = through.length === 0 ? '' : ` over ${through.join(', ')}`
  const where = domain === null ? '' : ` in ${domain}`
  return `${change} ${before}${Object.values(permission).join(' ')}${over}${where} (${String(members)})`
}

const csv = [
  'p, reader, /orders, GET, allow',
  'p, writer, /orders, POST, allow',
  'g, web, writer',
  'g, report, reader',
  'g, writer, reader',
].join('\n')

describe('rules and role links', () => {
  test('are compared by their values, wherever and however they stand', async () => {
    const other = `# moved\n${csv.split('\n').reverse().join('\n')}\np,"reader" ,/orders,GET,allow`
    expect(await diffOf(withEffect, csv, other)).toMatchObject({ same: true, moved: [], permissions: { changes: [] } })
  })

  test('are told with their places, and as changed where only effect or priority differs', async () => {
    const other = csv.replace('POST, allow', 'POST, deny').replace('g, report, reader', 'g, cron, reader')
    const { same, rules, links } = await diffOf(withEffect, csv, other)
    const place = (line: number, text: string) => ({ file: 'policy.csv', line, text })
    expect({ same, rules, links }).toEqual({
      same: false,
      rules: {
        added: [],
        removed: [],
        changed: [
          {
            a: place(2, 'p, writer, /orders, POST, allow'),
            b: place(2, 'p, writer, /orders, POST, deny'),
          },
        ],
      },
      links: { added: [place(4, 'g, cron, reader')], removed: [place(4, 'g, report, reader')], changed: [] },
    })
  })

  test('that are gone with both of their effects are both told', async () => {
    const both = 'p, a, /x, GET, allow\np, a, /x, GET, deny\np, b, /y, GET, allow'
    const { rules } = await diffOf(withEffect, both, 'p, b, /y, GET, allow')
    expect(rules.removed.map(({ line }) => line)).toEqual([1, 2])
  })
})

describe('the order of rules', () => {
  const two = 'p, a, /x, GET, allow\np, a, /x, GET, deny\np, b, /x, GET, allow'
  const turned = 'p, a, /x, GET, deny\np, a, /x, GET, allow\np, b, /x, GET, allow'

  test('is a difference where the first rule that matches decides', async () => {
    const { same, moved } = await diffOf(byOrder, two, turned)
    expect({ same, moved }).toMatchObject({ same: false, moved: [{ a: { line: 2 }, b: { line: 1 } }] })
  })

  test('is none elsewhere, nor between rules that a priority sorts', async () => {
    expect((await diffOf(withEffect, two, turned)).same).toBe(true)
    const [one, other] = ['p, 1, a, /x, GET, allow', 'p, 2, a, /x, GET, deny']
    expect((await diffOf(byPriority, `${one}\n${other}`, `${other}\n${one}`)).same).toBe(true)
  })
})

describe('models', () => {
  test('are compared by their definitions, spaces apart', async () => {
    const other = modelText({ p: 'sub, obj, act, eft', m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act' })
    const { same, model, warnings } = await diffOf(withEffect, csv, csv, other)
    expect({ same, definitions: model.map(({ definition }) => definition) }).toEqual({
      same: false,
      definitions: ['e', 'm'],
    })
    expect(warnings.map((text) => text.split(':')[0])).toEqual(['THE MATCHER CHANGED', 'THE POLICY EFFECT CHANGED'])
    const spaced = withEffect.replace('sub, obj, act, eft', 'sub,  obj,   act,   eft')
    expect((await diffOf(withEffect, csv, csv, spaced)).same).toBe(true)
  })

  test('with and without an effect have the same permissions, and a warning tells of the columns', async () => {
    const plain = modelText()
    const { permissions, warnings } = await diffOf(plain, 'p, a, /x, GET', 'p, a, /x, GET, allow', withEffect)
    expect(permissions).toEqual({ compared: true, changes: [] })
    expect(warnings.join()).toContain('only one model has eft')
  })

  test('that tie no column to the caller are compared by their rules alone', async () => {
    const open = modelText({ g: '', m: 'r.obj == p.obj && r.act == p.act' })
    const { same, permissions, warnings } = await diffOf(open, 'p, -, /x, GET', 'p, -, /y, GET')
    expect({ same, permissions }).toEqual({ same: false, permissions: { compared: false, changes: [] } })
    expect(warnings).toHaveLength(2)
  })
})

describe('permissions', () => {
  test('are told of the subject whose rule changed, with the number of its members', async () => {
    const other = csv.replace('reader, /orders, GET', 'reader, /orders/all, GET')
    expect(told(await diffOf(withEffect, csv, other))).toEqual([
      'reader gains /orders/all GET allow (2)',
      'reader loses /orders GET allow (2)',
    ])
  })

  test('are told of the subject whose link changed, with the role over which it has them', async () => {
    const other = `${csv}\ng, cron, writer\ng, job, writer`
    expect(told(await diffOf(withEffect, csv, other))).toEqual([
      'cron and job gains /orders POST allow over writer (0)',
      'cron and job gains /orders GET allow over writer, reader (0)',
    ])
    const without = csv.replace('g, writer, reader', '')
    expect(told(await diffOf(withEffect, csv, without))).toEqual(['writer loses /orders GET allow over reader (1)'])
  })

  test('count no member that has the same by another way', async () => {
    const also = `${csv}\np, own, /orders, GET, allow\ng, report, own`
    const other = also.replace('p, reader, /orders, GET, allow', '')
    expect(told(await diffOf(withEffect, also, other))).toEqual(['reader loses /orders GET allow (1)'])
  })

  test('are the same where a rule moves to a role that all have', async () => {
    const other = csv.replace('p, reader, /orders', 'p, base, /orders') + '\ng, reader, base'
    const diff = await diffOf(withEffect, csv, other)
    expect(told(diff)).toEqual(['base gains /orders GET allow (0)'])
  })

  test('change where only effect or priority does', async () => {
    const denied = csv.replace('POST, allow', 'POST, deny')
    expect(told(await diffOf(withEffect, csv, denied))).toEqual([
      'writer changes /orders POST allow to /orders POST deny (1)',
    ])
    expect(told(await diffOf(byPriority, 'p, 1, a, /x, GET, allow', 'p, 2, a, /x, GET, allow'))).toEqual([
      'a changes 1 /x GET allow to 2 /x GET allow (0)',
    ])
  })

  test('that deny are told as what they mean, before all others', async () => {
    const rules = `${csv}\np, reader, /secret, GET, deny\ng, cron, writer`
    const other = `${csv.replace('reader, /orders, GET', 'reader, /all, GET')}\np, web, /secret, PUT, deny\ng, cron, writer`
    expect(told(await diffOf(withEffect, rules, other))).toEqual([
      'reader undenied /secret GET deny (2)',
      'reader gains /all GET allow (2)',
      'reader loses /orders GET allow (2)',
      'web denied /secret PUT deny (0)',
    ])
    expect(
      told(await diffOf(withEffect, `${csv}\np, x, /a, GET, deny`, csv.replace('reader, /o', 'reader, /p')))[0],
    ).toBe('x undenied /a GET deny (0)')
    const turned = csv.replace('POST, allow', 'POST, deny').replace('reader, /orders', 'reader, /all')
    expect(told(await diffOf(withEffect, csv, turned))[0]).toBe(
      'writer changes /orders POST allow to /orders POST deny (1)',
    )
  })

  test('are held in the domain of the links', async () => {
    const tied = modelText({
      r: 'sub, host, obj, act',
      p: 'sub, dom, obj, act',
      g: 'g = _, _, _',
      m: 'g(r.sub, p.sub, r.host) && r.host == p.dom && r.obj == p.obj && r.act == p.act',
    })
    const rules = 'p, admin, one, /a, GET\np, admin, two, /a, GET'
    expect(told(await diffOf(tied, rules, `${rules}\ng, web, admin, one`))).toEqual([
      'web gains one /a GET over admin (0)',
    ])
    const free = modelText({
      r: 'sub, host, obj, act',
      g: 'g = _, _, _',
      m: 'g(r.sub, p.sub, r.host) && r.obj == p.obj && r.act == p.act',
    })
    const one = 'p, admin, /a, GET\ng, web, admin, one'
    expect(told(await diffOf(free, one, `${one}\ng, web, admin, two`))).toEqual([
      'web gains /a GET over admin in two (0)',
    ])
    expect(told(await diffOf(free, one, one.replace('/a', '/b')))).toEqual([
      'admin gains /b GET (1)',
      'admin loses /a GET (1)',
    ])
  })

  test('of roles in a circle are told of where the change is', async () => {
    const circle = 'p, a, /x, GET, allow\ng, a, b\ng, b, a\ng, web, b'
    expect(told(await diffOf(withEffect, circle, `${circle}\np, b, /y, GET, allow`))).toEqual([
      'b gains /y GET allow (1)',
    ])
  })
})

describe('properties', () => {
  const name = fc.constantFrom('web', 'cron', 'report', 'reader', 'writer', 'admin')
  const rule = fc
    .tuple(name, fc.constantFrom('/a', '/b'), fc.constantFrom('GET', 'PUT'), fc.constantFrom('allow', 'deny'))
    .map((values) => `p, ${values.join(', ')}`)
  const link = fc.tuple(name, name).map((values) => `g, ${values.join(', ')}`)
  const lines = fc.array(fc.oneof(rule, link), { minLength: 1, maxLength: 14 })
  const pairs = fc.tuple(lines, lines, fc.boolean()).map(([a, b, near]) => {
    // Half of them differ in little, as changes do.
    return [a, near ? [...a.slice(1), ...b.slice(0, 2)] : b].map((all) => all.join('\n')) as [string, string]
  })

  test('a policy is the same as itself, in any order of its lines and with lines twice', async () => {
    await fc.assert(
      fc.asyncProperty(lines, fc.nat(), async (all, at) => {
        const turned = [...all.slice(at % all.length), ...all.slice(0, at % all.length), all[0]]
        const diff = await diffOf(withEffect, all.join('\n'), turned.join('\n'))
        expect(diff).toMatchObject({ same: true, permissions: { changes: [] } })
      }),
    )
  })

  test('what one direction gains the other one loses', async () => {
    const turn = (text: string) =>
      text
        .replace(/ (gains|loses) /, (word) => (word === ' gains ' ? ' loses ' : ' gains '))
        .replace(/ (un)?denied /, (word) => (word === ' denied ' ? ' undenied ' : ' denied '))
        .replace(/changes (.*) to (\S+ \S+ \S+)/, 'changes $2 to $1')
    await fc.assert(
      fc.asyncProperty(pairs, async ([a, b]) => {
        const there = await diffOf(withEffect, a, b)
        const back = await diffOf(withEffect, b, a)
        expect(told(there).map(turn).sort()).toEqual(told(back).sort())
        expect(there.rules.added).toEqual(back.rules.removed)
        expect(there.links.removed).toEqual(back.links.added)
      }),
      { numRuns: 200 },
    )
  })

  test('exactly what somebody has in one policy and not in the other is told, of themselves or of one of their roles', async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async ([csvA, csvB]) => {
        const [a, b] = [await compared(withEffect, csvA), await compared(withEffect, csvB)]
        const { permissions } = await diffPolicies(a, b)
        const toldOf = new Set(
          permissions.changes.flatMap(({ subjects, changes }) =>
            subjects.flatMap((subject) => sides(subject, changes)),
          ),
        )
        const names = namesOf([a, b])
        const really = names.flatMap((who) => differences(who, a, b).map((difference) => ({ who, difference })))
        const keys = new Set(really.map(({ who, difference }) => `${who} ${difference}`))
        expect([...toldOf].filter((one) => !keys.has(one))).toEqual([])
        for (const { who, difference } of really) {
          const side = difference.startsWith('gains') ? b : a
          const sources = [who, ...names.filter((role) => graphOf(side).has(who, role))]
          expect(sources.some((source) => toldOf.has(`${source} ${difference}`))).toBe(true)
        }
      }),
      { numRuns: 200 },
    )
  })
})

function sides(subject: string, changes: readonly PermissionChange[]): string[] {
  return changes.flatMap(({ change, permission, was }) => {
    const now = Object.values(permission).join(' ')
    const side = change === 'denied' ? 'gains' : change === 'undenied' ? 'loses' : change
    if (was === null) return [`${subject} ${side} ${now}`]
    return [`${subject} gains ${now}`, `${subject} loses ${Object.values(was).join(' ')}`]
  })
}

function namesOf(policies: readonly ComparedPolicy[]): string[] {
  const rows = policies.flatMap(({ rows: all }) => all)
  return [...new Set(rows.flatMap(({ type, values }) => values.slice(0, type === 'p' ? 1 : 2)))]
}

function graphOf({ rows }: ComparedPolicy): RoleGraph {
  const graph = new RoleGraph()
  for (const { type, values } of rows) if (type === 'g') graph.add(values[0] ?? '', values[1] ?? '')
  return graph
}

/** What a name gains and loses, found by asking of every rule whether it is for that name. */
function differences(who: string, a: ComparedPolicy, b: ComparedPolicy): string[] {
  const [inA, inB] = [a, b].map((policy) => {
    const graph = graphOf(policy)
    const rules = policy.rows.filter(({ type, values }) => type === 'p' && graph.has(who, values[0] ?? ''))
    return new Set(rules.map(({ values }) => values.slice(1).join(' ')))
  }) as [Set<string>, Set<string>]
  return [
    ...[...inB].filter((key) => !inA.has(key)).map((key) => `gains ${key}`),
    ...[...inA].filter((key) => !inB.has(key)).map((key) => `loses ${key}`),
  ]
}
