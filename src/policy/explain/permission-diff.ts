import type { Rule } from '../../decision/decision.ts'
import type { Pace } from '../pace.ts'
import type { Held, Permission, Permissions, Way } from './permissions.ts'

/** A permission that somebody has in one policy and not in the other. */
export interface PermissionChange {
  /** `denied`: a rule that denies is gained; `undenied`: one is lost. */
  readonly change: 'denied' | 'undenied' | 'gains' | 'loses' | 'changes'
  readonly permission: Permission
  /** For `changes`: what it was before; the same but for its effect or priority. */
  readonly was: Permission | null
  /** The domain in which it is held, where the model leaves that to the role links. */
  readonly domain: string | null
  /** The roles over which it is held, nearest first; empty where the rule names the subject itself. */
  readonly through: readonly string[]
  /** Of the policy that has it. */
  readonly rule: Rule
  /** How many names that are no roles gain or lose it because of this change, apart from the subjects themselves. */
  readonly members: number
}

/** Subjects whose permissions change in the same way. */
export interface SubjectChange {
  readonly subjects: readonly string[]
  readonly changes: readonly PermissionChange[]
}

/** Names that cannot differ in what they gain and lose. */
interface Alike {
  readonly names: [string, ...string[]]
  readonly membersOnly: boolean
}

type Side = 'gains' | 'loses'

/** A change while its members are being counted. */
interface Draft {
  readonly side: Side
  readonly domain: string | undefined
  held: Held
  members: number
}

/**
 * Says who gains and loses what from `a` to `b`, what concerns the most names first. A change is told once, of the subject where it comes from: the one whose
 * rule or role link is new or gone. Those that have it by their roles are counted as its members.
 */
export async function diffPermissions(a: Permissions, b: Permissions, pace: Pace): Promise<readonly SubjectChange[]> {
  const alikes = await alikeNames(a, b, pace)
  const drafts = new Map<string, Map<string, Draft>>()
  for (const alike of alikes) {
    if (pace.due) await pace.rest()
    const [name] = alike.names
    const [inA, inB] = [a.heldBy(name), b.heldBy(name)]
    const counted = new Set<Draft>()
    const note = (side: Side, held: Held, other: Permissions) => {
      const { draft, source } = draftOf(drafts, side, held, other)
      if (source === name) draft.held = held
      else if (alike.membersOnly && !counted.has(draft)) draft.members += alike.names.length
      counted.add(draft)
    }
    for (const [key, held] of inB) if (!inA.has(key)) note('gains', held, a)
    for (const [key, held] of inA) if (!inB.has(key)) note('loses', held, b)
  }
  return grouped(drafts, alikes)
}

async function alikeNames(a: Permissions, b: Permissions, pace: Pace): Promise<readonly Alike[]> {
  const alike = new Map<string, Alike>()
  for (const name of await affected(a, b, pace)) {
    if (pace.due) await pace.rest()
    const membersOnly = a.isMember(name) && b.isMember(name)
    const key = membersOnly ? `${a.rolesKey(name)} ${b.rolesKey(name)}` : `name ${name}`
    const found = alike.get(key)
    if (found === undefined) alike.set(key, { names: [name], membersOnly })
    else found.names.push(name)
  }
  return [...alike.values()]
}

/** Names whose rules or links differ, and those that have them as roles. Sorted, so that both directions tell the same. */
async function affected(a: Permissions, b: Permissions, pace: Pace): Promise<readonly string[]> {
  const differ: string[] = []
  for (const name of new Set([...a.names, ...b.names])) {
    if (pace.due) await pace.rest()
    if (a.ownKey(name) !== b.ownKey(name) || a.rolesKey(name) !== b.rolesKey(name)) differ.push(name)
  }
  return [...new Set([...a.reachedBy(differ), ...b.reachedBy(differ)])].sort()
}

