import { parseModel } from '../parse/parse-model.ts'
import { maxRows, parseRules, type ParsedRules, type PolicyRow } from '../parse/parse-rules.ts'
import type { Pace } from '../pace.ts'
import type { PolicyModel } from '../policy-model.ts'
import { maxProblems, problem, type PolicyProblem } from '../problem.ts'
import { modelFile, type Snapshot } from '../source/source.ts'
import { tooWide } from './pattern-width.ts'
import { byPlace, noLimits, type PolicyLimits } from './warnings.ts'
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

/** Parses and checks all files of a snapshot. Never throws for what stands in them; names a thousand problems at most. */
export async function checkPolicy(
  snapshot: Snapshot,
  pace: Pace,
  limits: PolicyLimits = noLimits,
): Promise<CheckOutcome> {
  const { rows, problems: ofFiles } = await parseFiles(snapshot, pace)
  const file = snapshot.files.find(({ name }) => name === modelFile)
  const { model, problems: ofModel } = validateModel(
    file?.text ?? '',
    parseModel(file ?? { name: modelFile, text: '', sha256: '' }),
  )
  const ofRules = model === undefined ? [] : await validateRules(model, rows, pace)
  const wide = model === undefined ? [] : await tooWide(model, rows, limits, pace)
  const problems = [...ofModel, ...ofFiles, ...ofRules, ...wide].sort(byPlace).slice(0, maxProblems)
  if (model === undefined || problems.length > 0) return { ok: false, problems }
  return { ok: true, policy: { policyVersion: snapshot.policyVersion, model, rows } }
}

async function parseFiles({ files }: Snapshot, pace: Pace): Promise<ParsedRules> {
  const rows: PolicyRow[] = []
  const problems: PolicyProblem[] = []
  for (const file of files.filter(({ name }) => name.endsWith('.csv'))) {
    const parsed = await parseRules(file, pace)
    for (const row of parsed.rows) {
      if (pace.due) await pace.rest()
      rows.push(row)
    }
    problems.push(...parsed.problems)
    if (problems.length >= maxProblems) break
    if (rows.length <= maxRows) continue
    const message = `with this file there are more than ${String(maxRows)} rules and role links, which are all that are allowed`
    problems.push(problem(file.name, null, 'POLICY_TOO_LARGE', message))
    break
  }
  return { rows, problems }
}
