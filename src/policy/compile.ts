import { Candidates, type SlowBranch } from './compiled/candidates.ts'
import { compileCondition, conditionText, Prepared, type Columns, type ConditionScope } from './compiled/conditions.ts'
import { prepareRoles } from './compiled/prepared-roles.ts'
import { compiledRuleSet, type CompiledRuleSet } from './compiled/rule-set.ts'
import { rulesInOrder } from './compiled/rule-order.ts'
import type { Pace } from './pace.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import { modelFile } from './source/source.ts'
import { problem, type PolicyProblem } from './problem.ts'
import type { CheckedPolicy } from './validate/validate.ts'

export type CompileOutcome =
  | { readonly ok: true; readonly ruleSet: CompiledRuleSet }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] }

/** Different regular expressions that one policy may have: each costs memory, and time for every request that meets it. */
const maxExpressions = 5_000

/**
 * Compiles a checked policy to an immutable rule set: the matcher to closures, the role links to closures of roles, and what the
 * matcher demands of a rule to an index. A request is put to the rules that the index cannot rule out, in the order of the policy,
 * by the whole matcher: so an index that is too wide costs time, and never changes an answer.
 */
export async function compile(policy: CheckedPolicy, pace: Pace): Promise<CompileOutcome> {
  const { model } = policy
  const rules = await rulesInOrder(model, policy.rows, pace)
  const { graphs, prepared, tooLarge } = await prepareRoles(model, policy.rows, rules, pace)
  if (tooLarge !== undefined) return { ok: false, problems: [problem(modelFile, null, 'ROLES_TOO_MANY', tooLarge)] }
  const { tokens, columns, effect } = model
  const wanted = new Prepared(columns.length)
  const scope: ConditionScope = { tokens, columns, roles: graphs, closuresOf: (call) => prepared(call)?.exact }
  const matcher = compileCondition(model.matcher, { ...scope, prepared: wanted })
  const { denies, others } = sides(rules, columns.indexOf('eft'), effect === 'allow-and-deny')
  const columnsAt = (place: number) => rules[place]?.values ?? []
  const search = (places: readonly number[]) =>
    Candidates.prepare(places, columnsAt, model.matcher, scope, prepared, pace)
  const records = await recordsOf(rules, wanted, pace)
  const { expressions } = wanted
  if (expressions.length > maxExpressions) return tooManyExpressions(expressions.length)
  for (const expression of expressions) {
    if (pace.due) await pace.rest()
    // It is compiled when it is first asked: now, and not by a request.
    expression('x', 'x')
  }
  const [denying, allowing] = [await search(denies), await search(others)]
  return {
    ok: true,
    ruleSet: compiledRuleSet({
      policyVersion: policy.policyVersion,
      model,
      rules,
      roles: graphs,
      scope,
      matcher,
      records,
      denying,
      others: allowing,
      scans: [denying, allowing].flatMap((candidates) => candidates.slowBranches.map(scanOf)),
    }),
  }
}

async function recordsOf(rules: readonly PolicyRow[], prepared: Prepared, pace: Pace): Promise<readonly Columns[]> {
  const records: Columns[] = []
  for (const { values } of rules) {
    if (pace.due) await pace.rest()
    records.push(prepared.of(values))
  }
  return records
}

function tooManyExpressions(count: number): CompileOutcome {
  const message =
    `the rules have ${String(count)} patterns that take a regular expression; at most ${String(maxExpressions)} are allowed: ` +
    'write them for pathMatch, or as whole segments'
  return { ok: false, problems: [problem(modelFile, null, 'EXPRESSIONS_TOO_MANY', message)] }
}

/** Where one rule that denies is enough, those are asked first; elsewhere all rules stand in one order. */
function sides(rules: readonly PolicyRow[], effectColumn: number, apart: boolean) {
  const denies: number[] = []
  const others: number[] = []
  rules.forEach(({ values }, place) => {
    const group = apart && values[effectColumn] === 'deny' ? denies : others
    group.push(place)
  })
  return { denies, others }
}

function scanOf({ atoms, rules }: SlowBranch): CompiledRuleSet['scans'][number] {
  return { condition: atoms.map(conditionText).join(' && '), rules }
}
