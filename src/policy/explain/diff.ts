import { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { diffModels, type ModelChange } from './model-diff.ts'
import { modelShape, type ModelShape } from './model-shape.ts'
import { diffPermissions, type SubjectChange } from './permission-diff.ts'
import { Permissions } from './permissions.ts'
import { diffRows, movedRules, type MovedRule, type RowChanges } from './rule-diff.ts'

/** What of a loaded policy is compared. */
export interface ComparedPolicy {
  readonly policyVersion: string
  readonly model: PolicyModel
  /** Rules and role links, in the order of the files. */
  readonly rows: readonly PolicyRow[]
  /** The rules in the order in which the effect sees them. */
  readonly rules: readonly PolicyRow[]
}

export interface PolicyDiff {
  /** True where nothing differs that could change a decision; the files themselves may differ. */
  readonly same: boolean
  readonly model: readonly ModelChange[]
  readonly rules: RowChanges
  readonly links: RowChanges
  /** Rules of both that come at another place, where the place decides. */
  readonly moved: readonly MovedRule[]
  readonly permissions: PermissionsDiff
  /** Why what is said here may not be the whole story; that it is no longer comparable comes first. */
  readonly warnings: readonly string[]
}

export interface PermissionsDiff {
  /** False where a model does not show whom its rules are for. */
  readonly compared: boolean
  readonly changes: readonly SubjectChange[]
}

/** Compares two policies by what they mean: comments, the order of lines where it does not count, and lines that stand twice are no difference. */
export async function diffPolicies(a: ComparedPolicy, b: ComparedPolicy, pace = new Pace()): Promise<PolicyDiff> {
  const model = diffModels(a.model, b.model)
  const rules = await diffRows(a, b, (type) => type === 'p', pace)
  const links = await diffRows(a, b, (type) => type !== 'p', pace)
  const moved = orderDecides(a.model) && orderDecides(b.model) ? await movedRules(a.rules, b.rules, pace) : []
  const shapes = [modelShape(a.model), modelShape(b.model)] as const
  const permissions = await permissionsDiff(a, b, shapes, pace)
  const lists = [
    model,
    moved,
    permissions.changes,
    rules.added,
    rules.removed,
    rules.changed,
    links.added,
    links.removed,
  ]
  const same = lists.every(({ length }) => length === 0)
  return { same, model, rules, links, moved, permissions, warnings: warningsOf(a.model, b.model, shapes) }
}

type Shapes = readonly [ModelShape | undefined, ModelShape | undefined]

async function permissionsDiff(
  a: ComparedPolicy,
  b: ComparedPolicy,
  [shapeA, shapeB]: Shapes,
  pace: Pace,
): Promise<PermissionsDiff> {
  if (shapeA === undefined || shapeB === undefined) return { compared: false, changes: [] }
  const columns = [...new Set([...shapeA.permission, ...shapeB.permission])]
  const inA = new Permissions(a.model, shapeA, a.rows, columns)
  const inB = new Permissions(b.model, shapeB, b.rows, columns)
  return { compared: true, changes: await diffPermissions(inA, inB, pace) }
}

/** Whether it matters which of two rules that match comes first. */
function orderDecides({ effect }: PolicyModel): boolean {
  return effect === 'priority' || effect === 'subject-priority'
}

const tryBoth = 'Put tests (`policy test`) or recorded requests (`policy replay`) to both.'

function warningsOf(a: PolicyModel, b: PolicyModel, [shapeA, shapeB]: Shapes): string[] {
  const warnings: string[] = []
  const differs = (section: string) => definitionOf(a, section) !== definitionOf(b, section)
  if (differs('m')) {
    warnings.push(
      `THE MATCHER CHANGED: every permission may differ, also of rules that stand in both. What is said below compares what is written. ${tryBoth}`,
    )
  }
  if (differs('e')) {
    warnings.push(
      `THE POLICY EFFECT CHANGED: the same rules may add up to another answer for every request. ${tryBoth}`,
    )
  }
  for (const [shape, name] of [
    [shapeA, 'first'],
    [shapeB, 'second'],
  ] as const) {
    if (shape !== undefined) continue
    warnings.push(
      `The matcher of the ${name} model ties no column of p to r.sub or r.user, so it does not show whom a rule is for: rules are compared, permissions are not.`,
    )
  }
  if (a.columns.join() !== b.columns.join()) warnings.push(columnsWarning(a, b))
  return warnings
}

function columnsWarning(a: PolicyModel, b: PolicyModel): string {
  const only = [...a.columns, ...b.columns].filter((name) => a.columns.includes(name) !== b.columns.includes(name))
  const which = only.length === 0 ? 'their order differs' : `only one model has ${only.join(', ')}`
  return `The columns of rules differ (${which}): rules are compared as they are written, permissions by the names of the columns.`
}

function definitionOf(model: PolicyModel, section: string): string | undefined {
  return model.definitions.find((definition) => definition.section === section)?.value.replace(/\s+/g, '')
}
