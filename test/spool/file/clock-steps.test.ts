import { describe, expect, test } from '@jest/globals'
import { ClockSteps } from '../../../src/spool/file/clock-steps.ts'

const hour = 3_600_000

function clocks() {
  const at = { now: 1_000_000, elapsed: 5 }
  const steps = new ClockSteps(at.now, () => at.elapsed, 0)
  return {
    steps,
    pass: (ms: number, stepMs = 0) => {
      at.now += ms + stepMs
      at.elapsed += ms
      return at.now
    },
  }
}

describe('the age of a record', () => {
  test.each([hour, -hour, 24 * hour, -24 * hour])(
    'is the time that passed where the clock is set by %d ms',
    (stepMs) => {
      const { steps, pass } = clocks()
      const first = pass(10)
      steps.look(first, 1, 0)
      const second = pass(500, stepMs)
      steps.look(second, 2, 0)
      steps.look(pass(2000), 3, 0)
      expect(steps.age(first, 1)).toBe(2500)
      expect(steps.age(second, 2)).toBe(2000)
    },
  )

  test('is the time that passed over several steps', () => {
    const { steps, pass } = clocks()
    const first = pass(0)
    steps.look(first, 1, 0)
    for (const stepMs of [hour, -24 * hour, 24 * hour, -hour]) steps.look(pass(1000, stepMs), 1, 0)
    expect(steps.age(first, 1)).toBe(4000)
  })

  test('goes on by the clock where that only drifts', () => {
    const { steps, pass } = clocks()
    const first = pass(0)
    steps.look(first, 1, 0)
    steps.look(pass(60_000, 20), 2, 0)
    expect(steps.age(first, 1)).toBe(60_020)
  })
})
