import type { EligibleRule, Explanation } from '../policy/explain/explain.ts'
import type { NearMiss } from '../policy/explain/near-misses.ts'
import type { RolePath } from '../policy/explain/role-paths.ts'
import { visible } from './print.ts'
import { firstOf, hanging } from './wrap.ts'

type Rule = EligibleRule['rule']

/** Lines of a section that are printed. */
const maxPrinted = 50

/** Columns where the output is no terminal. */
const defaultColumns = 120

const headlines: Readonly<Record<Explanation['reason'], string>> = {
  ALLOWED_BY_RULE: 'a rule allows it',
  DENIED_BY_RULE: 'a rule denies it',
  NO_MATCHING_RULE: 'no rule allows it',
  DECISION_FAULT: 'it cannot be decided, and so it is denied',
}

/** An explanation for people. */
export function explanationText(explanation: Explanation, columns = defaultColumns): string {
  const { effect, reason, fault, policyVersion } = explanation
  const head = `${effect.toUpperCase()}  ${reason}: ${fault ?? headlines[reason]}`
  const sections = [
    `${head}\npolicy ${policyVersion}`,
    requestText(explanation, columns),
    ruleText(explanation, columns),
    eligibleText(explanation, columns),
    missesText(explanation, columns),
  ]
  return visibleLines(sections.filter((section) => section !== '').join('\n\n'))
}

/** Values come from callers: what a terminal would obey is shown by its code. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}

function requestText({ request, absent, unread }: Explanation, columns: number): string {
  const lines = Object.entries(request).map(([token, value]) => `  ${token.padEnd(10)}${value}`)
  const flags = (tokens: readonly string[]) => tokens.map((token) => `--${token}`).join(', ')
  if (absent.length > 0) {
    const text = `no ${flags(absent)} given: what is absent equals nothing`
    lines.push(hanging('  (', `${text})`, columns))
  }
  if (unread.length > 0) {
    const text = `${flags(unread)} makes no difference: the matcher does not look at it`
    lines.push(hanging('  (', `${text})`, columns))
  }
  return ['Request', ...lines].join('\n')
}

function ruleText({ rule, rolePaths }: Explanation, columns: number): string {
  if (rule === null) return ''
  const paths = rolePaths.map((path) => pathText(path, columns))
  return ['Rule', placed('  ', rule, columns), ...paths].join('\n')
}

function pathText({ definition, domain, names, links }: RolePath, columns: number): string {
  const steps = names.map((name, index) => {
    const link = index === 0 ? undefined : links[index - 1]
    return `${index === 0 ? '' : '→ '}${name}${link === undefined ? '' : ` (${placeOf(link)})`}`
  })
  const kind = definition === 'g' ? 'by roles: ' : `by ${definition}: `
  return hanging(`  ${kind}`, `${steps.join(' ')}${domain === null ? '' : ` in ${domain}`}`, columns)
}

function eligibleText({ eligible }: Explanation, columns: number): string {
  if (eligible.length === 0) return ''
  if (eligible.length === 1) return 'No other rule matches.'
  const lines = eligible.map((rule) => eligibleLine(rule, columns))
  return ['Rules that match, in the order in which they count', ...firstOf(lines, maxPrinted)].join('\n')
}

function eligibleLine({ rule, effect, settles, why }: EligibleRule, columns: number): string {
  const first = `${settles ? '▸ ' : '  '}${effect.padEnd(5)}  `
  const indent = ' '.repeat(first.length)
  return `${placed(first, rule, columns)}\n${hanging(indent, why, columns)}`
}

function missesText({ nearMisses, effect, reason, eligible }: Explanation, columns: number): string {
  if (effect === 'allow' || reason === 'DECISION_FAULT') return ''
  if (nearMisses.length > 0) {
    const title = 'Nearest misses (✗ what differs, + what would make it match)'
    return [title, ...nearMisses.map((miss, index) => missText(miss, index + 1, columns))].join('\n')
  }
  const denied = eligible.some(({ settles }) => settles)
  return denied ? '' : 'No rule comes near: none has this caller, or what it asks for.'
}

function missText({ rule, conditions, remedies, alike }: NearMiss, number: number, columns: number): string {
  const first = `${String(number).padStart(3)}. `
  const indent = ' '.repeat(first.length)
  const wordsOf = (holds: boolean) => [
    ...new Set(conditions.filter((one) => one.holds === holds).map(({ words }) => words)),
  ]
  const matching = wordsOf(true).join(', ')
  return [
    placed(first, rule, columns),
    ...(matching === '' ? [] : [hanging(indent, matching, columns)]),
    ...wordsOf(false).map((words) => hanging(`${indent}✗ `, words, columns)),
    ...remedies.map((line) => hanging(`${indent}+ `, line, columns)),
    ...(alike.length === 0 ? [] : [hanging(`${indent}likewise: `, placesOf(alike), columns)]),
  ].join('\n')
}

function placesOf(rules: readonly Rule[]): string {
  const shown = rules.slice(0, 5).map(placeOf)
  const more = rules.length - shown.length
  return `${shown.join(', ')}${more === 0 ? '' : ` and ${more.toLocaleString('en')} more`}`
}

/** A rule behind its place. */
function placed(first: string, rule: Rule, columns: number): string {
  return hanging(`${first}${placeOf(rule)}  `, rule.text, columns)
}

/** `policy.csv:12`. */
export function placeOf({ file, line }: Rule): string {
  return `${file}:${String(line)}`
}
