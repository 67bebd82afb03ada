/** What verification may find wrong; docs/verify.md explains each. */
export const problemKinds = [
  'altered',
  'malformed',
  'torn',
  'misplaced',
  'missing',
  'lost',
  'inserted',
  'reordered',
  'doubled',
  'forked',
  'unlinked',
  'unopened',
  'truncated',
  'continued',
  'rewritten',
  'rolled-back',
  'missing-trail',
  'checkpoint-malformed',
  'checkpoint-unknown-key',
  'checkpoint-bad-signature',
  'checkpoint-wrong-origin',
  'checkpoint-wrong-size',
  'checkpoint-wrong-root',
  'checkpoint-wrong-key',
  'unsigned',
] as const

export type ProblemKind = (typeof problemKinds)[number]

/** Where a line stands: line of a file, position in a spool, offset in a partition of a topic. */
export interface Place {
  readonly source: SourceKind
  /** The file; `spool`; the topic with its partition in brackets. */
  readonly file: string
  /** 1-based line, position, or offset. */
  readonly line: number
}

export type SourceKind = 'archive' | 'spool' | 'topic' | 'file' | 'state' | 'checkpoints'

/** As it is printed. */
export function placed({ file, line }: Place): string {
  return line === 0 ? file : `${file}:${String(line)}`
}

/** A place where the proof fails. */
export interface Problem extends Place {
  readonly kind: ProblemKind
  /** Null where the line does not tell, and nothing around it either. */
  readonly trail: string | null
  /** First sequence that is concerned: of the record that should stand at the place. */
  readonly sequence: number | null
  /** Last sequence that is concerned, where that is another one. */
  readonly toSequence: number | null
  /** In words. */
  readonly problem: string
}
