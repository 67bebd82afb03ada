import type { PolicyDiff } from '../policy/explain/diff.ts'
import type { PermissionChange, SubjectChange } from '../policy/explain/permission-diff.ts'
import type { Permission } from '../policy/explain/permissions.ts'
import { placeOf, visibleLines } from './explanation-text.ts'
import { counted } from './print.ts'
import { firstOf, hanging } from './wrap.ts'

type Rule = PermissionChange['rule']

/** Lines of a section that are printed. */
const maxPrinted = 50

/** Lines of one subject, so that others are seen as well. */
const maxPerSubject = 10

/** Columns where the output is no terminal. */
const defaultColumns = 120

export interface ComparedFolder {
  readonly folder: string
  readonly policyVersion: string
}

/** What differs between two policies, for people. */
export function policyDiffText(
  diff: PolicyDiff,
  [a, b]: readonly [ComparedFolder, ComparedFolder],
  columns = defaultColumns,
): string {
  const sections = [
    diff.warnings.map((warning) => hanging('WARNING: ', warning, columns)).join('\n'),
    `${headline(diff, a, b)}\n- ${a.policyVersion}  ${a.folder}\n+ ${b.policyVersion}  ${b.folder}`,
    section('Model', modelLines(diff, columns)),
    section(`Rules: ${sums(diff.rules)}`, rowLines(diff.rules, columns)),
    section(`Role links: ${sums(diff.links)}`, rowLines(diff.links, columns)),
    section('Rules that come at another place, where the place decides', movedLines(diff, columns)),
    section('Permissions, by the subject where the change comes from', permissionLines(diff, columns)),
  ]
  return visibleLines(sections.filter((text) => text !== '').join('\n\n'))
}

function headline({ same }: PolicyDiff, a: ComparedFolder, b: ComparedFolder): string {
  if (!same) return 'The policies differ.'
  return a.policyVersion === b.policyVersion
    ? 'The policies are the same version.'
    : 'The policies mean the same. Their files differ, but not in what a decision depends on.'
}

function section(title: string, entries: readonly string[]): string {
  return entries.length === 0 ? '' : [title, ...firstOf(entries, maxPrinted)].join('\n')
}

function sums({ added, removed, changed }: PolicyDiff['rules']): string {
  const parts = [
    [added.length, 'added'],
    [removed.length, 'removed'],
    [changed.length, 'changed'],
  ] as const
  return parts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ')
}

function modelLines({ model }: PolicyDiff, columns: number): string[] {
  return model.flatMap(({ definition, a, b }) => [
    ...(a === null ? [] : [hanging(`  - model.conf:${String(a.line)}  `, `${definition} = ${a.value}`, columns)]),
    ...(b === null ? [] : [hanging(`  + model.conf:${String(b.line)}  `, `${definition} = ${b.value}`, columns)]),
  ])
}

function rowLines({ added, removed, changed }: PolicyDiff['rules'], columns: number): string[] {
  return [
    ...changed.map(({ a, b }) => `${line('~', a, columns)}\n${line('→', b, columns)}`),
    ...removed.map((rule) => line('-', rule, columns)),
    ...added.map((rule) => line('+', rule, columns)),
  ]
}

function line(sign: string, rule: Rule, columns: number): string {
  return hanging(`  ${sign} ${placeOf(rule)}  `, rule.text, columns)
}

function movedLines({ moved }: PolicyDiff, columns: number): string[] {
  return moved.map(({ a, b }) => hanging(`  ${placeOf(a)} → ${placeOf(b)}  `, b.text, columns))
}

function permissionLines({ permissions }: PolicyDiff, columns: number): string[] {
  return permissions.changes.flatMap((change) => [
    hanging('  ', namesText(change), columns),
    ...firstOf(changeLines(change, columns), maxPerSubject, '    '),
  ])
}

const changeWords: Readonly<Record<PermissionChange['change'], string>> = {
  undenied: 'is no longer denied',
  denied: 'is denied now',
  gains: 'gains',
  changes: 'changes',
  loses: 'loses',
}

function changeLines({ changes }: SubjectChange, columns: number): string[] {
  const width = Math.max(...changes.map(({ change }) => changeWords[change].length), changeWords.changes.length)
  return changes.map((one) => hanging(`    ${changeWords[one.change].padEnd(width)}  `, changeText(one), columns))
}

function namesText({ subjects }: SubjectChange): string {
  const shown = subjects.slice(0, 3).join(', ')
  return subjects.length <= 3 ? shown : `${shown} and ${counted(subjects.length - 3, 'other')}`
}

function changeText({ change, permission, was, domain, through, members }: PermissionChange): string {
  const parts = [
    was === null
      ? permissionText(isOfDenial(change) ? withoutEffect(permission) : permission)
      : changedText(was, permission),
    ...(domain === null ? [] : [`in ${domain}`]),
    ...(through.length === 0 ? [] : [`through role ${through.join(' → ')}`]),
    ...(members === 0 ? [] : [`(${counted(members, 'member')})`]),
  ]
  return parts.join(' ')
}

function isOfDenial(change: PermissionChange['change']): boolean {
  return change === 'denied' || change === 'undenied'
}

/** The word before it says already that it denies. */
function withoutEffect(permission: Permission): Permission {
  return Object.fromEntries(Object.entries(permission).filter(([name]) => name !== 'eft'))
}

/** `GET /orders/{id} allow`: the action stands before the object, as in a request. */
function permissionText(permission: Permission): string {
  const names = Object.keys(permission)
  const [object, action] = [names.indexOf('obj'), names.indexOf('act')]
  if (object !== -1 && action > object) names.splice(object, 0, ...names.splice(action, 1))
  const last = names.filter((name) => /^(priority|eft)$/.test(name))
  return [...names.filter((name) => !last.includes(name)), ...last].map((name) => valueText(name, permission)).join(' ')
}

function valueText(name: string, permission: Permission): string {
  const value = permission[name] ?? ''
  if (name === 'priority') return `priority ${value}`
  return value === '' ? '""' : value
}

/** `GET /orders: allow → deny`. */
function changedText(was: Permission, now: Permission): string {
  const [same, other]: [string[], string[]] = [[], []]
  for (const name of Object.keys(now)) (was[name] === now[name] ? same : other).push(name)
  const changes = other.map((name) => `${valueText(name, was)} → ${now[name] ?? ''}`)
  return `${permissionText(Object.fromEntries(same.map((name) => [name, now[name] ?? ''])))}: ${changes.join(', ')}`
}
