import { expect, test } from '@jest/globals'
import { lanesOf } from '../../src/sinks/lanes.ts'
import type { SinkSettings } from '../../src/sinks/protocol.ts'

const archive: SinkSettings = { type: 'archive', dir: '/data/archive' }
const kafka = { type: 'kafka', brokers: ['a:1'], topic: 'audit', topicCheck: 'enforce', compression: 'zstd' } as const

test('each sink is a lane, and the checkpoint file one more', () => {
  expect(lanesOf({ archive, central: kafka }, '/data/checkpoints.ndjson')).toEqual({
    archive,
    central: kafka,
    checkpoints: { type: 'checkpoint-file', file: '/data/checkpoints.ndjson' },
  })
})

test('a checkpoint topic is a lane beside that of its sink', () => {
  const both = { ...kafka, checkpointTopic: 'checkpoints' }
  const lanes = lanesOf({ central: both }, null)
  expect(Object.keys(lanes)).toEqual(['central', 'central.checkpoints'])
  expect(lanes['central']).toMatchObject({ topic: 'audit' })
  expect(lanes['central.checkpoints']).toMatchObject({ topic: 'checkpoints', records: 'checkpoints', brokers: ['a:1'] })
})
