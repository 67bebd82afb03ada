import { conditionText } from '../compiled/conditions.ts'
import { readsOf } from '../parse/matcher-reads.ts'
import type { Condition } from '../parse/matcher.ts'
import { placeIn } from '../parse/parse-model.ts'
import type { PolicyModel } from '../policy-model.ts'
import { warning } from '../problem.ts'
import { modelFile } from '../source/source.ts'
import type { Warn } from './warnings.ts'

/** Alternatives that are named of one kind. */
const maxBranches = 8

/** Alternatives of a matcher that do not look at the rule, or not at the request: either way half of the question is not asked. */
export function warnOfMatcher(model: PolicyModel, warn: Warn): void {
  const matcher = model.definitions.find(({ section }) => section === 'm')
  const { line, column } = matcher === undefined ? { line: null, column: null } : placeIn(matcher, 0)
  for (const text of branchesWithout(model.matcher, readsRule)) {
    const message = `${text} reads no column of p, and is an alternative of the matcher: whoever it holds for gets in by the first rule that allows, whatever the rule says`
    warn(warning(modelFile, line, 'MATCHER_BRANCH_WITHOUT_RULE', message, column))
  }
  for (const text of branchesWithout(model.matcher, readsRequest)) {
    const message = `${text} reads no token of r, and is an alternative of the matcher: a rule for which it holds applies to everybody and everything`
    warn(warning(modelFile, line, 'MATCHER_BRANCH_WITHOUT_REQUEST', message, column))
  }
}

type Reads = (atom: Condition) => boolean

function readsRule(atom: Condition): boolean {
  return [...readsOf(atom).columns.keys()].some((column) => column !== 'eft')
}

function readsRequest(atom: Condition): boolean {
  return readsOf(atom).tokens.size > 0
}

function branchesWithout(matcher: Condition, reads: Reads): readonly string[] {
  return atomsWithout(matcher, false, reads).map((atoms) => atoms.map(conditionText).join(' && '))
}

/** The alternatives none of whose conditions reads what it should, some at least; a `!` is moved inwards. */
function atomsWithout(condition: Condition, negated: boolean, reads: Reads): readonly (readonly Condition[])[] {
  if (condition.kind === 'not') return atomsWithout(condition.operand, !negated, reads)
  if (condition.kind !== 'and' && condition.kind !== 'or') {
    return reads(condition) ? [] : [[negated ? { kind: 'not', operand: condition } : condition]]
  }
  const left = atomsWithout(condition.left, negated, reads)
  const right = atomsWithout(condition.right, negated, reads)
  const both = (condition.kind === 'and') !== negated
  const all = both ? left.flatMap((one) => right.map((other) => [...one, ...other])) : [...left, ...right]
  return all.slice(0, maxBranches)
}
