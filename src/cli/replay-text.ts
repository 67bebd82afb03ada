import type { Answer, ChangeKind } from '../readers/replay-change.ts'
import { maxGroups, type ChangeGroup, type Changes, type Groups, type RuleGroup } from '../readers/replay-tally.ts'
import type { Counts, Replay } from '../readers/replay.ts'
import { shortPrincipal } from '../readers/principal-name.ts'
import { counted, printTable, visible, wide, type Column } from './print.ts'
import { hanging } from './wrap.ts'

/** Groups of one kind that are printed for people; `--json` has all. */
const maxPrinted = 15
const plainWidth = 120

/** What comes first is what must not be overlooked. */
const kinds: readonly { readonly kind: ChangeKind; readonly title: string; readonly label: string }[] = [
  { kind: 'allow', title: 'WOULD BECOME ALLOWED', label: 'would become allowed' },
  { kind: 'deny', title: 'WOULD BECOME DENIED', label: 'would become denied' },
  { kind: 'rule', title: 'THE SAME EFFECT BY ANOTHER RULE', label: 'same, by another rule' },
]

/** What a policy would change, for people: the counts, then each kind of change by caller, request and rule. */
export function replayText(replay: Replay, columns?: number): string {
  const sections = kinds.flatMap(({ kind, title }) => {
    const changes = replay.changes[kind]
    return changes.count === 0 ? [] : [changesText(title, changes, columns)]
  })
  return [summaryText(replay, columns), ...sections].join('\n\n')
}

function summaryText(replay: Replay, columns = plainWidth): string {
  const { changes, unreplayable, beforePolicy, noAnswer } = replay
  const rows: [number, string, string | undefined][] = [
    ...kinds.map(({ kind, label }): [number, string, undefined] => [changes[kind].count, label, undefined]),
    [replay.unchanged, 'unchanged', undefined],
    [unreplayable.count, 'cannot be replayed', said('masked or cut in the record: ', unreplayable.tokens)],
    [beforePolicy.count, 'decided before policy', said('the same under any policy: ', beforePolicy.reasons)],
    [noAnswer.count, 'without an answer', said('no policy decided: ', noAnswer.reasons)],
  ]
  const digits = Math.max(...rows.map(([count]) => count.toLocaleString('en').length))
  const lines = rows.map(([count, label, more]) => {
    const start = `  ${count.toLocaleString('en').padStart(digits)}  ${label}`
    return more === undefined ? start : hanging(start.padEnd(digits + 27), more, columns)
  })
  const of = `${replay.replayed.toLocaleString('en')} of ${counted(replay.decisions, 'decision')}`
  const title = `${of} put to policy ${replay.policyVersion}`.slice(0, Math.max(60, columns))
  return [title, '', ...lines, ...notes(replay).map((note) => `\n${hanging('Note: ', note, columns)}`)].join('\n')
}

function said(why: string, counts: Counts): string | undefined {
  const parts = Object.entries(counts).sort(([, a], [, b]) => b - a)
  if (parts.length === 0) return undefined
  return why + parts.map(([name, count]) => `${visible(name)} ${count.toLocaleString('en')}`).join(', ')
}

function notes({ decidedBy, superseded, faults, torn }: Replay): string[] {
  const versions = Object.keys(decidedBy).length
  return [
    ...(versions > 1
      ? [`the decisions were made by ${String(versions)} versions of the policy; each is compared with its own answer.`]
      : []),
    ...(superseded > 0
      ? [
          `${counted(superseded, 'request')} got a denial after all, because the record came too late; what the policy had decided is compared.`,
        ]
      : []),
    ...(faults > 0
      ? [`evaluating this policy failed for ${counted(faults, 'decision')}: each would be a denial.`]
      : []),
    ...(torn > 0 ? [`${counted(torn, 'file')} of the archive ends in the middle of a line, which was not read.`] : []),
  ]
}

function changesText(title: string, { count, principals, routes, rules }: Changes, columns?: number): string {
  return [
    `${title}: ${counted(count, 'decision')}`,
    groupTable('CALLER', principals, ({ principal }) => shortPrincipal(principal), columns),
    groupTable('REQUEST', routes, ({ route }) => route, columns),
    ruleList(rules, columns),
  ].join('\n\n')
}

function groupTable<Group extends ChangeGroup>(
  title: string,
  { groups, ungrouped }: Groups<Group>,
  nameOf: (group: Group) => string,
  columns?: number,
): string {
  const inFull = columns === undefined || columns >= wide
  const titles: Column[] = [
    { title: 'DECISIONS', right: true },
    { title, shrinksTo: 12 },
    ...(inFull ? [{ title: 'FIRST (UTC)' }, { title: 'LAST (UTC)' }] : []),
    { title: 'SUCH AS' },
  ]
  const rows = groups.slice(0, maxPrinted).map((group) => {
    const times = inFull ? [group.first, group.last] : []
    return [group.count.toLocaleString('en'), nameOf(group), ...times.map(minuteOf), group.examples[0] ?? '-']
  })
  return [printTable(titles, rows, columns), ...moreLines(groups.length, ungrouped)].join('\n')
}

function ruleList({ groups, ungrouped }: Groups<RuleGroup>, columns = plainWidth): string {
  const lines = groups.slice(0, maxPrinted).flatMap((group) => {
    const start = `${group.count.toLocaleString('en').padStart(9)}  `
    const indent = ' '.repeat(start.length)
    return [
      answerText(start, group.before, columns),
      answerText(`${' '.repeat(start.length - 2)}→ `, group.after, columns),
      `${indent}${minuteOf(group.first)} to ${minuteOf(group.last)}`,
      `${indent}such as ${fitting(group.examples, columns - start.length - 8)}`,
    ]
  })
  const more = moreLines(groups.length, ungrouped)
  return ['DECISIONS  RULE THEN → RULE NOW', ...lines, ...more].join('\n')
}

function answerText(start: string, { effect, rule, fault }: Answer, columns: number): string {
  if (fault !== undefined) return folded(`${start}${effect}: `, `the evaluation fails: ${fault}`, columns)
  if (rule === null) return `${start}${effect}: no rule`
  return folded(`${start}${effect}: ${visible(rule.file)}:${String(rule.line)}  `, rule.text, columns)
}

/** As `hanging`, with words broken that are longer than a line: SPIFFE IDs and paths often are. */
function folded(start: string, text: string, columns: number): string {
  const width = String(Math.max(20, columns - start.length))
  const lines = visible(text).match(new RegExp(`.{1,${width}}(?= |$)|.{${width}}`, 'gu')) ?? []
  return start + lines.map((line) => line.trimStart()).join(`\n${' '.repeat(start.length)}`)
}

function moreLines(groups: number, ungrouped: number): string[] {
  const more = groups - maxPrinted
  return [
    ...(more > 0 ? [`… and ${more.toLocaleString('en')} more (--json prints all)`] : []),
    ...(ungrouped > 0
      ? [`… and ${counted(ungrouped, 'decision')} of still others: ${maxGroups.toLocaleString('en')} are kept apart`]
      : []),
  ]
}

/** As many of the ids as fit, and the first in any case. */
function fitting(examples: readonly string[], width: number): string {
  const [first = '-', ...others] = examples
  return others.reduce((text, id) => (text.length + 2 + id.length <= width ? `${text}, ${id}` : text), first)
}

function minuteOf(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 16)}`
}
