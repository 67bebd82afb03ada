import type { OpenedTrail } from '../members.ts'
import type { ProblemKind } from './problem.ts'
import type { UnsoundLine } from './record-bytes.ts'
import type { RangeNodes } from './tree-range.ts'

// What is found in a block by itself, as threads hand it on.

/** What a checkpoint record says, and what its note is worth but for the root, which only the whole trail tells. */
export interface FoundCheckpoint {
  readonly size: number
  readonly root: Uint8Array
  /** The key that signed it; null where signatures are not checked. */
  readonly signedBy: string | null
}

/** What is wrong with a checkpoint, whatever the trail holds. */
export interface BadCheckpoint {
  readonly kind: ProblemKind
  readonly problem: string
}

/** What a gap says of sequences that its writer lost. */
export interface LostRange {
  readonly trail: string
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** Records of one trail that follow each other, in their order, whatever stands between them. */
export interface Run {
  readonly trail: string
  /** Sequence of the first. */
  readonly first: number
  /** What the first says of the one before it. */
  readonly prevHash: string
  /** The hash of each, 32 bytes. */
  readonly hashes: Uint8Array
  /** The line of each, from 0 at the block's first. */
  readonly lines: Uint32Array
  readonly tree: RangeNodes
  /** `recordedat` of the first and the last. */
  readonly from: string
  readonly to: string
  /** How often a record has another minute than the one before it. */
  readonly minutes: number
  /** Set where the trail's first record is the first here, and says that the trail was opened. */
  readonly opened: OpenedTrail | undefined
  /** Set where the first is a checkpoint: a run ends before each. */
  readonly checkpoint: FoundCheckpoint | BadCheckpoint | undefined
  /** Sequence of the last that says that the trail was closed. */
  readonly closedAt: number | undefined
  readonly lost: readonly LostRange[]
}

/** A line that is no record in its place. */
export interface BadLine extends Omit<UnsoundLine, 'ok'> {
  readonly line: number
  /** Its bytes, where it is the block's first that was altered, or is not ended. */
  readonly bytes?: Uint8Array
}

export interface BlockFindings {
  readonly lines: number
  /** In order of their first lines. */
  readonly runs: readonly Run[]
  readonly bad: readonly BadLine[]
}
