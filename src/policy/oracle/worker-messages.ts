import type { PolicyRequest } from '../../decision/rule-set.ts'
import type { OwnAnswer } from './compare.ts'
import type { CasbinAnswer } from './plain-casbin.ts'

/** What the thread that asks Casbin starts with. */
export interface OracleOpening {
  /** Seed of the requests that are made from the rules. */
  readonly seed: string
  /** Most requests to make from the rules. */
  readonly requests: number
  /** How long to ask, in milliseconds; at least one request is asked. */
  readonly askMs: number
}

/** A request to which Casbin has another answer that no listed difference explains. */
export interface Disagreement {
  readonly request: PolicyRequest
  readonly own: OwnAnswer
  readonly casbin: CasbinAnswer
}

export interface OracleVerdict {
  readonly kind: 'verdict'
  readonly asked: number
  /** Requests for which the time was too short. */
  readonly skipped: number
  readonly excused: number
  readonly disagreements: readonly Disagreement[]
}

export type FromOracleWorker =
  | { readonly kind: 'refused'; readonly message: string }
  /** Casbin has loaded the policy; these requests were made from its rules. */
  | { readonly kind: 'loaded'; readonly requests: readonly PolicyRequest[] }
  /** Said now and then, so that slow is told from stuck. */
  | { readonly kind: 'asking' }
  | OracleVerdict

/**
 * First the texts of the policy's files, in the order of the files and in pieces: megabytes at once, or a hundred thousand
 * rows as objects, would hold up the thread that hands them over.
 */
export type ToOracleWorker =
  | { readonly kind: 'piece'; readonly file: string; readonly text: string }
  | { readonly kind: 'complete' }
  /** Requests to ask, with the answers of the compiled rules; then `complete` again. */
  | { readonly kind: 'ask'; readonly asked: readonly Asked[] }

export interface Asked {
  readonly request: PolicyRequest
  readonly own: OwnAnswer
}
