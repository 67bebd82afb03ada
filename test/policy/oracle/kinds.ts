import fc from 'fast-check'
import type { PolicyRequest, PolicyToken } from '../../../src/decision/rule-set.ts'
import { policyFunctions, type PolicyFunctionName } from '../../../src/policy/patterns/functions.ts'
import { effects } from '../../../src/policy/policy-model.ts'
import { modelText } from '../policies.ts'
import { matcherOf, type Scope } from './matchers.ts'
import * as values from './values.ts'

/** A policy of one of the kinds that Casbin documents, and requests for it. */
export interface Asked {
  readonly kind: string
  readonly model: string
  readonly csv: string
  readonly requests: readonly PolicyRequest[]
}

type Parts = NonNullable<Parameters<typeof modelText>[0]>
type Row = readonly string[]

interface Policy {
  readonly parts: Parts
  /** With their types. */
  readonly rows: readonly Row[]
}

interface Kind {
  readonly policy: fc.Arbitrary<Policy>
  readonly request: { readonly [token in PolicyToken]?: fc.Arbitrary<string> }
}

/** A policy of rules and role links that know nothing of one another. */
interface Loose {
  readonly parts: fc.Arbitrary<Parts>
  /** Without its type. */
  readonly rule: fc.Arbitrary<Row>
  /** With its type. */
  readonly link?: fc.Arbitrary<Row>
  readonly maxLinks?: number
}

const [allowOverride = '', allowAndDeny = '', priority = '', subjectPriority = ''] = Object.keys(effects)
const { anyPath, domain, effect, joinedAlike, level, linkName, method, name, path, port } = values

const always = fc.constant
const one = fc.constantFrom
const row = (...columns: fc.Arbitrary<string>[]): fc.Arbitrary<Row> => fc.tuple(...columns)
const plain = row(name, path, method)
const withEffect = row(name, path, method, effect)
const asked = { sub: name, obj: path, act: method }
const link = row(always('g'), name, name)
const equal = 'r.sub == p.sub && r.obj == p.obj && r.act == p.act'
const byRole = 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act'

/** Mostly few; more now and then, since a few are not put into an index. Seldom none: then Casbin has only empty columns. */
function rulesLike(rule: fc.Arbitrary<Row>): fc.Arbitrary<readonly Row[]> {
  const typed = rule.map((columns) => ['p', ...columns])
  const some = fc.array(typed, { minLength: 1, maxLength: 7, size: 'max' })
  const many = fc.array(typed, { minLength: 8, maxLength: 60, size: 'max' })
  return fc.oneof(
    { withCrossShrink: true },
    { weight: 1, arbitrary: always([]) },
    { weight: 24, arbitrary: some },
    { weight: 6, arbitrary: many },
  )
}

function loose({ parts, rule, link: linked, maxLinks = 6 }: Loose): fc.Arbitrary<Policy> {
  const rules = rulesLike(rule)
  const links = linked === undefined ? always([]) : fc.array(linked, { maxLength: maxLinks, size: 'max' })
  return fc.tuple(parts, rules, links, fc.boolean()).map(([model, ofRules, ofLinks, linksFirst]) => {
    return { parts: model, rows: linksFirst ? [...ofLinks, ...ofRules] : [...ofRules, ...ofLinks] }
  })
}

