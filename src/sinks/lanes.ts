import type { SinkSettings } from './protocol.ts'

/**
 * Every lane of delivery by its name: the sinks, `<name>.checkpoints` for each that has a checkpoint topic, and `checkpoints` for
 * the file outside the trail (null: none is kept). Names of sinks have no dot, and `checkpoints` is not allowed as one.
 */
export function lanesOf(
  sinks: Readonly<Record<string, SinkSettings>>,
  checkpointFile: string | null,
): Readonly<Record<string, SinkSettings>> {
  const lanes: Record<string, SinkSettings> = {}
  for (const [name, sink] of Object.entries(sinks)) {
    lanes[name] = sink
    if (sink.type !== 'kafka' || sink.checkpointTopic === undefined) continue
    lanes[`${name}.checkpoints`] = { ...sink, topic: sink.checkpointTopic, records: 'checkpoints' }
  }
  if (checkpointFile !== null) lanes['checkpoints'] = { type: 'checkpoint-file', file: checkpointFile }
  return lanes
}
