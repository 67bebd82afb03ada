import { isIP } from 'node:net'
import { linksOf, reaches } from './casbin-links.ts'
import type { AskedPolicy, CasbinAnswer, CasbinCalls, Rule } from './plain-casbin.ts'

/**
 * One way in which the rules here are meant to answer otherwise than Casbin. It is written as the change of Casbin that
 * takes it away, so that it excuses exactly those answers that Casbin would give with that change, and no others.
 */
export interface Difference {
  readonly name: string
  /** For `docs/casbin.md`. */
  readonly meaning: string
  readonly calls?: (calls: CasbinCalls, policy: AskedPolicy) => CasbinCalls
  readonly rules?: (rules: readonly Rule[]) => readonly Rule[]
  /** The answer to every request, where the difference settles that by itself. */
  readonly always?: (policy: AskedPolicy) => CasbinAnswer | undefined
}

/** All of them, in the order in which they change Casbin; `docs/casbin.md` lists the same. */
export const differences = [
  {
    name: 'role-names-with-commas',
    meaning:
      'Casbin remembers the role calls of a request by their arguments joined with commas, so that `a,b` in the domain `c` is taken for `a` in the domain `b,c`. Here names are kept apart.',
    calls: (calls) => ({ ...calls, role: calls.roleAfresh }),
  },
  {
    name: 'deep-roles',
    meaning: 'Casbin’s roles silently end after ten links. Here there is no limit.',
    calls: (calls, policy) => ({
      ...calls,
      role: (name, values) => calls.role(name, values) === true || reaches(linksOf(policy, name), values.map(textOf)),
    }),
  },
  {
    name: 'no-address',
    meaning:
      'Casbin’s `ipMatch` throws where a value is no IP address, so that the whole request gets no answer. Here it is false.',
    calls: changedIpMatch((values, inner) => isIP(textOf(values[0])) !== 0 && inner(values)),
  },
  {
    name: 'address-families',
    meaning: 'Casbin’s `ipMatch` takes `::ffff:1.2.3.4` for `1.2.3.4`. Here an address is of one family.',
    calls: changedIpMatch((values, inner) => !ofTwoFamilies(values) && inner(values)),
  },
  {
    name: 'addresses-in-full',
    meaning:
      'Of an address in which `::` stands for one group alone, such as `::2:3:4:5:6:7:8`, Casbin’s `ipMatch` drops the last group. Here all are read.',
    calls: changedIpMatch((values, inner) => inner(values.map((value) => inFull(textOf(value))))),
  },
  {
    name: 'nothing-found',
    meaning:
      'Where `keyGet` and `keyGet2` find nothing, Casbin’s give an empty text or `undefined`, which can be equal to another one, or to 0. Here the result is absent: it equals nothing.',
    calls: (calls) => ({
      ...calls,
      call: (name, values) => {
        const result = calls.call(name, values)
        return result === '' || result === undefined ? NaN : result
      },
    }),
  },
  {
    name: 'absent-tokens',
    meaning:
      'Casbin’s functions and role calls take an absent token for an empty text, which `*` matches and which has itself as role, or throw. Here every function and role call is false of it, and nothing can be got from it.',
    calls: (calls) => ({
      call: (name, values) => (values.every(isPresent) ? calls.call(name, values) : nothingOf(name)),
      role: (name, values) => values.every(isPresent) && calls.role(name, values),
      roleAfresh: calls.roleAfresh,
    }),
  },
  {
    name: 'duplicate-rules',
    meaning:
      'Where several rules allow and none denies, the last of them is named. For Casbin a rule that stands twice is two rules; here it counts once, where it stands first.',
    rules: (rules) => [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()],
  },
  {
    name: 'no-rules',
    meaning: 'Without a rule Casbin evaluates the matcher on empty columns, and may allow. Here nothing is allowed.',
    always: ({ rows }) => (rows.some(({ type }) => type === 'p') ? undefined : { effect: 'deny', row: null }),
  },
] as const satisfies readonly Difference[]

export type DifferenceName = (typeof differences)[number]['name']

function isPresent(value: unknown): boolean {
  return value !== '' && value !== undefined && !Number.isNaN(value)
}

function nothingOf(name: string): unknown {
  return name.startsWith('keyGet') ? NaN : false
}

type Call = (values: readonly unknown[]) => unknown

function changedIpMatch(
  change: (values: readonly unknown[], inner: Call) => unknown,
): NonNullable<Difference['calls']> {
  return (calls) => ({
    ...calls,
    call: (name, values) => {
      const inner: Call = (changed) => calls.call(name, changed)
      return name === 'ipMatch' ? change(values, inner) : inner(values)
    },
  })
}

function ofTwoFamilies([value, pattern]: readonly unknown[]): boolean {
  const families = [isIP(textOf(value)), isIP(textOf(pattern).replace(/\/.*$/, ''))]
  return families.includes(4) && families.includes(6)
}

/** With a zero in place of a `::` at either end that stands for one group. */
function inFull(address: string): string {
  if (address.replace(/\/.*$/, '').split(':').length !== 9) return address
  return address.replace(/^::/, '0:').replace(/::(?=\/|$)/, ':0')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
