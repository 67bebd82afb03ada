import { messageOf } from '../../errors.ts'
import { parseMatcherText, type SyntaxNode } from './expression.ts'
import type { PolicyProblemCode } from '../problem.ts'

export const maxMatcherLength = 16_384

/** Brackets, operators and quotes of a matcher. */
export const maxMatcherParts = 1_000

/** Brackets and negations that may stand in each other. */
export const maxMatcherDepth = 50

/** What helps with most lists that are refused. */
export const listHint =
  'Casbin reads a list only as (r.act in ["GET", "HEAD"]), with both parentheses and no space before the first one'

/** Makes a problem at an index of the matcher's text. */
export type RefuseAt = (index: number, code: PolicyProblemCode, message: string) => null

/** Parses the text of a matcher, after what would take the parser too far: null where there is a problem. */
export function readTree(text: string, refuse: RefuseAt): SyntaxNode | null {
  if (text.length > maxMatcherLength) {
    const message = `the matcher has ${String(text.length)} characters; at most ${String(maxMatcherLength)} are allowed`
    return refuse(maxMatcherLength, 'POLICY_TOO_LARGE', message)
  }
  const large = tooLarge(text)
  if (large !== undefined) return refuse(large.index, 'POLICY_TOO_LARGE', large.message)
  // Casbin looks for it in the text, quoted or not.
  const evaluated = text.search(/\beval\s*\(/)
  if (evaluated !== -1) return refuse(evaluated, 'MATCHER_EVAL', 'eval() is not supported: rules are data')
  try {
    return parseMatcherText(text)
  } catch (fault) {
    const hint = / in\b/.test(text) ? `; ${listHint}` : ''
    const message = messageOf(fault).replace(/ at character \d+$/, '')
    return refuse(
      indexOf(fault) ?? text.search(/(?<![&|])[&|](?![&|])|[&|]{3}/),
      'MATCHER_SYNTAX',
      `the matcher cannot be parsed: ${cut(message)}${hint}`,
    )
  }
}

/** Where the parser stopped: what it throws says so, but its type does not. Casbin’s own check of operators does not. */
function indexOf(fault: unknown): number | undefined {
  const index = typeof fault === 'object' && fault !== null && 'index' in fault ? fault.index : undefined
  return typeof index === 'number' ? index : undefined
}

/** The parser goes down into brackets and negations by recursion, and Casbin's preparations take the square of the parts. */
function tooLarge(text: string): { index: number; message: string } | undefined {
  const open: number[] = []
  let parts = 0
  let negations = 0
  for (const { 0: token, index } of text.matchAll(
    /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|&&|\|\||[()[\]?!~+-]|[^\s]/gs,
  )) {
    if ('!~+-'.includes(token)) negations += 1
    else negations = 0
    if ('([?'.includes(token)) open.push(index)
    else if (')]'.includes(token)) open.pop()
    parts += partsOf(token)
    if (parts > maxMatcherParts) {
      return { index, message: `the matcher has more than ${String(maxMatcherParts)} brackets, operators and quotes` }
    }
    if (open.length + negations > maxMatcherDepth) {
      return { index, message: `more than ${String(maxMatcherDepth)} brackets or negations stand in each other` }
    }
  }
  return undefined
}

/** A quoted text with brackets in it costs what they cost: Casbin looks for them without heed to quotes. */
function partsOf(token: string): number {
  if (/^["']/.test(token)) return 1 + (token.match(/\(/g)?.length ?? 0)
  return /^(?:&&|\|\||[([!])$/.test(token) ? 1 : 0
}

function cut(message: string): string {
  return message.length > 200 ? `${message.slice(0, 197)}…` : message
}
