import { beforeEach, describe, expect, test } from '@jest/globals'
import type { Log } from '../../src/telemetry/log.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { candidateTeller, policyTeller } from '../../src/telemetry/policy.ts'

let metrics: Metrics = createMetrics()
let said: (readonly [level: string, message: string, fields: object | undefined])[] = []
const log: Log = (level, message, fields) => said.push([level, message, fields])

beforeEach(() => {
  metrics = createMetrics()
  said = []
})

async function values(): Promise<Record<string, string>> {
  const lines = (await metrics.render()).body.split('\n').filter((line) => /^countersign_(policy|candidate)/.test(line))
  return Object.fromEntries(lines.map((line) => line.split(/ (?=\S+$)/) as [string, string]))
}

const loaded = (policyVersion: string, more: object = {}) => ({
  ...{ policyVersion, rules: 5, warnings: 2, since: new Date(1_500), tookMs: 12.4, origin: 'folder' },
  ...more,
})
const refused = (policyVersion: string, problems = 1) => ({
  policyVersion,
  problems: Array.from({ length: problems }, () => ({ line: 1 })),
})
const well = { refused: null, copyProblem: null }

describe('of the policy in force', () => {
  test('log and metrics tell the version with its rules, warnings and the time that it took; a replaced one is gone', async () => {
    const tell = policyTeller(metrics, log)
    tell({ ...well, inForce: loaded('sha256:a') })
    tell({ ...well, inForce: loaded('sha256:b', { warnings: 3 }) })
    expect(said).toEqual([
      ['info', 'policy in force', { policyVersion: 'sha256:a', rules: 5, warnings: 2, tookMs: 12 }],
      ['info', 'policy in force', { policyVersion: 'sha256:b', rules: 5, warnings: 3, tookMs: 12 }],
    ])
    const told = await values()
    expect(told).toMatchObject({
      'countersign_policy_in_force{version="sha256:b"}': '1',
      countersign_policy_warnings: '3',
      countersign_policy_problems: '0',
      countersign_policy_last_good: '0',
      countersign_policy_loaded_timestamp_seconds: '1.5',
      countersign_policy_rejected_total: '0',
    })
    expect(Object.keys(told).filter((name) => name.includes('version='))).toHaveLength(1)
  })

  test('a refused version is counted once, with its problems, the first of which the log has', async () => {
    const tell = policyTeller(metrics, log)
    const inForce = loaded('sha256:a')
    const bad = refused('sha256:b', 30)
    tell({ ...well, inForce })
    tell({ ...well, inForce, refused: bad })
    tell({ ...well, inForce, refused: bad, copyProblem: 'the disk is full' })
    expect(await values()).toMatchObject({
      'countersign_policy_in_force{version="sha256:a"}': '1',
      countersign_policy_rejected_total: '1',
      countersign_policy_problems: '30',
      countersign_policy_copy_failing: '1',
    })
    expect(said.map(([level, message]) => `${level} ${message}`)).toEqual([
      'info policy in force',
      'error policy refused',
      'warn the last good policy is not kept',
    ])
    expect(said[1]?.[2]).toEqual({ policyVersion: 'sha256:b', count: 30, problems: bad.problems.slice(0, 20) })
  })

  test('problems are none again when the folder is put right, and the log says so', async () => {
    const tell = policyTeller(metrics, log)
    const inForce = loaded('sha256:a')
    tell({ ...well, inForce, refused: refused('sha256:b') })
    tell({ ...well, inForce })
    expect(await values()).toMatchObject({ countersign_policy_problems: '0', countersign_policy_rejected_total: '1' })
    expect(said.at(-1)?.[1]).toBe('the policy in force stands in its folder again')
  })

  test('a copy in force is a gauge and a warning of the log', async () => {
    policyTeller(
      metrics,
      log,
    )({
      ...well,
      inForce: loaded('sha256:a', { origin: 'last-good' }),
      refused: refused('sha256:b'),
    })
    expect(await values()).toMatchObject({ countersign_policy_last_good: '1' })
    expect(said[0]?.slice(0, 2)).toEqual(['warn', 'the last good policy is in force: its folder has no usable one'])
  })
})

describe('of a candidate', () => {
  test('log and metrics tell when it is loaded, refused and removed, and nothing while there is none', async () => {
    const tell = candidateTeller(metrics, log)
    tell({ loaded: null, refused: null })
    expect(said).toEqual([])
    const first = loaded('sha256:a')
    tell({ loaded: first, refused: null })
    expect(await values()).toMatchObject({
      'countersign_candidate_loaded{version="sha256:a"}': '1',
      countersign_candidate_warnings: '2',
      countersign_candidate_loaded_timestamp_seconds: '1.5',
    })
    tell({ loaded: first, refused: refused('sha256:b', 7) })
    expect(await values()).toMatchObject({
      'countersign_candidate_loaded{version="sha256:a"}': '1',
      countersign_candidate_rejected_total: '1',
      countersign_candidate_problems: '7',
    })
    tell({ loaded: null, refused: null })
    const told = await values()
    expect(told).toMatchObject({ countersign_candidate_problems: '0', countersign_candidate_warnings: '0' })
    expect(told).not.toHaveProperty(['countersign_candidate_loaded{version="sha256:a"}'])
    expect(said.map(([level, message]) => `${level} ${message}`)).toEqual([
      'info candidate policy loaded',
      'warn candidate policy refused',
      'info candidate policy removed',
    ])
  })
})