function draftOf(drafts: Map<string, Map<string, Draft>>, side: Side, held: Held, other: Permissions) {
  const source = sourceOf(held.way, other)
  let bySource = drafts.get(source)
  if (bySource === undefined) drafts.set(source, (bySource = new Map<string, Draft>()))
  // A rule that names the source itself holds for it in every domain.
  const domain = held.way.path.at(-1) === source ? undefined : held.way.domain
  const key = `${side} ${domain ?? ''} ${held.own.key}`
  let draft = bySource.get(key)
  if (draft === undefined) bySource.set(key, (draft = { side, held, domain, members: 0 }))
  return { draft, source }
}

/**
 * Where on its way a permission is new (or gone): the first name whose link to the next one `other` does not have; where it
 * has them all, the subject of the rule. That name cannot have had the permission in `other`: its members would have had it.
 */
function sourceOf({ path, links }: Way, other: Permissions): string {
  const at = path.findIndex((name, index) => {
    const next = path[index + 1]
    return next === undefined || !other.hasLink(name, next, links)
  })
  return path[at] as string
}

function grouped(drafts: ReadonlyMap<string, ReadonlyMap<string, Draft>>, alikes: readonly Alike[]): SubjectChange[] {
  const groups = new Map<string, { subjects: string[]; changes: PermissionChange[] }>()
  const namesOf = new Map(alikes.map(({ names }) => [names[0], names]))
  for (const [source, byKey] of [...drafts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const own = [...byKey.values()]
    const key = own.map((draft) => [draft.side, draft.held.own.key, restKey(draft, source)].join('\n')).join('\n\n')
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = { subjects: [], changes: changesOf(own, source) }))
    group.subjects.push(...(namesOf.get(source) ?? [source]))
  }
  return [...groups.values()].sort((a, b) => firstPlace(a) - firstPlace(b) || reach(b) - reach(a))
}

/** Changes of denials come first: they are what is overlooked. */
function firstPlace({ changes: [first] }: SubjectChange): number {
  return first === undefined ? order.length : Math.min(placeOf(first), order.indexOf('gains'))
}

/** How many names a change is about. */
function reach({ subjects, changes }: SubjectChange): number {
  return subjects.length + changes.reduce((most, { members }) => Math.max(most, members), 0)
}

/** All but the permission itself. */
function restKey({ held, domain, members }: Draft, source: string): string {
  return [domain ?? '', String(members), ...throughOf(held, source)].join('\n')
}

function throughOf({ way }: Held, source: string): readonly string[] {
  return way.path.slice(way.path.indexOf(source) + 1)
}

/** The changes of one source; of a loss and a gain that differ only in effect or priority it makes one. */
function changesOf(drafts: readonly Draft[], source: string): PermissionChange[] {
  const pairKey = (draft: Draft) => `${draft.held.own.core}\n${restKey(draft, source)}`
  const lost = new Map(drafts.filter(({ side }) => side === 'loses').map((draft) => [pairKey(draft), draft]))
  const paired = new Set<Draft>()
  const pairs: PermissionChange[] = []
  for (const gain of drafts) {
    const loss = gain.side === 'gains' ? lost.get(pairKey(gain)) : undefined
    if (loss === undefined || paired.has(loss)) continue
    paired.add(loss).add(gain)
    pairs.push({ ...changeOf(gain, source), change: 'changes', was: loss.held.own.permission })
  }
  const alone = drafts.filter((draft) => !paired.has(draft)).map((draft) => changeOf(draft, source))
  return [...pairs, ...alone].sort((a, b) => placeOf(a) - placeOf(b))
}

const order = ['undenied', 'denied', 'gains', 'changes', 'loses'] as const

/** Where a change stands among others: one between allow and deny stands with the denials. */
function placeOf({ change, was, permission }: PermissionChange): number {
  if (was === null || was['eft'] === permission['eft']) return order.indexOf(change)
  return order.indexOf(was['eft'] === 'deny' ? 'undenied' : 'denied')
}

function changeOf({ side, held, domain, members }: Draft, source: string): PermissionChange {
  const ofDenial = held.own.permission['eft'] === 'deny'
  return {
    change: ofDenial ? (side === 'gains' ? 'denied' : 'undenied') : side,
    permission: held.own.permission,
    was: null,
    domain: domain ?? null,
    through: throughOf(held, source),
    rule: held.own.row.rule,
    members,
  }
}
