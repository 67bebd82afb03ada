import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

/**
 * One answer that the client received. The ledger is the client's own: one line per answer, in the order in which they came,
 * `<when> <microseconds> <decision id> <effect> <reason>`.
 */
export interface LedgerEntry {
  /** When it came, in milliseconds since the epoch. */
  readonly at: number
  /** How long it took. */
  readonly microseconds: number
  readonly decisionId: string
  readonly effect: 'allow' | 'deny'
  readonly reason: string
}

/** An answer that says that its record may be missing; such a denial is no accepted event. */
export const unrecorded: ReadonlySet<string> = new Set(['AUDIT_UNAVAILABLE'])

export function ledgerLine({ at, microseconds, decisionId, effect, reason }: LedgerEntry): string {
  return `${at} ${Math.round(microseconds)} ${decisionId} ${effect} ${reason}\n`
}

export async function* readLedger(file: string): AsyncGenerator<LedgerEntry, void> {
  for await (const line of createInterface({ input: createReadStream(file, 'latin1') })) {
    const [at, microseconds, decisionId = '', effect, reason = ''] = line.split(' ')
    if (reason === '' || (effect !== 'allow' && effect !== 'deny')) throw new Error(`no line of a ledger: ${line}`)
    yield { at: Number(at), microseconds: Number(microseconds), decisionId, effect, reason }
  }
}

/** The time within which the given share of the answers of some phases came, in microseconds. */
export async function quantile(
  file: string,
  share: number,
  phases: readonly { readonly from: number; readonly to: number }[],
): Promise<{ readonly microseconds: number; readonly answers: number }> {
  const times: number[] = []
  for await (const { at, microseconds } of readLedger(file)) {
    if (phases.some(({ from, to }) => at >= from && at < to)) times.push(microseconds)
  }
  times.sort((one, other) => one - other)
  const at = Math.min(times.length - 1, Math.ceil(share * times.length) - 1)
  return { microseconds: times[at] ?? NaN, answers: times.length }
}
