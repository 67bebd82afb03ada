import { Command, InvalidArgumentError } from 'commander'
import type { ParsedRecord } from '../../audit/chain.ts'
import { CountersignError } from '../../errors.ts'
import { explain, type Explanation } from '../../policy/explain/explain.ts'
import { openPolicy, type OpenedPolicy } from '../../policy/explain/open-policy.ts'
import { explainedTokens, tokenWords } from '../../policy/explain/words.ts'
import { decisionById, meaningOf } from '../../readers/decision-by-id.ts'
import { textAt } from '../../readers/members.ts'
import { recordedRequest, stageOf } from '../../readers/policy-request.ts'
import { openDataFolder } from '../../readers/source.ts'
import { explanationText } from '../explanation-text.ts'
import { commanderOutput, exitByUsage, type Io } from '../print.ts'
import { problemLines } from '../problem-text.ts'
import { decisionText, notesText, pathNotes, type RecordedAnswer, type ReplacedToken } from '../recorded-answer-text.ts'

type PolicyRequest = Explanation['request']
type PolicyToken = keyof PolicyRequest

type ExplainOptions = { readonly [token in PolicyToken]?: string } & {
  readonly policy: string
  readonly decision?: string
  readonly data: string
  readonly misses: number
  readonly json?: true
}

const examples = `
A token that is not given is absent, as in a request that does not have it. With --decision, the request is read from the
archive; tokens that are given replace those of the record.

Examples:
  countersign policy explain --policy ./policy --sub spiffe://cluster.local/ns/shop/sa/web --act GET --obj /orders/1
  countersign policy explain --policy ./policy --decision 0197a000-0000-7000-8000-000000000001 --data ./countersign-data

Exit status: 0 explained, 1 the policy cannot be loaded or the decision cannot be explained, 2 usage, or the data cannot be read.`

const tokens = Object.keys(explainedTokens) as readonly PolicyToken[]

/** `countersign policy explain`: says what a policy answers to a request, by which rule, and what would have been near. */
export function policyExplainCommand(io: Io): Command {
  const command = new Command('explain')
    .description('say what a policy answers to a request, and why')
    .requiredOption('--policy <dir>', 'folder that holds model.conf and *.csv')
  for (const token of tokens) command.option(`--${token} <value>`, explainedTokens[token], parseToken)
  return command
    .option('--decision <id>', 'explain a recorded decision')
    .option('--data <dir>', 'data folder of the server, for --decision', './countersign-data')
    .option('--misses <count>', 'rules that nearly match, at most', parseCount, 5)
    .option('--json', 'everything, as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (options: ExplainOptions) => {
      if (options.decision === undefined && Object.keys(givenTokens(options)).length === 0) {
        const message = `error: say what is asked (${tokens.map((token) => `--${token}`).join(', ')}), or give --decision`
        return command.error(message, { exitCode: 2, code: 'countersign.usage' })
      }
      process.exitCode = await run(io, options)
    })
}

function givenTokens(options: ExplainOptions): PolicyRequest {
  return Object.fromEntries(tokens.flatMap((token) => (options[token] ? [[token, options[token]]] : [])))
}

async function run(io: Io, options: ExplainOptions): Promise<number> {
  const opened = await openPolicy(options.policy)
  if (!opened.ok) {
    if (options.json === true) io.out(JSON.stringify({ problems: opened.problems }))
    else io.err(problemLines(options.policy, opened.problems))
    return 1
  }
  const { ruleSet, policy } = opened
  const asked = await askedFor(io, options, opened)
  if (typeof asked === 'number') return asked
  const explanation = explain({ ruleSet, rows: policy.rows }, asked.request, { misses: options.misses })
  const decision = asked.record === undefined ? null : recorded(asked.record, asked.replaced, explanation)
  const notes = pathNotes(options.obj)
  if (options.json === true) io.out(JSON.stringify({ decision, notes, ...explanation }))
  else {
    const sections = [notesText(notes, io.columns), decisionText(decision, io.columns)].filter((text) => text !== '')
    io.out([...sections, explanationText(explanation, io.columns)].join('\n\n'))
  }
  return 0
}

interface Asked {
  readonly request: PolicyRequest
  readonly record?: ParsedRecord
  /** Where what was given differs from the record. */
  readonly replaced: readonly ReplacedToken[]
}

/** The request to explain, or the exit status where there is none. */
async function askedFor(io: Io, options: ExplainOptions, { policy }: OpenedPolicy): Promise<Asked | number> {
  const given = givenTokens(options)
  if (options.decision === undefined) return { request: given, replaced: [] }
  const record = await readDecision(io, options.data, options.decision)
  if (typeof record === 'number') return record
  const reason = textAt(record, 'reason') ?? ''
  if (stageOf(reason) === 'before-policy') {
    io.err(`${reason}: ${meaningOf(reason)} The policy was not asked: no rule could have changed the answer.`)
    return 1
  }
  const reads = new Set([...policy.model.reads.tokens].filter((token) => given[token] === undefined))
  const read = recordedRequest(record.data, reads)
  if ('request' in read) {
    return { request: { ...read.request, ...given }, record, replaced: replacedBy(given, read.request) }
  }
  const [words, flags] = [(token: PolicyToken) => `the ${tokenWords[token]}`, (token: PolicyToken) => `--${token}`]
  const what = read.unreplayable.map(words).join(', ')
  io.err(
    `The record does not hold all that the policy saw of ${what}: give ${read.unreplayable.map(flags).join(', ')} too.`,
  )
  return 1
}

function replacedBy(given: PolicyRequest, recordedTokens: PolicyRequest): ReplacedToken[] {
  return tokens.flatMap((token) => {
    const [value, before = null] = [given[token], recordedTokens[token]]
    return value === undefined || value === before ? [] : [{ token, given: value, recorded: before }]
  })
}

async function readDecision(io: Io, dir: string, decisionId: string): Promise<ParsedRecord | number> {
  try {
    const folder = await openDataFolder(dir)
    try {
      const record = await decisionById(folder, decisionId)
      if (record !== undefined) return record
      io.err(
        `No decision ${decisionId} in ${dir}. "countersign query --data ${dir} --type decision" lists what is there.`,
      )
      return 1
    } finally {
      folder.close()
    }
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    io.err(`${fault.code}: ${fault.message}`)
    return 2
  }
}

function recorded(
  record: ParsedRecord,
  replaced: readonly ReplacedToken[],
  { policyVersion, effect }: Explanation,
): RecordedAnswer {
  const version = textAt(record, 'policyVersion') ?? null
  return {
    decisionId: textAt(record, 'decisionId') ?? null,
    time: record.time,
    effect: textAt(record, 'effect') ?? null,
    reason: textAt(record, 'reason') ?? null,
    policyVersion: version,
    samePolicy: version === policyVersion,
    sameEffect: replaced.length > 0 ? null : textAt(record, 'effect') === effect,
    replaced,
  }
}

function parseToken(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is empty: leave it out where the request does not have it.')
  return text
}

function parseCount(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}
