import { describe, expect, test } from '@jest/globals'
import type { PolicyRequest } from '../../src/decision/rule-set.ts'
import { modelText, ruleSet } from './policies.ts'

/** Request, expected effect, line of the rule that settles it (null: none), roles. */
type Case = [PolicyRequest, 'allow' | 'deny', number | null, string[]?]

interface Kind {
  readonly kind: string
  readonly model: string
  readonly csv: string
  readonly cases: readonly Case[]
}

const deny = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))'

const kinds: Kind[] = [
  {
    kind: 'access control list',
    model: modelText({ g: '', m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act' }),
    csv: 'p, alice, /data1, GET\np, bob, /data2, PUT',
    cases: [
      [{ sub: 'alice', obj: '/data1', act: 'GET' }, 'allow', 1],
      [{ sub: 'bob', obj: '/data2', act: 'PUT' }, 'allow', 2],
      [{ sub: 'alice', obj: '/data2', act: 'PUT' }, 'deny', null],
    ],
  },
  {
    kind: 'access control list with a superuser',
    model: modelText({ g: '', m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act || r.sub == "root"' }),
    csv: 'p, alice, /data1, GET',
    cases: [
      [{ sub: 'root', obj: '/x', act: 'DELETE' }, 'allow', 1],
      [{ sub: 'alice', obj: '/x', act: 'DELETE' }, 'deny', null],
    ],
  },
  {
    kind: 'roles with a hierarchy',
    model: modelText(),
    csv: 'p, reader, /a, GET\np, alice, /b, GET\ng, alice, admin\ng, admin, writer\ng, writer, reader',
    cases: [
      [{ sub: 'alice', obj: '/a', act: 'GET' }, 'allow', 1, ['admin', 'writer', 'reader']],
      [{ sub: 'alice', obj: '/b', act: 'GET' }, 'allow', 2, []],
      [{ sub: 'reader', obj: '/b', act: 'GET' }, 'deny', null],
    ],
  },
  {
    kind: 'roles deeper than Casbin’s own limit of ten links',
    model: modelText(),
    csv: ['p, r30, /a, GET', ...Array.from({ length: 30 }, (_, at) => `g, r${String(at)}, r${String(at + 1)}`)].join(
      '\n',
    ),
    cases: [
      [{ sub: 'r0', obj: '/a', act: 'GET' }, 'allow', 1, Array.from({ length: 30 }, (_, at) => `r${String(at + 1)}`)],
    ],
  },
  {
    kind: 'roles with the host as domain',
    model: modelText({
      r: 'sub, host, obj, act',
      p: 'sub, dom, obj, act',
      g: 'g = _, _, _',
      m: 'g(r.sub, p.sub, r.host) && r.host == p.dom && r.obj == p.obj && r.act == p.act',
    }),
    csv: 'p, admin, one, /a, GET\np, admin, two, /a, GET\ng, alice, admin, one\ng, bob, admin, two',
    cases: [
      [{ sub: 'alice', host: 'one', obj: '/a', act: 'GET' }, 'allow', 1, ['admin']],
      [{ sub: 'bob', host: 'two', obj: '/a', act: 'GET' }, 'allow', 2, ['admin']],
      [{ sub: 'alice', host: 'two', obj: '/a', act: 'GET' }, 'deny', null],
      [{ sub: 'alice', obj: '/a', act: 'GET' }, 'deny', null],
    ],
  },
  {
    kind: 'roles of resources beside roles of subjects',
    model: modelText({ g: 'g = _, _\ng2 = _, _', m: 'g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act' }),
    csv: 'p, reader, orders, GET\ng, alice, reader\ng2, /orders, orders',
    cases: [
      [{ sub: 'alice', obj: '/orders', act: 'GET' }, 'allow', 1, ['reader', 'orders']],
      [{ sub: 'alice', obj: 'reader', act: 'GET' }, 'deny', null],
    ],
  },
  {
    kind: 'allow and deny',
    model: modelText({
      p: 'sub, obj, act, eft',
      e: deny,
      m: 'g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act',
    }),
    csv: 'p, reader, /*, GET, allow\np, alice, /secret, GET, deny\np, reader, /a, GET, allow\ng, alice, reader',
    cases: [
      [{ sub: 'alice', obj: '/b', act: 'GET' }, 'allow', 1, ['reader']],
      [{ sub: 'alice', obj: '/a', act: 'GET' }, 'allow', 3, ['reader']],
      [{ sub: 'alice', obj: '/secret', act: 'GET' }, 'deny', 2],
      [{ sub: 'alice', obj: '/b', act: 'PUT' }, 'deny', null],
    ],
  },
  {
    kind: 'priority by the order of the lines',
    model: modelText({ p: 'sub, obj, act, eft', e: 'priority(p.eft) || deny' }),
    csv: 'p, alice, /a, GET, allow\np, group, /a, GET, deny\np, group, /b, GET, deny\np, alice, /b, GET, allow\ng, alice, group',
    cases: [
      [{ sub: 'alice', obj: '/a', act: 'GET' }, 'allow', 1],
      [{ sub: 'alice', obj: '/b', act: 'GET' }, 'deny', 3, ['group']],
      [{ sub: 'alice', obj: '/c', act: 'GET' }, 'deny', null],
    ],
  },
  {
    kind: 'priority by a column',
    model: modelText({ p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }),
    csv: 'p, 10, group, /a, GET, deny\np, 9, alice, /a, GET, allow\np, 10, bob, /a, GET, allow\ng, alice, group\ng, bob, group',
    cases: [
      [{ sub: 'alice', obj: '/a', act: 'GET' }, 'allow', 2],
      [{ sub: 'bob', obj: '/a', act: 'GET' }, 'deny', 1, ['group']],
    ],
  },
  {
    kind: 'priority by the subject’s place in the hierarchy',
    model: modelText({ p: 'sub, obj, act, eft', e: 'subjectPriority(p.eft) || deny' }),
    csv: 'p, root, /a, GET, deny\np, admin, /a, GET, deny\np, jane, /a, GET, allow\ng, admin, root\ng, jane, admin',
    cases: [
      [{ sub: 'jane', obj: '/a', act: 'GET' }, 'allow', 3],
      [{ sub: 'admin', obj: '/a', act: 'GET' }, 'deny', 2],
    ],
  },
  {
    kind: 'priority by the subject’s place in the hierarchy of a domain',
    model: modelText({
      r: 'sub, obj, host, act',
      p: 'sub, obj, dom, act, eft',
      g: 'g = _, _, _',
      e: 'subjectPriority(p.eft) || deny',
      m: 'g(r.sub, p.sub, r.host) && r.host == p.dom && r.obj == p.obj && r.act == p.act',
    }),
    csv: 'p, admin, /a, one, GET, deny\np, alice, /a, one, GET, allow\ng, alice, admin, one',
    cases: [
      [{ sub: 'alice', obj: '/a', host: 'one', act: 'GET' }, 'allow', 2],
      [{ sub: 'admin', obj: '/a', host: 'one', act: 'GET' }, 'deny', 1],
    ],
  },
  {
    kind: 'Casbin’s functions',
    model: modelText({
      g: '',
      r: 'sub, host, obj, act',
      p: 'sub, obj, act, net',
      m: 'keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act) && ipMatch(r.host, p.net) && keyGet2(r.obj, p.obj, "id") != p.sub && globMatch(r.sub, p.sub)',
    }),
    csv: 'p, spiffe://*/web, /orders/:id, ^(GET|HEAD)$, 10.0.0.0/8',
    cases: [
      [{ sub: 'spiffe://a/web', host: '10.1.2.3', obj: '/orders/1', act: 'HEAD' }, 'allow', 1],
      [{ sub: 'spiffe://a/web', host: '11.1.2.3', obj: '/orders/1', act: 'HEAD' }, 'deny', null],
      [{ sub: 'spiffe://a/web', host: 'orders.shop', obj: '/orders/1', act: 'HEAD' }, 'deny', null],
      [{ sub: 'spiffe://a/web', host: '10.1.2.3', obj: '/orders/1', act: 'GETS' }, 'deny', null],
    ],
  },
  {
    kind: 'a list in the matcher',
    model: modelText({ g: '', m: '(r.act in ["GET", "HEAD"]) && r.sub == p.sub && pathMatch(r.obj, p.obj)' }),
    csv: 'p, alice, /a/**, -',
    cases: [
      [{ sub: 'alice', obj: '/a/b', act: 'HEAD' }, 'allow', 1],
      [{ sub: 'alice', obj: '/a/b', act: 'PUT' }, 'deny', null],
      [{ sub: 'alice', obj: '/a/b' }, 'deny', null],
    ],
  },
]

describe.each(kinds)('a policy of the kind: $kind', ({ model, csv, cases }) => {
  test.each(cases)('%j gets %s', async (request, effect, line, roles = []) => {
    const rules = await ruleSet(model, csv)
    const text = line === null ? null : csv.split('\n')[line - 1]
    const rule = line === null ? null : { file: 'policy.csv', line, text }
    expect(rules.evaluate(request)).toEqual({ effect, rule, roles })
  })
})
