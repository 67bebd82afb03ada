/** Policies of a given size, as a mesh has them: workloads with roles, roles with rules on paths and methods. */

export interface BenchPolicy {
  readonly model: string
  readonly rules: string
  /** Requests that rules of all parts of the policy allow, and as many that none allows. */
  readonly requests: readonly BenchRequest[]
}

export interface BenchRequest {
  readonly sub: string
  readonly obj: string
  readonly act: string
}

export function model(matcher: string, columns = 'sub, obj, act', effect = 'some(where (p.eft == allow))'): string {
  return [
    '[request_definition]\nr = sub, obj, act',
    `[policy_definition]\np = ${columns}`,
    '[role_definition]\ng = _, _',
    `[policy_effect]\ne = ${effect}`,
    `[matchers]\nm = ${matcher}\n`,
  ].join('\n')
}

const rulesPerRole = 10
const methods = ['GET', 'POST', 'PUT', 'DELETE']

const workload = (number: number) =>
  `spiffe://cluster.local/ns/team-${String(number % 50)}/sa/workload-${String(number)}`
const role = (number: number) => `service-${String(number)}-user`
const method = (number: number) => methods[number % methods.length] ?? 'GET'

/**
 * As many role links as rules. Each role has ten rules on the paths of its service; each workload has one role. `pattern` writes
 * one wildcard segment as the matcher's function reads it; `asked` rules, spread evenly, have a request that they allow and one that
 * differs in its method.
 */
export function meshPolicy(size: number, matcher: string, pattern: string, asked = 50): BenchPolicy {
  const roles = Math.max(1, size / rulesPerRole)
  const path = (rule: number, id: string) =>
    `/service-${String(Math.floor(rule / rulesPerRole))}/orders-${String(rule % 10)}/${id}`
  const rules = range(size).map(
    (rule) => `p, ${role(Math.floor(rule / rulesPerRole))}, ${path(rule, pattern)}, ${method(rule)}`,
  )
  const links = range(size).map((number) => `g, ${workload(number)}, ${role(number % roles)}`)
  const requests = range(Math.min(size, asked)).flatMap((number) => {
    const rule = Math.floor((number * size) / Math.min(size, asked))
    const sub = workload(Math.floor(rule / rulesPerRole))
    const obj = path(rule, `order-${String(rule * 7)}`)
    return [
      { sub, obj, act: method(rule) },
      { sub, obj, act: method(rule + 1) },
    ]
  })
  return { model: model(matcher), rules: [...rules, ...links].join('\n'), requests }
}

/** Every workload has `roles` roles; every role reaches the same few paths by other methods. */
export function manyRoles(size: number, roles: number): BenchPolicy {
  const count = size / 2
  const rules = range(size).map(
    (rule) => `p, role-${String(rule % count)}, /shared/${String(rule % 20)}/**, ${method(rule)}`,
  )
  const links = range(size).map(
    (link) => `g, ${workload(Math.floor(link / roles))}, role-${String((link * 31) % count)}`,
  )
  const requests = range(1000).map((number) => ({
    sub: workload(number % Math.floor(size / roles)),
    obj: `/shared/${String(number % 20)}/a/b`,
    act: method(number),
  }))
  return {
    model: model('g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'),
    rules: [...rules, ...links].join('\n'),
    requests,
  }
}

export function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index)
}
