import { afterEach, describe, expect, test } from '@jest/globals'
import { join } from 'node:path'
import { describeWith } from '../../real/parts.ts'
import { type Breakage, breakProject } from '../broken-sources.ts'
import { count, figure, seed } from '../form.ts'
import { crashSpool, recordLives } from './model.ts'
import type { Recording } from './record.ts'

const sources = join(import.meta.dirname, '../../../src')
const crashes = count({ short: 60, long: 2000 })
/** So many that SQLite copies the WAL back and begins it anew. */
const events = 1700
/** A planted bug is to be found by so many. */
const crashesPerBug = count({ short: 60, long: 200 })
const eventsPerBug = 600
const maxMs = count({ short: 180_000, long: 1_800_000 })

const planted: Readonly<Record<string, readonly Breakage[]>> = {
  'commits are not synced (synchronous=OFF)': [
    {
      file: 'src/spool/file/database.ts',
      from: 'synchronous = FULL',
      to: 'synchronous = OFF',
    },
  ],
  'a cursor moves before the delivery': [
    {
      file: 'src/sinks/deliver.ts',
      from: 'const outcome = await lane.sink.deliver(records)',
      to: 'lane.delivered(upTo, records.length, null); const outcome = await lane.sink.deliver(records)',
    },
  ],
  'records are deleted before every cursor has passed them': [
    {
      file: 'src/spool/file/holdings.ts',
      from: 'const { bytes, waitingPosition, floor } = this.#extent',
      to: 'const { bytes, position: waitingPosition, floor } = this.#extent',
    },
    // Looked for at each batch: else a sink that is quick seldom lacks what is deleted.
    { file: 'src/spool/file/holdings.ts', from: 'const recordsPerLook = 128', to: 'const recordsPerLook = 1' },
  ],
}

let recording: Recording | undefined

afterEach(() => {
  recording?.remove()
  recording = undefined
})

describeWith('strace', 'a power failure at any moment', () => {
  describeWith('namespaces', 'of a spool that was recorded call by call', () => {
    test(
      'loses no record that a caller was told of, continues no trail, and is not taken for damage',
      async () => {
        recording = recordLives(sources, seed(), events)
        const failures = await crashSpool(recording, { seed: seed(), crashes, sought: 'all', enough: 20 })
        figure('crash model of the spool', 'power failures', crashes, '2,000 or more')
        figure(
          'crash model of the spool',
          'with a record lost, a trail continued or a false alarm',
          failures.length,
          '0',
        )
        expect(failures).toEqual([])
      },
      maxMs,
    )

    describe('is seen to lose records where', () => {
      test.each(Object.entries(planted))(
        '%s',
        async (name, breakages) => {
          const broken = breakProject(...breakages)
          try {
            recording = recordLives(broken.sources, seed(), eventsPerBug)
            const search = { seed: seed(), crashes: crashesPerBug, sought: 'losses', enough: 1 } as const
            const losses = await crashSpool(recording, search)
            figure('crash model of the spool', `planted: ${name}`, losses.length > 0 ? 'found' : 'not found', 'found')
            expect(losses).not.toEqual([])
          } finally {
            broken.remove()
          }
        },
        maxMs,
      )
    })
  })
})
