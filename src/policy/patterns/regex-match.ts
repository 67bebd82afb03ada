import { RegexDialect } from './regex.ts'
import { isAnchored, regexPrefix } from './regex-prefix.ts'
import { parseRegex, stepsOf } from './regex-syntax.ts'
import type { Segment } from './segments.ts'

const regexes = new RegexDialect(parseRegex)

export function regexProblem(pattern: string): string | undefined {
  return regexes.problem(pattern)
}

/** `regexMatch`: whether the expression is found anywhere in the value. */
export function compileRegexMatch(pattern: string): (value: string) => boolean {
  const expression = regexes.expression(pattern)
  return (value) => expression.test(value)
}

export function regexMatchPrefix(pattern: string): readonly Segment[] {
  const parsed = parseRegex(pattern)
  return parsed.ok ? regexPrefix(parsed.value) : [{ kind: 'rest' }]
}

/** Whether an expression, which is one without a problem, is found in the middle of a value too. */
export function isUnanchored(pattern: string): boolean {
  const parsed = parseRegex(pattern)
  return parsed.ok && !isAnchored(parsed.value)
}

/** Steps of an expression with its repetitions written out; 0 where it is not valid. */
export function regexSteps(pattern: string): number {
  const parsed = parseRegex(pattern)
  return parsed.ok ? stepsOf(parsed.value) : 0
}