const basic: Record<string, Kind> = {
  'access control list': {
    policy: loose({ parts: always({ g: '', m: equal }), rule: plain }),
    request: asked,
  },
  'access control list with a superuser': {
    policy: loose({
      parts: one({ g: '', m: `${equal} || r.sub == "admin"` }, { g: '', m: `r.sub == "admin" ||(${equal})` }),
      rule: plain,
    }),
    request: asked,
  },
  'access control list without subjects': {
    policy: loose({
      parts: always({ g: '', r: 'obj, act', p: 'obj, act', m: 'r.obj == p.obj && r.act == p.act' }),
      rule: row(path, method),
    }),
    request: { obj: path, act: method },
  },
  roles: {
    policy: loose({ parts: one({ m: byRole }, { m: `r.sub == "admin" || ${byRole}` }), rule: plain, link }),
    request: asked,
  },
  'roles of resources': {
    policy: loose({
      parts: always({ g: 'g = _, _\ng2 = _, _', m: 'g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act' }),
      rule: plain,
      link: fc.oneof(link, row(always('g2'), path, path)),
    }),
    request: asked,
  },
  'roles in domains': {
    policy: loose({
      parts: one(
        'g(r.sub, p.sub, r.host) && r.host == p.dom && r.obj == p.obj && r.act == p.act',
        'g(r.sub, p.sub, p.dom) && r.obj == p.obj && p.act == r.act',
        'g(r.sub, p.sub, r.host) && r.act == p.act && p.dom == r.host',
      ).map((m) => ({ r: 'sub, host, obj, act', p: 'sub, dom, obj, act', g: 'g = _, _, _', m })),
      rule: row(name, domain, path, method),
      link: row(always('g'), name, name, domain),
    }),
    request: { ...asked, host: domain },
  },
  'roles over long chains': {
    policy: loose({
      parts: always({ r: 'sub', p: 'sub', m: 'g(r.sub, p.sub)' }),
      rule: row(linkName),
      link: fc.nat(14).map((at) => ['g', `n${String(at)}`, `n${String(at + 1)}`]),
      maxLinks: 60,
    }),
    request: { sub: linkName },
  },
  'many roles': {
    policy: loose({
      parts: one({ p: 'sub, act', m: 'g(r.sub, p.sub) && r.act == p.act' }, { p: 'sub, act', m: 'g(r.sub, p.sub)' }),
      rule: row(values.oneOfMany, method),
      link: row(always('g'), values.oneOfMany, values.oneOfMany),
      maxLinks: 160,
    }),
    request: { sub: values.oneOfMany, act: method },
  },
  'names with commas': {
    policy: loose({
      parts: always({ r: 'sub', p: 'sub, dom, eft', g: 'g = _, _, _', e: allowAndDeny, m: 'g(r.sub, p.sub, p.dom)' }),
      rule: fc.tuple(joinedAlike, effect).map(([names, eft]) => [...names, eft]),
      link: fc.tuple(name, joinedAlike).map(([who, names]) => ['g', who, ...names]),
    }),
    request: { sub: name },
  },
}

const withEffects: Record<string, Kind> = {
  'allow and deny': {
    policy: loose({
      parts: one(byRole, 'g(r.sub, p.sub) && r.act == p.act').map((m) => ({
        p: 'sub, obj, act, eft',
        e: allowAndDeny,
        m,
      })),
      rule: withEffect,
      link,
    }),
    request: asked,
  },
  'priority by the order of the lines': {
    policy: loose({
      parts: one(byRole, 'g(r.sub, p.sub) && p.obj == r.obj').map((m) => ({ p: 'sub, obj, act, eft', e: priority, m })),
      rule: withEffect,
      link,
    }),
    request: asked,
  },
  'priority by a column': {
    policy: loose({
      parts: one(byRole, 'g(r.sub, p.sub) || r.act == p.act').map((m) => {
        return { p: 'priority, sub, obj, act, eft', e: priority, m }
      }),
      rule: row(level, name, path, method, effect),
      link,
    }),
    request: asked,
  },
  'a column of priorities with another effect': {
    policy: loose({
      parts: one(byRole, 'g(r.sub, p.sub) && r.act == p.act').map((m) => {
        return { p: 'sub, obj, act, priority, eft', e: allowAndDeny, m }
      }),
      rule: row(name, path, method, level, effect),
      link,
    }),
    request: asked,
  },
  'rules that only allow, with priorities': {
    policy: loose({
      parts: always({ p: 'sub, obj, act, priority', e: allowOverride, m: 'g(r.sub, p.sub) || p.obj == r.obj' }),
      rule: row(name, path, method, level),
      link,
    }),
    request: asked,
  },
  'priority of the nearest subject': {
    policy: bySubject(
      link,
      (known) =>
        row(one(...known.map(([, who = '']) => who), ...known.map(([, , who = '']) => who)), path, method, effect),
      {
        p: 'sub, obj, act, eft',
        m: byRole,
      },
    ),
    request: asked,
  },
  'priority of the nearest subject, and by a column': {
    policy: bySubject(link, (known) => row(one(...known.flatMap(([, ...who]) => who)), path, level, method, effect), {
      p: 'sub, obj, priority, act, eft',
      m: 'g(r.sub, p.sub) && r.act == p.act',
    }),
    request: asked,
  },
  'priority of the nearest subject in a domain': {
    policy: bySubject(
      row(always('g'), name, name, domain),
      (known) => {
        const places = known.flatMap(([, who = '', role = '', where = '']) => [
          [who, where],
          [role, where],
        ])
        return fc
          .tuple(one(...places), path, method, effect)
          .map(([[who = '', where = ''], obj, act, eft]) => [who, obj, where, act, eft])
      },
      {
        r: 'sub, obj, host, act',
        p: 'sub, obj, dom, act, eft',
        g: 'g = _, _, _',
        m: 'g(r.sub, p.sub, r.host) && r.host == p.dom && r.act == p.act',
      },
    ),
    request: { ...asked, host: domain },
  },
}

/** Each subject of a rule has to stand in a role link. */
function bySubject(
  linked: fc.Arbitrary<Row>,
  ruleOf: (links: readonly Row[]) => fc.Arbitrary<Row>,
  parts: Parts,
): fc.Arbitrary<Policy> {
  return fc.array(linked, { minLength: 1, maxLength: 5 }).chain((links) =>
    rulesLike(ruleOf(links)).map((rules) => {
      return { parts: { ...parts, e: subjectPriority }, rows: [...rules, ...links] }
    }),
  )
}

