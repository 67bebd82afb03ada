import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { RoleCall } from '../parse/matcher.ts'
import type { PolicyModel } from '../policy-model.ts'
import { shown } from '../problem.ts'
import { isPossible, looksLikeRole } from './covering.ts'
import { inDomain, type RoleLinks } from './role-links.ts'
import { at, placeOf } from './warn-rules.ts'
import type { Warn } from './warnings.ts'

/** Roles that some request can have; left out where a role definition is asked in another way. */
export async function liveNames(
  model: PolicyModel,
  links: ReadonlyMap<string, RoleLinks>,
  pace: Pace,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const live = new Map<string, ReadonlySet<string>>()
  for (const [name, given] of links) {
    const tokens = callsOf(model, name).map(({ arguments: [who] }) => (who?.kind === 'token' ? who.token : undefined))
    if (tokens.includes(undefined)) continue
    const possible = new Set<string>()
    for (const [role, rows] of given.byRole) {
      for (const { values } of rows) {
        if (pace.due) await pace.rest()
        const [member = ''] = values
        if (!tokens.some((token) => token !== undefined && isPossible(token, member))) continue
        possible.add(role)
        break
      }
    }
    live.set(name, await given.reached(possible, 'up', pace))
  }
  return live
}

function callsOf({ reads }: PolicyModel, name: string): readonly RoleCall[] {
  return reads.roleCalls.filter((call) => call.name === name)
}

/** Roles that rules speak of and nobody has. */
export async function warnOfEmptyRoles(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  links: ReadonlyMap<string, RoleLinks>,
  warn: Warn,
  pace: Pace,
): Promise<void> {
  const asked = model.reads.roleCalls.flatMap(({ name, arguments: [who, role] }) => {
    if (role?.kind !== 'column' || who?.kind !== 'token') return []
    return [{ index: model.columns.indexOf(role.column), links: links.get(name), token: who.token }]
  })
  const seen = new Set<string>()
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') continue
    for (const { index, links: given, token } of asked) {
      const value = row.values[index] ?? ''
      if (seen.has(`${String(index)} ${value}`) || isPossible(token, value) || given?.byRole.has(value) === true)
        continue
      seen.add(`${String(index)} ${value}`)
      // A column can hold patterns beside roles.
      if (!looksLikeRole(value)) continue
      warn(at(row, 'ROLE_WITHOUT_MEMBERS', `nobody has the role ${shown(value)}: no role link gives it`, index))
    }
  }
}

/** Roles that are given and of which no rule speaks. */
export async function warnOfUselessRoles(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  links: ReadonlyMap<string, RoleLinks>,
  warn: Warn,
  pace: Pace,
): Promise<void> {
  for (const [name, given] of links) {
    const calls = callsOf(model, name)
    const roles = calls.map(({ arguments: [, role] }) => role)
    if (!roles.every((role) => role?.kind === 'column' || role?.kind === 'literal')) continue
    const columns = roles.flatMap((role) => (role.kind === 'column' ? [model.columns.indexOf(role.column)] : []))
    const used = new Set(roles.flatMap((role) => (role.kind === 'literal' ? [String(role.value)] : [])))
    for (const { type, values } of rows) {
      if (pace.due) await pace.rest()
      if (type === 'p') for (const column of columns) used.add(values[column] ?? '')
    }
    const useful = await given.reached(used, 'down', pace)
    for (const [role, [link]] of given.byRole) {
      if (pace.due) await pace.rest()
      if (link === undefined || useful.has(role)) continue
      const message = `the role ${shown(role)} gives nothing: no rule speaks of it, nor of a role that it has`
      warn(at(link, 'ROLE_WITHOUT_RULES', message, 1))
    }
  }
}

/** Cycles of one role definition that are named. */
const maxCycles = 100

/** Roles that have each other. */
export async function warnOfCycles(links: ReadonlyMap<string, RoleLinks>, warn: Warn, pace: Pace): Promise<void> {
  for (const { byPlace, byRole } of links.values()) {
    const walk: Walk = { byPlace, done: new Set(), way: [], onWay: new Map(), left: maxCycles }
    for (const links of byPlace.values()) {
      const [name = '', , domain] = links[0]?.values ?? []
      if (pace.due) await pace.rest()
      // Who is nobody's role is on no cycle.
      if (!byRole.has(name)) continue
      enter(walk, name, domain)
      await follow(walk, warn, pace)
    }
  }
}

interface Walk {
  readonly byPlace: ReadonlyMap<string, readonly PolicyRow[]>
  readonly done: Set<string>
  /** The names that have led here, and the place of each among them. */
  readonly way: Step[]
  readonly onWay: Map<string, number>
  left: number
}

interface Step {
  readonly key: string
  readonly links: readonly PolicyRow[]
  next: number
}

function enter({ byPlace, done, way, onWay }: Walk, name: string, domain: string | undefined): void {
  const key = inDomain(name, domain)
  if (done.has(key)) return
  done.add(key)
  onWay.set(key, way.length)
  way.push({ key, links: byPlace.get(key) ?? [], next: 0 })
}

/** Visits each name once, without recursion: a link to a name that is on the way closes a cycle. */
async function follow(walk: Walk, warn: Warn, pace: Pace): Promise<void> {
  const { way, onWay } = walk
  for (let step = way.at(-1); step !== undefined; step = way.at(-1)) {
    if (pace.due) await pace.rest()
    const link = step.links[step.next]
    step.next += 1
    if (link === undefined) {
      onWay.delete(step.key)
      way.pop()
      continue
    }
    const [, role = '', domain] = link.values
    const from = onWay.get(inDomain(role, domain))
    if (from === undefined) enter(walk, role, domain)
    else if (walk.left > 0) {
      walk.left -= 1
      warn(at(link, 'ROLE_CYCLE', cycleText(way.slice(from), role)))
    }
  }
}

/** A long cycle is cut. */
function cycleText(way: readonly Step[], role: string): string {
  const links = way.flatMap(({ links: all, next }) => all[next - 1] ?? [])
  const names = links.map(({ values }) => values[0] ?? '')
  const shownNames = names.length > 6 ? [...names.slice(0, 5), '…'] : names
  const places = links.slice(0, 3).map(placeOf).join(', ')
  return `the roles have each other, so they are one: ${[...shownNames, role].join(' → ')} (${places}${links.length > 3 ? ', …' : ''})`
}
