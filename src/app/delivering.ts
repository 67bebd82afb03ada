import { type Delivery, startDelivery } from '../sinks/delivery.ts'
import type { Inputs } from './inputs.ts'
import { spoolDir } from './keeping.ts'
import type { Parts } from './parts.ts'

/** Starts delivery from the spool to the sinks, and tells each of the other. */
export function deliverSpool(
  { settings, sinks }: Pick<Inputs, 'settings' | 'sinks'>,
  { log, metrics, spool }: Pick<Parts, 'log' | 'metrics' | 'spool'>,
): Delivery {
  const delivery = startDelivery(
    { spoolDir: spoolDir(settings), replica: settings.replica, sinks },
    {
      onDelivered: (cursor, records) => {
        spool.advance(cursor)
        metrics.count('countersign_sink_delivered_total', { sink: cursor.sink }, records)
      },
      onRewound: (cursor, message) => {
        const { sink, position } = cursor
        spool.advance(cursor)
        metrics.count('countersign_sink_rewinds_total', { sink })
        log('error', 'a sink lost records that it had taken', { sink, position, problem: message })
      },
      onTrouble: (sink, code, message) => {
        metrics.count('countersign_sink_failures_total', { sink, code })
        // Read here, written there: what delivery finds damaged cannot be written on.
        if (code === 'SPOOL_DAMAGED') spool.distrust(message)
        log('warn', 'a delivery failed and will be tried again', { sink, code, problem: message })
      },
      log,
    },
  )
  spool.onCommit((appended) => {
    metrics.count('countersign_records_appended_total', {}, appended)
    delivery.appended()
  })
  spool.onNewFile(() => {
    delivery.reopen()
  })
  return delivery
}