function functionKind(called: PolicyFunctionName): Kind {
  const value = values.matched(called)
  const m =
    policyFunctions[called].gives === 'truth'
      ? one(
          `${called}(r.obj, p.obj) && r.act == p.act`,
          `r.act == p.act && !${called}(r.obj, p.obj)`,
          `${called}(r.obj, p.obj)`,
        )
      : one(`${called}(r.obj, p.obj${called === 'keyGet2' ? ', "id"' : ''})`).chain((got) =>
          one(`${got} == "a" && r.act == p.act`, `${got} != r.act`, `${got} == 1`, `${got} == ${got}`),
        )
  return {
    policy: loose({
      parts: m.map((text) => ({ g: '', p: 'obj, act, eft', e: allowAndDeny, m: text })),
      rule: row(values.pattern(called), method, effect),
    }),
    request: { obj: value, act: method },
  }
}

const byFunction = Object.fromEntries(
  (Object.keys(policyFunctions) as PolicyFunctionName[]).map((called) => [called, functionKind(called)]),
)

const attributes: Record<string, Kind> = {
  'a list in the matcher': {
    policy: loose({
      parts: one(
        '(r.act in ["GET", "PUT"])&& r.sub == p.sub',
        '!(r.act in ["GET", "PUT"])&& g(r.sub, p.sub)',
        'r.obj == p.obj &&(r.sub in ["alice", p.sub, "admin"])',
        '(r.act in ("GET", "PUT")) && p.sub == r.sub',
      ).map((m) => ({ m })),
      rule: plain,
      link,
    }),
    request: asked,
  },
  'attributes of the request': {
    policy: loose({
      parts: one(
        'r.sub == r.dst && r.act == p.act',
        'r.sub != r.dst && r.sub == p.sub',
        'r.port < 8080 && r.sub == p.sub',
        'r.port >= p.port && r.act == p.act',
        'r.port == 443 && p.sub == r.dst',
        'r.port == 80 && p.port != r.port',
        'g(r.sub, r.dst) && r.act == p.act',
        'r.protocol == "http" && r.user == p.sub || r.protocol != "http" && r.port <= p.port',
        'r.sub === p.sub && r.port !== p.port',
        '"9" > r.port && p.act == r.act',
      ).map((m) => ({ r: 'sub, user, dst, act, port, protocol', p: 'sub, act, port', m })),
      rule: row(name, method, port),
      link,
    }),
    request: { sub: name, user: name, dst: name, act: method, port, protocol: one('http', 'tcp') },
  },
  'paths and accounts': {
    policy: loose({
      parts: one(
        '(g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub))&& pathMatch(r.obj, p.obj)&& r.act == p.act',
        'spiffeMatch(r.sub, p.sub) && pathMatch(r.obj, p.obj)',
        'pathMatch(r.obj, p.obj) &&(r.act == p.act || p.act == "PUT")',
      ).map((m) => ({ p: 'sub, obj, act, eft', e: allowAndDeny, m })),
      rule: row(values.pattern('spiffeMatch'), values.pattern('pathMatch'), method, effect),
      link: row(always('g'), values.spiffeId, values.pattern('spiffeMatch')),
    }),
    request: { sub: values.spiffeId, obj: anyPath, act: method },
  },
}

const { keyMatch, keyMatch2, keyMatch3, keyMatch4, keyMatch5, keyGet, keyGet2, pathMatch, regexMatch, globMatch } =
  policyFunctions
const ofPaths = [
  keyMatch,
  keyMatch2,
  keyMatch3,
  keyMatch4,
  keyMatch5,
  keyGet,
  keyGet2,
  pathMatch,
  regexMatch,
  globMatch,
]
/** Valid for every function of paths: which of them reads the column is drawn with the matcher. */
const pathPattern = fc
  .oneof(values.pattern('pathMatch'), values.pattern('keyMatch2'), values.pattern('globMatch'))
  .filter((text) => ofPaths.every(({ patternProblem }) => patternProblem(text) === undefined))

const paths = Object.fromEntries(
  (
    [
      'keyMatch',
      'keyMatch2',
      'keyMatch3',
      'keyMatch4',
      'keyMatch5',
      'keyGet',
      'keyGet2',
      'pathMatch',
      'regexMatch',
      'globMatch',
    ] as const
  ).map((called) => [called, 'p.obj']),
)

