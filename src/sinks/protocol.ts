import type { ErrorCode } from '../errors.ts'
import type { Wanted } from './excerpt.ts'
import type { KafkaSinkSettings } from './kafka/sink.ts'

/** One sink as the settings have it. */
export type SinkSettings =
  | {
      readonly type: 'archive'
      readonly dir: string
      /** Age from which a segment that is being written is sealed. */
      readonly sealAfterMs?: number
    }
  | { readonly type: 'checkpoint-file'; readonly file: string }
  | KafkaLaneSettings

export interface KafkaLaneSettings extends KafkaSinkSettings {
  readonly type: 'kafka'
  /** All of them where it is left out. */
  readonly records?: Wanted | undefined
  /** A second topic, which gets the checkpoints alone, by a lane of its own (lanes.ts). */
  readonly checkpointTopic?: string | undefined
}

/** What the delivery worker is started with. */
export interface DeliveryOpening {
  readonly spoolDir: string
  /** Number of the file that is in the spool now; what is said of another one's positions is not heard. */
  readonly file: number
  readonly replica: string
  /** One lane each, by the name that its cursor has in the spool. */
  readonly sinks: Readonly<Record<string, SinkSettings>>
}

/** From the main thread to the delivery worker. */
export type ToDeliveryWorker =
  | { readonly kind: 'appended' }
  /** The spool has another file now. */
  | { readonly kind: 'reopen'; readonly file: number }
  | { readonly kind: 'stop' }

/** From the delivery worker to the main thread. */
export type FromDeliveryWorker =
  | {
      readonly kind: 'delivered'
      readonly sink: string
      readonly file: number
      readonly position: number
      readonly records: number
      readonly mark: string | null
    }
  /** The sink lost records: its cursor goes back to `position`, and what it had up to `upTo` is delivered again. */
  | {
      readonly kind: 'rewound'
      readonly sink: string
      readonly file: number
      readonly position: number
      readonly upTo: number
      readonly message: string
    }
  | { readonly kind: 'troubled'; readonly sink: string; readonly code: ErrorCode; readonly message: string }
  /** What is not as it should be with the topic of a sink, as last seen; none where all is well. */
  | { readonly kind: 'topic'; readonly sink: string; readonly problems: readonly string[] }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string; readonly fields: object }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
