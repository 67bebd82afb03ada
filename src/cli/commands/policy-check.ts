import { Command } from 'commander'
import { loadPolicy, type LoadedPolicy, type RefusedPolicy } from '../../policy/load.ts'
import type { PolicyProblem } from '../../policy/problem.ts'

/** Where a command writes: each text is whole lines without the last line's end. */
export interface Output {
  out(text: string): void
  err(text: string): void
}

/** Problems that are printed for people; `--json` has all. */
const maxPrinted = 100

/**
 * `policy check DIR [--json]`: loads a policy as the server would and says what is in it, or what is wrong with it.
 * Sets `process.exitCode`: 0 where the policy is good, 1 where it has problems. Wrong usage ends the process with 2.
 */
export function policyCheckCommand(io: Output): Command {
  return new Command('check')
    .description('check a policy folder as the server would before it puts it in force')
    .argument('<dir>', 'folder that holds model.conf and *.csv')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', '\nExit status: 0 the policy is good, 1 it has problems, 2 wrong usage.')
    .configureOutput({
      writeOut: (text) => {
        io.out(text.trimEnd())
      },
      writeErr: (text) => {
        io.err(text.trimEnd())
      },
    })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .action(async (dir: string, options: { json?: boolean }) => {
      const outcome = await loadPolicy(dir)
      process.exitCode = outcome.ok ? 0 : 1
      if (options.json === true) io.out(JSON.stringify(reportOf(outcome)))
      else if (outcome.ok) io.out(goodText(outcome))
      else io.err(badText(dir, outcome.problems))
    })
}

function reportOf(outcome: LoadedPolicy | RefusedPolicy): object {
  return {
    ok: outcome.ok,
    policyVersion: outcome.snapshot?.policyVersion ?? null,
    files: (outcome.snapshot?.files ?? []).map(({ name, sha256 }) => ({ name, sha256 })),
    rules: outcome.ok ? countsOf(outcome) : {},
    problems: outcome.ok ? [] : outcome.problems,
  }
}

function countsOf({ rows }: LoadedPolicy): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { type } of rows) counts.set(type, (counts.get(type) ?? 0) + 1)
  return Object.fromEntries(counts)
}

function goodText(policy: LoadedPolicy): string {
  const counts = Object.entries(countsOf(policy)).map(([type, count]) => `${type} ${String(count)}`)
  return [
    'The policy is good.',
    `version  ${policy.snapshot.policyVersion}`,
    `files    ${policy.snapshot.files.map(({ name }) => name).join(', ')}`,
    `rules    ${counts.length === 0 ? 'none: everything is denied' : counts.join(', ')}`,
  ].join('\n')
}

function badText(dir: string, problems: readonly PolicyProblem[]): string {
  const lines = problems.slice(0, maxPrinted).map(problemText)
  const more = problems.length - lines.length
  if (more > 0) lines.push(`… and ${String(more)} more (--json prints all)`)
  const count = problems.length === 1 ? '1 problem' : `${String(problems.length)} problems`
  return [...lines, `The policy in ${dir} has ${count} and would be refused.`].join('\n')
}

/** `file:line: message  [CODE]`, as editors and CI know it. */
function problemText({ file, line, code, message }: PolicyProblem): string {
  return `${file}${line === null ? '' : `:${String(line)}`}: ${message}  [${code}]`
}