function anyMatcher(columns: readonly string[], e: string, domains: boolean): Kind {
  const arbitraries: Record<string, fc.Arbitrary<string>> = {
    sub: name,
    obj: pathPattern,
    act: method,
    id: values.pattern('spiffeMatch'),
    net: values.pattern('ipMatch'),
    port,
    priority: level,
    eft: e === allowOverride ? always('allow') : effect,
  }
  const scope: Scope = {
    names: [...['sub', 'dst', 'host', 'obj', 'act', 'port'].map((token) => `r.${token}`), 'p.sub', 'p.act', 'p.port'],
    patterns: { ...paths, spiffeMatch: 'p.id', ipMatch: 'p.net' },
    roles: domains ? { g: 3, g2: 2 } : { g: 2, g2: 2 },
  }
  return {
    policy: loose({
      parts: matcherOf(scope).map((m) => ({
        r: 'sub, dst, host, obj, act, port',
        p: columns.join(', '),
        g: `g = _, _${domains ? ', _' : ''}\ng2 = _, _`,
        e,
        m,
      })),
      rule: row(...columns.map((column) => arbitraries[column] ?? name)),
      link: fc.oneof(
        domains ? row(always('g'), name, name, fc.oneof(domain, name)) : link,
        row(always('g2'), fc.oneof(name, path), fc.oneof(name, method)),
      ),
    }),
    request: {
      sub: name,
      dst: fc.oneof(values.spiffeId, name),
      host: fc.oneof({ weight: 4, arbitrary: values.address }, { weight: 1, arbitrary: domain }),
      obj: anyPath,
      act: method,
      port,
    },
  }
}

const all = ['sub', 'obj', 'act', 'id', 'net', 'port']
const anyMatchers: Record<string, Kind> = {
  'any matcher, one allow is enough': anyMatcher(all, allowOverride, false),
  'any matcher, allow and deny': anyMatcher([...all, 'eft'], allowAndDeny, true),
  'any matcher, priority': anyMatcher(['eft', 'priority', ...all], priority, false),
  'any matcher, priority by the order of the lines': anyMatcher([...all, 'eft'], priority, true),
}

const kinds: Readonly<Record<string, Kind>> = { ...basic, ...withEffects, ...byFunction, ...attributes, ...anyMatchers }

export const kindNames: readonly string[] = Object.keys(kinds)

/** Policies of all kinds alike; those with any matcher more often. */
export function anyPolicy(requests: number): fc.Arbitrary<Asked> {
  return fc.oneof(
    ...Object.entries(kinds).map(([kind, of]) => ({
      weight: kind.startsWith('any') ? 4 : 1,
      arbitrary: askedOf(kind, of, requests),
    })),
  )
}

function askedOf(kind: string, { policy, request }: Kind, count: number): fc.Arbitrary<Asked> {
  const token = (arbitrary: fc.Arbitrary<string>) => fc.option(arbitrary, { nil: undefined, freq: 12 })
  const tokens = Object.entries(request).map(([key, arbitrary]) => [key, token(arbitrary)] as const)
  const drawn = fc.record(Object.fromEntries(tokens)).map(withoutUndefined)
  // Which rule a request is made after, if any, and which of its tokens are the rule's.
  const likeness = fc.option(fc.tuple(fc.nat(7), fc.nat(255)), { nil: undefined, freq: 3 })
  const requests = fc.array(fc.tuple(drawn, likeness), { minLength: count, maxLength: count })
  return fc.tuple(policy, requests).map(([{ parts, rows }, each]) => {
    const rules = rulesOf(parts, rows)
    return {
      kind,
      model: modelText(parts),
      csv: rows.map(csvLine).join('\n'),
      requests: each.map(([tokens, like]) =>
        like === undefined ? tokens : madeAfter(tokens, rules[like[0]], like[1]),
      ),
    }
  })
}

/** The rules with their values by the names of the tokens that they are about. */
function rulesOf({ p = 'sub, obj, act' }: Parts, rows: readonly Row[]): readonly PolicyRequest[] {
  const columns = p.split(', ').map((column) => (column === 'dom' ? 'host' : column))
  return rows
    .filter(([type]) => type === 'p')
    .map(([, ...row]) => Object.fromEntries(columns.map((column, index) => [column, row[index]])) as PolicyRequest)
}

function madeAfter(tokens: PolicyRequest, rule: PolicyRequest | undefined, mask: number): PolicyRequest {
  const entries = Object.entries(tokens) as [PolicyToken, string][]
  return Object.fromEntries(
    entries.map(([token, value], index) => [token, ((mask >> index) & 1) === 1 ? (rule?.[token] ?? value) : value]),
  )
}

function withoutUndefined(tokens: Record<string, string | undefined>): PolicyRequest {
  return Object.fromEntries(Object.entries(tokens).filter(([, value]) => value !== undefined))
}

/** A line of a CSV file; commas in values are quoted. */
export function csvLine(values: Row): string {
  return values.map((value) => (value.includes(',') ? `"${value}"` : value)).join(', ')
}
