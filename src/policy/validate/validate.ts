import { parseModel } from '../parse/parse-model.ts'
import { parseRules, type ParsedRules, type PolicyRow } from '../parse/parse-rules.ts'
import type { Pace } from '../pace.ts'
import type { PolicyModel } from '../policy-model.ts'
import type { PolicyProblem } from '../problem.ts'
import { modelFile, type Snapshot } from '../source/source.ts'
import { validateModel } from './validate-model.ts'
import { validateRules } from './validate-rules.ts'

/** A policy of which every part has been checked. */
export interface CheckedPolicy {
  readonly policyVersion: string
  readonly model: PolicyModel
  /** Rules and role links, in the order of the files. */
  readonly rows: readonly PolicyRow[]
}

export type CheckOutcome =
  | { readonly ok: true; readonly policy: CheckedPolicy }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] }

/** Parses and checks all files of a snapshot. Never throws for what stands in them. */
export async function checkPolicy(snapshot: Snapshot, pace: Pace): Promise<CheckOutcome> {
  const parsed: ParsedRules[] = []
  for (const csv of snapshot.files.filter(({ name }) => name.endsWith('.csv'))) parsed.push(await parseRules(csv, pace))
  const rows = parsed.flatMap((file) => file.rows)
  const file = snapshot.files.find(({ name }) => name === modelFile)
  const { model, problems } = validateModel(
    file?.text ?? '',
    parseModel(file ?? { name: modelFile, text: '', sha256: '' }),
  )
  const ofRules = model === undefined ? [] : await validateRules(model, rows, pace)
  const all = [...problems, ...parsed.flatMap((csv) => csv.problems), ...ofRules]
  if (model === undefined || all.length > 0) return { ok: false, problems: all.sort(byPlace) }
  return { ok: true, policy: { policyVersion: snapshot.policyVersion, model, rows } }
}

/** The model first, since its problems cause others; then as the files are read. */
function byPlace(a: PolicyProblem, b: PolicyProblem): number {
  if (a.file !== b.file) return rank(a.file) - rank(b.file) || (a.file < b.file ? -1 : 1)
  return (a.line ?? 0) - (b.line ?? 0)
}

function rank(file: string): number {
  return file === modelFile ? 0 : 1
}
