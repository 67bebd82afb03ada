import type { Block } from './block.ts'
import type { SourceKind } from './problem.ts'

/** Lines that stand one behind the other: a segment, a spool, a partition, a file. */
export interface Part {
  readonly source: SourceKind
  /** What its places are named by. */
  readonly name: string
  /** Within one stream records of a trail come in their order, the same one perhaps again. Segments of a trail are one stream. */
  readonly stream: string
  /** Orders the parts of a stream; left out where it has one. */
  readonly ordinal?: number
  /** Length, for the progress; undefined where it is not known. */
  readonly bytes: number | undefined
  /** Set where older records were removed as agreed: a trail may begin later here, or be gone. Final when the part was read. */
  readonly removed?: RemovedBefore | undefined
  blocks(): AsyncIterable<PartBlock>
  /** Reads one line again. */
  lineAt?(line: number): Promise<Uint8Array | undefined>
}

/** Where a line stands in its stream: grows over all parts. */
export function positionIn({ ordinal = 0 }: Part, line: number): number {
  return ordinal * 2 ** 33 + line
}

/** What stood before this number was removed. */
export interface RemovedBefore {
  readonly line: number
  readonly why: string
}

export interface PartBlock extends Block {
  /** Number of each line, where they are not counted through from 1. */
  readonly numbers?: Float64Array | undefined
  /** What a spool says that each row is. */
  readonly rows?: readonly { readonly trail: string; readonly sequence: number }[] | undefined
  /** Set where the last line is not ended. */
  readonly torn?: boolean | undefined
  /** Set where the part cannot be read from the end of this block on. */
  readonly damaged?: string | undefined
}
