import { expect, test } from '@jest/globals'
import { decisionById, meaningOf } from '../../src/readers/decision-by-id.ts'
import { accessOf, decisionOf, idOf, makeTrail } from '../archive/trails.ts'
import { TestData } from './data-folder.ts'

/** An id as the server makes it, on the day of the made trails. */
const todayId = `${Date.UTC(2026, 10, 22, 10)
  .toString(16)
  .padStart(12, '0')
  .replace(/^(.{8})/, '$1-')}-7000-8000-000000000001`

test('finds the record of a decision, in the archive and in the spool, whatever day its id tells', async () => {
  using data = new TestData()
  const asked = [1, 2].map((number) => ({ number, path: `/orders/${String(number)}` }))
  const records = makeTrail(
    { trail: `web-0-${idOf(1)}` },
    asked.flatMap((one) => [decisionOf(one), accessOf(one)]),
  )
  await data.archive(records.slice(0, 3))
  data.spooled = records.slice(3)
  const folder = await data.open()
  for (const { number, path } of asked) {
    const record = await decisionById(folder, idOf(number))
    expect(record).toMatchObject({
      type: 'io.countersign.decision.v1',
      data: { decisionId: idOf(number), resource: { path } },
    })
  }
  expect(await decisionById(folder, idOf(3))).toBeUndefined()
  expect(await decisionById(folder, 'no-uuid')).toBeUndefined()
})

test('finds what was answered where a second record superseded the first', async () => {
  using data = new TestData()
  const first = decisionOf({ number: 1 })
  const late = decisionOf({ number: 1, deny: 'AUDIT_UNAVAILABLE' })
  const events = [first, late].map((event) => ({ ...event, data: { ...event.data, decisionId: todayId } }))
  await data.archive(makeTrail({ trail: `web-0-${idOf(1)}` }, events))
  expect(await decisionById(await data.open(), todayId)).toMatchObject({ data: { reason: 'AUDIT_UNAVAILABLE' } })
})

test('knows what reasons mean', () => {
  expect(meaningOf('POLICY_UNAVAILABLE')).toBe('No usable policy has been loaded yet.')
  expect(meaningOf('SOMETHING_NEW')).toBe('')
})
