import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RuleSet } from '../../src/decision/rule-set.ts'
import { buildPolicy, type LoadOutcome } from '../../src/policy/load.ts'
import { policyVersionOf, type Snapshot } from '../../src/policy/source/source.ts'

/** A model of the usual shape; what is not given is that of plain RBAC with methods and paths. */
export function modelText(parts: { r?: string; p?: string; g?: string; e?: string; m?: string } = {}): string {
  const sections = [
    ['request_definition', `r = ${parts.r ?? 'sub, obj, act'}`],
    ['policy_definition', `p = ${parts.p ?? 'sub, obj, act'}`],
    ...(parts.g === '' ? [] : [['role_definition', parts.g ?? 'g = _, _']]),
    ['policy_effect', `e = ${parts.e ?? 'some(where (p.eft == allow))'}`],
    ['matchers', `m = ${parts.m ?? 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act'}`],
  ]
  return sections.map(([name, text]) => `[${String(name)}]\n${String(text)}\n`).join('\n')
}

export function snapshot(files: Record<string, string>): Snapshot {
  const all = Object.entries(files).map(([name, text]) => {
    return { name, text, sha256: createHash('sha256').update(text).digest('hex') }
  })
  return { policyVersion: policyVersionOf(all), files: all, atomic: true }
}

/** Without the comparison with node-casbin, which takes a thread of its own each time. */
export function build(model: string, csv: string): Promise<LoadOutcome> {
  return buildPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), { compareWithCasbin: false })
}

/** Rules that are expected to be good. */
export async function ruleSet(model: string, csv: string): Promise<RuleSet> {
  const outcome = await build(model, csv)
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
  return outcome.ruleSet
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'countersign-policy-'))
}

export function writeFiles(folder: string, files: Record<string, string | Uint8Array>): void {
  mkdirSync(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
}

/** Puts files into a folder as the kubelet does: a new hidden folder, then the `..data` link renamed over the old one. */
export function swapConfigMap(folder: string, version: number, files: Record<string, string>): void {
  writeFiles(join(folder, `..v${String(version)}`), files)
  symlinkSync(`..v${String(version)}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

/** Waits until a condition holds, for as long as the test may take. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
