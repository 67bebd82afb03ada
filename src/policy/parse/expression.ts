import expressionEval from '@casbin/expression-eval'
import { newModel, Util } from 'casbin'

/** A node of the syntax tree that Casbin's expression parser makes; `matcher.ts` gives it a type. */
export interface SyntaxNode {
  readonly type: string
  readonly [member: string]: unknown
}

/**
 * Parses a matcher exactly as Casbin does: `r.sub` becomes the name `r_sub`, `in (a, b)` becomes a list, and the grammar is
 * that of its own expression parser. Throws where Casbin would.
 */
export function parseMatcherText(text: string): SyntaxNode {
  const model = newModel()
  model.addDef('m', 'm', text)
  const escaped = model.model.get('m')?.get('m')?.value ?? ''
  // The parser's operators are global, and Casbin adds this one only when it first enforces.
  expressionEval.addBinaryOp('in', 1, Util.customIn)
  return expressionEval.parse(Util.bracketCompatible(escaped)) as unknown as SyntaxNode
}
