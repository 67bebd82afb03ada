import { visibleLines } from './explanation-text.ts'
import { hanging } from './wrap.ts'

/** Columns where the output is no terminal. */
const defaultColumns = 120

/** What a record says was answered, beside what is explained. */
export interface RecordedAnswer {
  readonly decisionId: string | null
  readonly time: string
  readonly effect: string | null
  readonly reason: string | null
  readonly policyVersion: string | null
  /** Whether this policy is the one that decided. */
  readonly samePolicy: boolean
  /** Whether it answers the same; null where tokens were replaced: that is another request. */
  readonly sameEffect: boolean | null
  readonly replaced: readonly ReplacedToken[]
}

/** A token that was given in place of the recorded one. */
export interface ReplacedToken {
  readonly token: string
  readonly given: string
  /** Null where the record does not have it, or only masked or cut. */
  readonly recorded: string | null
}

/** What was recorded, and how this answer compares with it; empty where no decision was asked for. */
export function decisionText(decision: RecordedAnswer | null, columns = defaultColumns): string {
  if (decision === null) return ''
  const { decisionId, time, effect, reason, policyVersion } = decision
  const lines = [
    `Decision ${String(decisionId)} of ${time}`,
    `  answered  ${String(effect)}, ${String(reason)}`,
    `  policy    ${policyVersion ?? 'none'}`,
    ...decision.replaced.map((one) => hanging('  changed   ', replacedText(one), columns)),
    hanging('  ', comparisonText(decision), columns),
  ]
  return visibleLines(lines.join('\n'))
}

/** `--act is GET here, and PUT in the record`. */
function replacedText({ token, given, recorded: before }: ReplacedToken): string {
  return `--${token} is ${given} here, and ${before ?? 'absent, masked or cut'} in the record`
}

function comparisonText({ samePolicy, sameEffect }: RecordedAnswer): string {
  if (sameEffect === null) {
    const which = samePolicy
      ? 'This is the policy that decided'
      : 'The policy that is explained here is another version'
    return `${which}, and the request is another one than was decided: the answers are not compared.`
  }
  if (!samePolicy) {
    return `The policy that is explained here is another version, and ${sameEffect ? 'answers the same' : 'ANSWERS OTHERWISE'}.`
  }
  if (sameEffect) return 'This is the policy that decided.'
  return 'This is the policy that decided, and it answers otherwise: what was answered was not by its rules.'
}

/** What the server does with such a path before policy sees it; of paths that are given, since recorded ones have been through that. */
export function pathNotes(given: string | undefined): string[] {
  if (given === undefined) return []
  const [path = ''] = given.split('?', 1)
  const notes: string[] = []
  if (path !== given) {
    notes.push(
      `Policy sees the path without its query. What is explained here is the path as given: ask with --obj ${path}`,
    )
  }
  const refused = refusedParts.filter(([, pattern]) => pattern.test(path)).map(([what]) => what)
  if (refused.length > 0) {
    notes.push(
      `The server refuses a path with ${refused.join(' and ')} before any policy is asked (PATH_SUSPICIOUS), unless paths.allow lets it through.`,
    )
  }
  return notes
}

/** The commonest of what makes a path suspicious. */
const refusedParts: readonly (readonly [string, RegExp])[] = [
  ['a segment "." or ".."', /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i],
  ['two slashes in a row', /\/\//],
  ['an encoded slash (%2f)', /%2f/i],
]

/** Each note on lines of its own. */
export function notesText(notes: readonly string[], columns = defaultColumns): string {
  return visibleLines(notes.map((note) => hanging('Note: ', note, columns)).join('\n'))
}
