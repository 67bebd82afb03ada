import type { ErrorCode } from '../errors.ts'
import type { KafkaSinkSettings } from './kafka/sink.ts'

/** One sink as the settings have it. */
export type SinkSettings =
  { readonly type: 'archive'; readonly dir: string } | ({ readonly type: 'kafka' } & KafkaSinkSettings)

/** What the delivery worker is started with. */
export interface DeliveryOpening {
  readonly spoolDir: string
  readonly replica: string
  readonly sinks: Readonly<Record<string, SinkSettings>>
}

/** From the main thread to the delivery worker. */
export type ToDeliveryWorker = { readonly kind: 'appended' } | { readonly kind: 'stop' }

/** From the delivery worker to the main thread. */
export type FromDeliveryWorker =
  | { readonly kind: 'delivered'; readonly sink: string; readonly position: number; readonly records: number }
  | { readonly kind: 'troubled'; readonly sink: string; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string; readonly fields: object }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
