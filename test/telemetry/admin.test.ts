import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type Admin, type AdminParts, startAdmin } from '../../src/telemetry/admin.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

let admin: Admin | undefined
afterEach(async () => {
  await admin?.close()
  admin = undefined
})

async function ask(path: string, parts: Partial<AdminParts> = {}): Promise<Response> {
  const calm: AdminParts = {
    liveness: () => [],
    readiness: () => [],
    warnings: () => [],
    metrics: createMetrics(),
    refresh: () => undefined,
  }
  admin = await startAdmin('127.0.0.1', 0, { ...calm, ...parts })
  return fetch(`http://127.0.0.1:${admin.port}${path}`)
}

describe('the admin port', () => {
  test('says at /healthz that all is well where a new start would mend nothing', async () => {
    const answer = await ask('/healthz', { readiness: () => [{ part: 'spool', problem: 'x' }] })
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }])
  })

  test('says at /healthz what only a new start can mend', async () => {
    const answer = await ask('/healthz', { liveness: () => [{ part: 'spool', problem: 'its thread ended' }] })
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { status: 'needs a new start', problems: [{ part: 'spool', problem: 'its thread ended' }] },
    ])
  })

  test('says at /readyz that it is ready, with warnings', async () => {
    const parts = {
      readiness: () => [{ part: 'policy', problem: null }],
      warnings: () => [
        { part: 'sink kafka', problem: 'no broker answered' },
        { part: 'sink archive', problem: null },
      ],
    }
    const answer = await ask('/readyz?verbose', parts)
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { status: 'ready', problems: [], warnings: [{ part: 'sink kafka', problem: 'no broker answered' }] },
    ])
  })

  test('says at /readyz what is wrong', async () => {
    const answer = await ask('/readyz', { readiness: () => [{ part: 'spool', problem: 'the disk is full' }] })
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { status: 'not ready', problems: [{ part: 'spool', problem: 'the disk is full' }], warnings: [] },
    ])
  })

  test('serves metrics that are brought up to date for the answer', async () => {
    const metrics = createMetrics()
    const refresh = (): void => {
      metrics.set('countersign_spool_waiting_records', {}, 7)
    }
    const answer = await ask('/metrics', { metrics, refresh })
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(await answer.text()).toContain('\ncountersign_spool_waiting_records 7\n')
  })

  test('names its pages where there is none', async () => {
    const answer = await ask('/metric')
    expect(answer.status).toBe(404)
    expect(await answer.text()).toContain('/metrics')
  })

  test('lives on when an answer fails inside', async () => {
    const failing = (): never => {
      throw new Error('broken')
    }
    const answer = await ask('/metrics', { refresh: failing })
    expect(answer.status).toBe(500)
    expect((await fetch(`http://127.0.0.1:${admin?.port ?? 0}/healthz`)).status).toBe(200)
  })

  test('says that its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const started = startAdmin('127.0.0.1', port, {
      liveness: () => [],
      readiness: () => [],
      warnings: () => [],
      metrics: createMetrics(),
      refresh: () => undefined,
    })
    await expect(started).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: `admin: 127.0.0.1:${port} is taken by another process`,
    })
    other.close()
  })
})
