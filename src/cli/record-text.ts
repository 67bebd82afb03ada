import type { ParsedRecord } from '../audit/chain.ts'
import { kindOf, textAt } from '../readers/members.ts'

/** A record in a few words: `decision 0197… (allow, ALLOWED_BY_RULE), record 0000000000000042 of trail …`. */
export function recordText(record: ParsedRecord): string {
  const said = ['effect', 'reason', 'change', 'mediation'].flatMap((member) => textAt(record, member) ?? [])
  const again = record.data['supersedes'] === true ? ['supersedes the record before'] : []
  const words = [...said, ...again].join(', ')
  const name = textAt(record, 'decisionId') ?? record.id
  return `${kindOf(record)} ${name}${words === '' ? '' : ` (${words})`}, record ${record.sequence} of trail ${record.trail}`
}
