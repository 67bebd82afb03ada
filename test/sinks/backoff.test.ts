import { expect, test } from '@jest/globals'
import { backoffMs } from '../../src/sinks/backoff.ts'

test('a lane waits twice as long after each failure, and never longer than ten seconds', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 2000].map(backoffMs)).toEqual([
    200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000,
  ])
})
