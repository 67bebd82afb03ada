/** The place behind the last record that a broker acknowledged. */
export interface Acknowledged {
  readonly partition: number
  /** Offset behind the record. */
  readonly end: bigint
}

/** The place as the cursor keeps it: `<topic>-<partition>@<end>`, so that a lane which is led to another topic does not miss records there. */
export function formatMark(topic: string, { partition, end }: Acknowledged): string {
  return `${topic}-${String(partition)}@${String(end)}`
}

/** The place in this topic that a mark names; undefined where it names none. */
export function readMark(mark: string | null, topic: string): Acknowledged | undefined {
  const match = /^(.+)-(\d{1,10})@(\d{1,19})$/.exec(mark ?? '')
  if (match?.[1] !== topic) return undefined
  return { partition: Number(match[2]), end: BigInt(match[3] ?? 0) }
}
