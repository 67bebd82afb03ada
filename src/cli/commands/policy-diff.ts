import { Command } from 'commander'
import { diffPolicies, type ComparedPolicy } from '../../policy/explain/diff.ts'
import { openToCompare } from '../../policy/explain/open-policy.ts'
import { policyDiffText } from '../policy-diff-text.ts'
import { commanderOutput, exitByUsage, type Io } from '../print.ts'
import { problemLines } from '../problem-text.ts'

interface DiffOptions {
  readonly json?: true
}

const examples = `
Comments, the way in which lines are written, lines that stand twice, and the order of lines where it does not decide are no
difference. Permissions are those of each subject with all its roles; what it has over other roles is not told as lost.

Examples:
  countersign policy diff ./policy-in-force ./policy-new
  countersign policy diff --json ./policy-in-force ./policy-new | jq .permissions

Exit status: 0 the same, 1 they differ, 2 usage, or a policy cannot be loaded.`

/** `countersign policy diff A B`: says what differs between two policies, and who gains and loses what. */
export function policyDiffCommand(io: Io): Command {
  return new Command('diff')
    .description('say what differs between two policies: rules, role links, and what each role may do')
    .argument('<a>', 'folder of the one policy, such as the one in force')
    .argument('<b>', 'folder of the other one')
    .option('--json', 'everything, as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (a: string, b: string, options: DiffOptions) => {
      process.exitCode = await run(io, a, b, options)
    })
}

async function run(io: Io, folderA: string, folderB: string, options: DiffOptions): Promise<number> {
  const a = await open(io, folderA)
  const b = await open(io, folderB)
  if (a === undefined || b === undefined) return 2
  const diff = await diffPolicies(a, b)
  const folders = [
    { folder: folderA, policyVersion: a.policyVersion },
    { folder: folderB, policyVersion: b.policyVersion },
  ] as const
  if (options.json === true) io.out(JSON.stringify({ a: folders[0], b: folders[1], ...diff }))
  else io.out(policyDiffText(diff, folders, io.columns))
  return diff.same ? 0 : 1
}

async function open(io: Io, folder: string): Promise<ComparedPolicy | undefined> {
  const opened = await openToCompare(folder)
  if (opened.ok) return opened.policy
  io.err(problemLines(folder, opened.problems))
  return undefined
}
