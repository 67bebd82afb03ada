import type { Pace } from '../pace.ts'
import { columnOfValue, type PolicyRow } from '../parse/parse-rules.ts'
import { placeIn } from '../parse/parse-model.ts'
import { policyFunction, type PolicyFunction } from '../patterns/functions.ts'
import type { PolicyModel } from '../policy-model.ts'
import { maxProblems, problem, shown, warning, type PolicyProblem, type PolicyWarningCode } from '../problem.ts'
import { modelFile } from '../source/source.ts'
import type { PolicyLimits, Warn } from './warnings.ts'

/** A pattern of the policy, and how to say where it stands. */
interface Found {
  readonly functionName: string
  readonly pattern: string
  readonly denies: boolean
  readonly place: () => readonly [file: string, line: number | null, column: number | null]
}

/** Patterns that a setting forbids, since a wildcard stands too near to their beginning. Rules that deny may be wide. */
export async function tooWide(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  { minPatternSegments: least }: PolicyLimits,
  pace: Pace,
): Promise<PolicyProblem[]> {
  const problems: PolicyProblem[] = []
  if (least === 0) return problems
  await eachPattern(model, rows, pace, ({ functionName, pattern, denies, place }) => {
    const fixed = fixedSegments(functionName, pattern)
    if (denies || fixed >= least || problems.length >= maxProblems) return
    const [file, line, column] = place()
    const message = `${shown(pattern)} fixes ${String(fixed)} segments before its first wildcard; the setting is at least ${String(least)}`
    problems.push(problem(file, line, 'PATTERN_TOO_WIDE', message, column))
  })
  return problems
}

/** Patterns that begin with a wildcard, and what the functions themselves say of a pattern. */
export async function warnOfPatterns(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  warn: Warn,
  pace: Pace,
): Promise<void> {
  const known = new Map<string, { code: PolicyWarningCode; message: string } | undefined>()
  await eachPattern(model, rows, pace, ({ functionName, pattern, denies, place }) => {
    const key = `${functionName} ${pattern}`
    if (!known.has(key)) known.set(key, warningOf(functionName, pattern))
    const found = known.get(key)
    if (found === undefined || (denies && found.code === 'PATTERN_FIXES_NOTHING')) return
    const [file, line, column] = place()
    warn(warning(file, line, found.code, found.message, column))
  })
}

function warningOf(functionName: string, pattern: string): { code: PolicyWarningCode; message: string } | undefined {
  const definition: PolicyFunction | undefined = policyFunction(functionName)
  const own = definition?.warning?.(pattern)
  if (own !== undefined) return { code: own.code, message: `${shown(pattern)}: ${own.message}` }
  if (!beginsWithWildcard(functionName, pattern)) return undefined
  return { code: 'PATTERN_FIXES_NOTHING', message: `${shown(pattern)} begins with a wildcard` }
}

/** Sound: of a regular expression only the usual ways to say "anything" are known. */
function beginsWithWildcard(functionName: string, pattern: string): boolean {
  if (functionName === 'ipMatch') return false
  if (functionName === 'pathMatch' || functionName === 'spiffeMatch') return fixedSegments(functionName, pattern) === 0
  if (functionName === 'regexMatch') return /^\^?\/?\(?\/?(?:\.|\[\^\/\])[*+]/.test(pattern)
  const wildcard = wildcards[functionName] ?? /^\/?\*/
  return wildcard.test(pattern)
}

/** What a pattern looks like that begins with a wildcard; a star where nothing is named. */
const wildcards: Readonly<Record<string, RegExp>> = {
  keyMatch2: /^(?:\/\*|\.\*|\/?:[^/]|\/\.\*)/,
  keyGet2: /^(?:\/\*|\.\*|\/?:[^/]|\/\.\*)/,
  keyMatch3: /^(?:\/\*|\.\*|\/?\{[^/]+\}|\/\.\*)/,
  keyMatch4: /^(?:\/\*|\.\*|\/?\{[^/]+\}|\/\.\*)/,
  keyMatch5: /^(?:\/\*|\.\*|\/?\{[^/]+\}|\/\.\*)/,
}

/**
 * How many segments a pattern fixes before its first wildcard: of a path those after the first slash, of a SPIFFE pattern the trust
 * domain and those after it; of an expression or a glob the segments that are plain text from its beginning on. Infinity where there is no wildcard, and for addresses.
 */
function fixedSegments(functionName: string, pattern: string): number {
  const segments = functionName === 'ipMatch' ? [] : (policyFunction(functionName)?.prefix(pattern) ?? [])
  const wildcard = segments.findIndex(({ kind }) => kind !== 'text')
  if (wildcard === -1) return Infinity
  const [first, second] = segments
  const scheme = first?.kind === 'text' && first.text === 'spiffe:' && second?.kind === 'text' ? 2 : 1
  return Math.max(0, wildcard - scheme)
}

async function eachPattern(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  pace: Pace,
  visit: (found: Found) => void,
): Promise<void> {
  const columns = patternColumns(model, visit)
  const effect = model.columns.indexOf('eft')
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') continue
    for (const { functionName, index, mixed } of columns) {
      const pattern = row.values[index] ?? ''
      if (pattern === '' || (mixed && policyFunction(functionName)?.meantAsPattern?.(pattern) === false)) continue
      const place = () => [row.rule.file, row.rule.line, columnOfValue(row, index)] as const
      visit({ functionName, pattern, denies: row.values[effect] === 'deny', place })
    }
  }
}

/** The columns that are patterns; visits the patterns that stand in the matcher itself. */
function patternColumns(model: PolicyModel, visit: (found: Found) => void) {
  const found = new Map<string, { functionName: string; index: number; mixed: boolean }>()
  for (const {
    name: functionName,
    arguments: [, pattern],
  } of model.reads.calls) {
    if (pattern?.kind === 'column') {
      const mixed = (model.reads.columns.get(pattern.column)?.size ?? 0) > 1
      found.set(`${functionName} ${pattern.column}`, {
        functionName,
        index: model.columns.indexOf(pattern.column),
        mixed,
      })
    } else if (pattern?.kind === 'literal' && typeof pattern.value === 'string') {
      const text = pattern.value
      visit({ functionName, pattern: text, denies: false, place: () => placeInMatcher(model, text) })
    }
  }
  return [...found.values()]
}

function placeInMatcher({ definitions }: PolicyModel, text: string) {
  const matcher = definitions.find(({ section }) => section === 'm')
  if (matcher === undefined) return [modelFile, null, null] as const
  const { line, column } = placeIn(matcher, Math.max(0, matcher.value.indexOf(text) - 1))
  return [modelFile, line, column] as const
}
