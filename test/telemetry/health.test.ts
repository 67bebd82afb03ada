import { describe, expect, test } from '@jest/globals'
import {
  isReady,
  livenessOf,
  type PartStates,
  readinessOf,
  readinessTeller,
  warningsOf,
} from '../../src/telemetry/health.ts'

const inForce = { policyVersion: 'sha256:5f', since: new Date('2026-11-22T10:00:00Z'), origin: 'folder' }
const policy: PartStates['policy'] = { inForce, refused: null, copyProblem: null, candidate: { refused: null } }
const well: PartStates = {
  stopping: false,
  policy,
  spool: { problem: null },
  sinks: new Map([['archive', { problem: null, topicProblems: [] }]]),
}
const problems = [
  { file: 'policy.csv', line: 12, message: 'the effect is "Deny"' },
  { file: 'model.conf', line: null, message: 'x' },
]
const wrong = (parts: ReturnType<typeof readinessOf>) => parts.filter(({ problem }) => problem !== null)

describe('a server is ready', () => {
  test('when a policy is in force and the spool can append', () => {
    expect(isReady(well)).toBe(true)
    expect(wrong([...readinessOf(well), ...warningsOf(well)])).toEqual([])
  })

  test.each<[what: string, policy: Partial<PartStates['policy']>, part: string, problem: string]>([
    [
      'a newer policy that was refused, with the first place',
      { refused: { problems } },
      'policy',
      'last good version sha256:5f in force since 2026-11-22T10:00:00.000Z; the folder’s is refused, 2 problems: policy.csv:12: the effect is "Deny" (and 1 more)',
    ],
    [
      'the copy of the last good policy in place of the folder’s',
      { inForce: { ...inForce, origin: 'last-good' }, refused: { problems: problems.slice(1) } },
      'policy',
      'last good version sha256:5f in force since 2026-11-22T10:00:00.000Z, from the copy that was kept; the folder’s is refused, 1 problem: model.conf: x',
    ],
    [
      'the copy while the folder is still being loaded',
      { inForce: { ...inForce, origin: 'last-good' } },
      'policy',
      'last good version sha256:5f in force since 2026-11-22T10:00:00.000Z, from the copy that was kept; the folder’s is not loaded yet',
    ],
    ['a copy that cannot be kept', { copyProblem: 'the disk is full' }, 'policy copy', 'the disk is full'],
    [
      'a candidate that is refused',
      { candidate: { refused: { problems } } },
      'policy candidate',
      'the candidate’s version is refused: policy.csv:12: the effect is "Deny" (and 1 more)',
    ],
  ])('also with %s, which is a warning', (_, changed, part, problem) => {
    const states = { ...well, policy: { ...policy, ...changed } }
    expect(isReady(states)).toBe(true)
    expect(wrong(warningsOf(states))).toEqual([{ part, problem }])
  })

  test('also with a sink that takes nothing, which is a warning by its name', () => {
    const sinks = new Map([
      ['archive', { problem: null, topicProblems: [] }],
      ['central', { problem: { code: 'KAFKA_UNAVAILABLE', message: 'no broker answered' }, topicProblems: ['x'] }],
      ['second', { problem: null, topicProblems: ['replication factor is 1', 'cleanup.policy is compact'] }],
    ])
    expect(isReady({ ...well, sinks })).toBe(true)
    expect(wrong(warningsOf({ ...well, sinks }))).toEqual([
      { part: 'sink central', problem: 'no broker answered (KAFKA_UNAVAILABLE)' },
      { part: 'sink second', problem: 'its topic: replication factor is 1; cleanup.policy is compact' },
    ])
  })
})

describe('a server is not ready', () => {
  test('without a usable policy, and says what is wrong with the one that is there', () => {
    const states = { ...well, policy: { ...policy, inForce: null, refused: { problems: problems.slice(1) } } }
    expect(isReady(states)).toBe(false)
    expect(wrong(readinessOf(states))).toEqual([
      { part: 'policy', problem: 'no usable policy has been loaded: model.conf: x' },
    ])
    expect(wrong(warningsOf(states))).toEqual([])
  })

  test('while the spool cannot append, and says why', () => {
    const states = { ...well, spool: { problem: { code: 'SPOOL_FULL', message: 'the disk is full', retryable: true } } }
    expect(isReady(states)).toBe(false)
    expect(wrong(readinessOf(states))).toEqual([{ part: 'spool', problem: 'the disk is full (SPOOL_FULL)' }])
  })
})

test('a server needs a new start where its spool has failed for good, and only there', () => {
  const failed = (retryable: boolean): PartStates => ({
    ...well,
    spool: { problem: { code: 'SPOOL_FAILED', message: 'its thread ended', retryable } },
  })
  expect(wrong(livenessOf(well))).toEqual([])
  expect(wrong(livenessOf(failed(true)))).toEqual([])
  expect(wrong(livenessOf(failed(false)))).toEqual([{ part: 'spool', problem: 'its thread ended (SPOOL_FAILED)' }])
})

test('the log is told of each change, once, however often it is looked at', () => {
  const said: string[] = []
  const look = readinessTeller(
    (level, message, fields = {}) => void said.push(`${level} ${message} ${JSON.stringify(fields)}`),
  )
  const full = (bytes: number): PartStates => ({
    ...well,
    spool: { problem: { code: 'SPOOL_FULL', message: `${bytes} bytes wait`, retryable: true } },
  })
  const ready = [well, well, full(7), full(8), well].map(look)
  expect(ready).toEqual([true, true, false, false, true])
  expect(said).toEqual([
    'info ready {}',
    'error not ready: requests are denied {"problems":[{"part":"spool","problem":"7 bytes wait (SPOOL_FULL)"}]}',
    'info ready {}',
  ])
})
