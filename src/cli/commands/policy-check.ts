import { Command, InvalidArgumentError } from 'commander'
import { loadPolicy, type LoadedPolicy, type LoadOutcome, type RefusedPolicy } from '../../policy/load.ts'
import { readSigners } from '../../policy/source/manifest.ts'
import { commanderOutput, counted, exitByUsage, type Io } from '../print.ts'
import { problemTexts } from '../problem-text.ts'

interface CheckOptions {
  readonly json?: true
  readonly minPatternSegments?: number
  readonly signer?: readonly string[]
  readonly requireSignature?: true
}

const examples = `
Warnings do not keep a policy from being used: docs/policy.md says what each means.

Examples:
  countersign policy check ./policy
  countersign policy check ./policy --min-pattern-segments 1
  countersign policy check ./policy --signer team.pub.pem --require-signature
  countersign policy check ./policy --json | jq '.warnings[].code'

Exit status: 0 the policy is good, 1 it has problems, 2 wrong usage.`

/**
 * `policy check DIR`: loads a policy as the server would and says what is in it and what is worth a look, or what is wrong with
 * it. Sets `process.exitCode`: 0 where the policy is good, warnings or not, 1 where it has problems.
 */
export function policyCheckCommand(io: Io): Command {
  return new Command('check')
    .description('check a policy folder as the server would before it puts it in force')
    .argument('<dir>', 'folder that holds model.conf and *.csv')
    .option('--min-pattern-segments <n>', 'segments that a pattern has to fix before its first wildcard', parseCount)
    .option('--signer <file...>', 'PEM files with the public keys whose signatures are believed')
    .option('--require-signature', 'refuse what none of them has signed')
    .option('--json', 'everything, as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (dir: string, { json, minPatternSegments = 0, signer = [], requireSignature }: CheckOptions) => {
      const signers = readSigners(signer, '--signer')
      const outcome = await loadPolicy(dir, {
        minPatternSegments,
        signers,
        requireSignature: requireSignature === true,
      })
      process.exitCode = outcome.ok ? 0 : 1
      if (json === true) io.out(JSON.stringify(reportOf(outcome)))
      else print(io, dir, outcome)
    })
}

function parseCount(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('allowed: a whole number from 0 to 999.')
}

function print(io: Io, dir: string, outcome: LoadOutcome): void {
  const { columns } = io
  const warnings = outcome.warnings ?? []
  if (warnings.length > 0) io.err(problemTexts(warnings, { label: 'warning: ', columns }))
  if (outcome.ok) io.out(goodText(outcome))
  else io.err([problemTexts(outcome.problems, { columns }), refusedText(dir, outcome)].join('\n'))
}

function refusedText(dir: string, { problems, warnings = [] }: RefusedPolicy): string {
  const beside = warnings.length === 0 ? '' : ` (and ${counted(warnings.length, 'warning')})`
  return `The policy in ${dir} has ${counted(problems.length, 'problem')}${beside} and would be refused.`
}

function goodText(policy: LoadedPolicy): string {
  const { snapshot, tests, compared, author, warnings, ruleSet } = policy
  const counts = Object.entries(countsOf(policy)).map(([type, count]) => `${type} ${count.toLocaleString('en')}`)
  const facts = [
    ['version', snapshot.policyVersion],
    ['files', snapshot.files.map(({ name }) => name).join(', ')],
    ['rules', counts.length === 0 ? 'none: everything is denied' : counts.join(', ')],
    ['tests', tests === null ? 'none: write some in tests.yaml' : `${counted(tests.passed, 'test')} passed`],
    ['casbin', casbinText(compared)],
    ['author', author === null ? '' : `${author.author}${author.ticket === null ? '' : ` (${author.ticket})`}`],
    [
      'index',
      ruleSet.scans.length === 0 ? '' : `${counted(ruleSet.scans.length, 'condition')} of the matcher not indexed`,
    ],
    ['warnings', warnings.length === 0 ? 'none' : warnings.length.toLocaleString('en')],
  ]
  const lines = facts.filter(([, fact]) => fact !== '').map(([name = '', fact = '']) => `${name.padEnd(9)} ${fact}`)
  return ['The policy is good.', ...lines].join('\n')
}

/** How many answers node-casbin was compared in, and how many not; empty where there was nothing to ask it. */
export function casbinText(compared: LoadedPolicy['compared']): string {
  if (compared === null || compared.asked + compared.skipped === 0) return ''
  const { asked, skipped, excused } = compared
  const alike = asked - excused
  return [
    ...(asked === 0 ? [] : [`answers ${counted(alike, 'request')} alike`]),
    ...(excused === 0 ? [] : [`${counted(excused, 'request')} otherwise as docs/casbin.md lists`]),
    ...(skipped === 0 ? [] : [`${skipped.toLocaleString('en')} not asked for want of time`]),
  ].join(', ')
}

function reportOf(outcome: LoadOutcome): object {
  const good = outcome.ok ? outcome : undefined
  return {
    ok: outcome.ok,
    policyVersion: outcome.snapshot?.policyVersion ?? null,
    files: (outcome.snapshot?.files ?? []).map(({ name, sha256 }) => ({ name, sha256 })),
    author: good?.author ?? null,
    rules: good === undefined ? {} : countsOf(good),
    problems: outcome.ok ? [] : outcome.problems,
    warnings: outcome.warnings ?? [],
    compared: good?.compared ?? null,
    scans: good?.ruleSet.scans ?? [],
    tests: good?.tests ? { passed: good.tests.passed, failed: good.tests.failed } : null,
  }
}

function countsOf({ rows }: LoadedPolicy): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { type } of rows) counts.set(type, (counts.get(type) ?? 0) + 1)
  return Object.fromEntries(counts)
}
