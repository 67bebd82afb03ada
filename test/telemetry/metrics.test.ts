import { describe, expect, test } from '@jest/globals'
import { setGauges } from '../../src/telemetry/gauges.ts'
import { createMetrics, type Metrics, metricTable } from '../../src/telemetry/metrics.ts'
import { countEntry, measured } from '../../src/telemetry/observe.ts'

const calm = {
  retainedBytes: 0,
  checkpoint: { size: 41, at: 5_000 },
  waitingRecords: 0,
  waitingBytes: 0,
  oldestWaitingMs: null,
  queued: 0,
  problem: null,
  lastPosition: 0,
}

async function lines(metrics: Metrics): Promise<readonly string[]> {
  return (await metrics.render()).body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

describe('metrics', () => {
  test('are all described, with their type', async () => {
    const shown = await Promise.all([createMetrics().render(), createMetrics('archive').render()])
    const types = shown.flatMap(({ body }) =>
      [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
    )
    // Each program shows its own, and no other.
    expect(types).toHaveLength(Object.keys(metricTable).length)
    expect(Object.fromEntries(types)).toEqual(
      Object.fromEntries(Object.entries(metricTable).map(([name, { type }]) => [name, type])),
    )
  })

  test('of one server are apart from those of another', async () => {
    const [one, other] = [createMetrics(), createMetrics()]
    one.count('countersign_records_appended_total', {}, 5)
    expect(await lines(other)).toContain('countersign_records_appended_total 0')
  })

  test('keep a label in one piece, whatever it holds', async () => {
    const metrics = createMetrics()
    metrics.set('countersign_sink_lag_records', { sink: 'a"\n} x' }, 1)
    expect(await lines(metrics)).toContain('countersign_sink_lag_records{sink="a\\"\\n} x"} 1')
  })
})

describe('the gauges of the spool', () => {
  test('tell what waits, since when, and how far each sink is behind', async () => {
    const metrics = createMetrics()
    const spool = {
      ...calm,
      waitingRecords: 3,
      waitingBytes: 1800,
      oldestWaitingMs: 1_000,
      queued: 2,
      lastPosition: 10,
    }
    setGauges(
      metrics,
      spool,
      new Map([
        ['archive', { position: 10, topicProblems: [] }],
        ['kafka', { position: 7, topicProblems: [] }],
      ]),
      3_500,
    )
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'countersign_spool_waiting_records 3',
        'countersign_spool_waiting_bytes 1800',
        'countersign_spool_oldest_waiting_seconds 2.5',
        'countersign_spool_queued_events 2',
        'countersign_spool_writable 1',
        'countersign_checkpoint_records 41',
        'countersign_checkpoint_timestamp_seconds 5',
        'countersign_sink_lag_records{sink="archive"} 0',
        'countersign_sink_lag_records{sink="kafka"} 3',
      ]),
    )
  })

  test('tell that the spool cannot append, and never a negative age', async () => {
    const metrics = createMetrics()
    setGauges(metrics, { ...calm, problem: {}, oldestWaitingMs: 2_000 }, new Map(), 1_000)
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining(['countersign_spool_writable 0', 'countersign_spool_oldest_waiting_seconds 0']),
    )
  })
})

describe('what goes around the stories', () => {
  test('counts each check by effect and reason, and measures it', async () => {
    const metrics = createMetrics()
    const decision = { effect: 'deny', reason: 'NO_MATCHING_RULE' }
    const answer = await measured(
      async (call: number) => ({ call, decision }),
      metrics,
      () => undefined,
    )(7)
    expect(answer).toEqual({ call: 7, decision })
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'countersign_checks_total{effect="deny",reason="NO_MATCHING_RULE"} 1',
        'countersign_check_duration_seconds_count 1',
      ]),
    )
  })

  test('tells the log why a decision failed, and tells a flood of them once', async () => {
    const said: unknown[] = []
    const decision = { effect: 'deny', reason: 'DECISION_FAULT', detail: 'the value is too long' }
    const check = measured(
      () => Promise.resolve({ decision }),
      createMetrics(),
      (level, message, fields) => said.push([level, message, fields]),
    )
    for (let count = 0; count < 100; count += 1) await check(undefined)
    expect(said[0]).toEqual(['warn', 'a decision failed: the request was denied', { problem: 'the value is too long' }])
    expect(said.length).toBeLessThan(10)
  })

  test('counts access-log entries, those of outbound listeners apart', async () => {
    const metrics = createMetrics()
    countEntry({ mediation: 'unchecked', phase: 'end' }, metrics)
    countEntry({ mediation: null, phase: 'end' }, metrics)
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'countersign_access_log_entries_total{mediation="unchecked",phase="end"} 1',
        'countersign_access_log_entries_total{mediation="none",phase="end"} 1',
      ]),
    )
  })

  test('counts what a candidate would have decided, where one is loaded', async () => {
    const metrics = createMetrics()
    const decisions = [
      { effect: 'allow', candidate: { effect: 'allow' } },
      { effect: 'deny', candidate: { effect: 'deny' } },
      { effect: 'deny', candidate: { effect: 'allow' } },
      { effect: 'allow', candidate: { effect: 'deny' } },
      { effect: 'allow', candidate: null },
      { effect: 'allow' },
    ]
    for (const decision of decisions) {
      const answer = { decision: { reason: 'x', ...decision } }
      await measured(
        () => Promise.resolve(answer),
        metrics,
        () => undefined,
      )(undefined)
    }
    const counted = (await lines(metrics)).filter((line) => line.startsWith('countersign_candidate_decisions_total'))
    expect(counted.sort()).toEqual([
      'countersign_candidate_decisions_total{agreement="not_asked"} 1',
      'countersign_candidate_decisions_total{agreement="same"} 2',
      'countersign_candidate_decisions_total{agreement="would_allow"} 1',
      'countersign_candidate_decisions_total{agreement="would_deny"} 1',
    ])
  })
})
