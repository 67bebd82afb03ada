import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { parseVerifierKey, type VerifierKey } from '../../src/audit/checkpoint.ts'
import { decisionEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { checkProof } from '../../src/readers/proof.ts'
import { prove, type Proving } from '../../src/readers/prove.ts'
import { ordersRequest } from '../cases/access-requests.ts'
import { createCheckpointSigner } from '../../src/audit/checkpoint.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'
import { checkpointHere, signedTrail } from '../archive/signed-trails.ts'
import { accessOf, asPrevious, decisionOf, decisions, idOf, makeTrail, type MadeRecord } from '../archive/trails.ts'
import { TestData, textOf } from './data-folder.ts'

const trail = `web-0-${idOf(1)}`
const key = keyOf(signer.verifierKey)
/** opened, 4 decisions, checkpoint, 4 decisions, checkpoint, 1 decision. */
const records = signedTrail({ trail }, [
  ...decisions(4),
  checkpointHere,
  ...decisions(4, 200),
  checkpointHere,
  ...decisions(1, 300),
])
let data: TestData

beforeEach(() => {
  data = new TestData()
})

afterEach(() => {
  data[Symbol.dispose]()
})

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

async function proving(id: string, keys: readonly VerifierKey[] = [key]): Promise<readonly Proving[]> {
  const folder = await data.open()
  try {
    return await prove(folder, id, keys)
  } finally {
    folder.close()
  }
}

/** What came of it, in short: the size of the checkpoint of a proof that holds, or what is wrong. */
async function outcomes(id: string): Promise<readonly unknown[]> {
  return (await proving(id)).map(({ outcome }) => {
    if (outcome.kind !== 'proved') return outcome.kind === 'broken' ? outcome.problem : outcome.kind
    const checked = checkProof(outcome.proof, [key])
    return checked.ok ? checked.checkpoint.size : checked.problem
  })
}

describe('a record is proved', () => {
  test('by the first checkpoint that covers it, wherever it stands', async () => {
    await data.archive(records)
    const sizes = await Promise.all(records.map(async ({ line }) => outcomes((JSON.parse(line) as { id: string }).id)))
    expect(sizes).toEqual([
      ...Array<unknown>(5).fill([5]),
      ...Array<unknown>(5).fill([10]),
      ['uncovered'],
      ['uncovered'],
    ])
  })

  test('over archive and spool together', async () => {
    await data.archive(records.slice(0, 4))
    data.spooled = records.slice(2)
    expect(await outcomes(idOf(102))).toEqual([5])
    expect(await outcomes(idOf(201))).toEqual([10])
  })

  test('from the spool alone while nothing has left it', async () => {
    data.spooled = records
    expect(await outcomes(idOf(201))).toEqual([10])
  })

  test('from sealed segments, over days', async () => {
    const long = signedTrail({ trail, stepMs: 6 * 3_600_000 }, [...decisions(9), checkpointHere])
    await data.archive(long, 2000)
    await data.seal(({ first }) => first < 8)
    expect(await outcomes(idOf(106))).toEqual([10])
  })

  test('with its own line, and its own trail’s checkpoint, among other trails', async () => {
    const other = signedTrail({ trail: `web-1-${idOf(2)}` }, [...decisions(4, 400), checkpointHere])
    await data.archive([...records, ...other])
    const [proved] = await proving(idOf(402))
    expect(proved?.outcome).toMatchObject({
      kind: 'proved',
      proof: { line: other[3]?.line, index: 3 },
      checkpoint: { origin: `web-1-${idOf(2)}`, size: 5 },
      signedBy: key,
    })
  })

  test('also where the key that signed is not known here', async () => {
    await data.archive(records)
    const [proved] = await proving(idOf(102), [])
    expect(proved?.outcome).toMatchObject({ kind: 'proved', signedBy: undefined })
  })

  test('by the id of its event, where it is no decision', async () => {
    const access = accessOf({ number: 102 })
    await data.archive(signedTrail({ trail }, [...decisions(4), access, checkpointHere]))
    const [proved, ...more] = await proving(access.id)
    expect([proved?.record.id, more]).toEqual([access.id, []])
    expect(await outcomes(access.id)).toEqual([6])
  })
})

describe('a decision that was superseded', () => {
  const number = 700
  const late = superseding(decisionOf({ number, deny: 'AUDIT_UNAVAILABLE' }))

  function superseding(denial: AuditEvent): AuditEvent {
    return { ...denial, id: idOf(701), data: { ...denial.data, supersedes: true } }
  }

  test.each([
    ['its decision id', idOf(number)],
    ['the id of the record that superseded it', idOf(701)],
  ])('is proved in both its records, in their order, by %s', async (_, id) => {
    await data.archive(
      signedTrail({ trail }, [decisionOf({ number }), checkpointHere, late, ...decisions(2), checkpointHere]),
    )
    const provings = await proving(id)
    expect(provings.map(({ record }) => [record.id, record.data['effect'], record.data['supersedes']])).toEqual([
      [idOf(number), 'allow', false],
      [idOf(701), 'deny', true],
    ])
    expect(await outcomes(id)).toEqual([2, 6])
  })

  test('is proved where its records stand in two trails', async () => {
    const first = signedTrail({ trail }, [decisionOf({ number }), checkpointHere])
    const next = signedTrail({ trail: `web-0-${idOf(2)}`, previous: asPrevious(first) }, [late, checkpointHere])
    await data.archive([...first, ...next])
    expect(await outcomes(idOf(number))).toEqual([2, 2])
  })

  test('is known to be so before the second record is covered', async () => {
    await data.archive(signedTrail({ trail }, [decisionOf({ number }), checkpointHere, late]))
    expect(await outcomes(idOf(number))).toEqual([2, 'uncovered'])
  })
})

describe('nothing is proved', () => {
  test('where nothing has the id', async () => {
    await data.archive(records)
    expect(await proving(idOf(999))).toEqual([])
    expect(await proving('no id at all')).toEqual([])
  })

  test('before a checkpoint covers it, and after its trail has ended without one', async () => {
    await data.archive(records)
    expect((await proving(idOf(300)))[0]?.outcome).toEqual({ kind: 'uncovered', lastSequence: 12, ended: false })
    await data.archive(makeTrail({ trail: `web-1-${idOf(2)}` }, []))
    expect((await proving(idOf(300)))[0]?.outcome).toMatchObject({ ended: false })
    await data.archive(makeTrail({ trail: `web-0-${idOf(2)}`, previous: asPrevious(records) }, []))
    expect((await proving(idOf(300)))[0]?.outcome).toEqual({ kind: 'uncovered', lastSequence: 12, ended: true })
  })

  test('where the beginning of the trail is not here', async () => {
    data.spooled = records.slice(3)
    expect(await outcomes(idOf(201))).toEqual([
      'at spool:4: sequence 1 is expected here, and 4 stands here: a proof needs its trail from the beginning',
    ])
  })

  test.each<[string, (all: readonly MadeRecord[]) => readonly { line: string }[], RegExp]>([
    [
      'a record is missing',
      (all) => all.filter(({ sequence }) => sequence !== 3),
      /:3: sequence 3 is expected here, and 4/,
    ],
    ['a record was altered', (all) => with3(all, (line) => line.replace('/orders/1', '/orders/9')), /:3: the bytes of/],
    ['a record stands twice, in two versions', (all) => fork(all), /:4: another record stands in the same place/],
    [
      'records were changed and the chain made anew',
      (all) => remade(all),
      /:6: the records before .* do not have the root/,
    ],
    ['the checkpoint is of fewer records', (all) => remade(all, '\n4\n'), /:6: the signature .* does not fit/],
  ])('where %s', async (_, change, problem) => {
    data.segment(trail, 1, textOf(change(records)))
    expect(await outcomes(idOf(103))).toEqual([expect.stringMatching(problem)])
  })

  test('by a checkpoint that another key signed in the name of a known one', async () => {
    const forger = createCheckpointSigner('countersign', signingKeyPem(8))
    const forged = { ...forger, sign: (checkpoint: never) => withId(forger.sign(checkpoint)) }
    await data.archive(signedTrail({ trail }, [...decisions(2), checkpointHere], forged))
    expect(await outcomes(idOf(100))).toEqual([expect.stringMatching(/the signature of countersign .* does not fit/)])
  })
})

/** The note with the id of the key that is trusted. */
function withId(note: string): string {
  const [head = '', signature = ''] = note.split('— countersign ')
  return `${head}— countersign ${Buffer.concat([key.id, Buffer.from(signature, 'base64').subarray(4)]).toString('base64')}\n`
}

function with3(all: readonly MadeRecord[], change: (line: string) => string): { line: string }[] {
  return all.map((record) => (record.sequence === 3 ? { line: change(record.line) } : record))
}

function fork(all: readonly MadeRecord[]): { line: string }[] {
  const other = signedTrail({ trail }, decisions(4, 800))
  return [...all.slice(0, 3), other[2] as MadeRecord, ...all.slice(3)]
}

/** The trail with another decision in the place of the second one, whole again but for the notes, which stay as they were signed. */
function remade(all: readonly MadeRecord[], size = '\n5\n'): readonly MadeRecord[] {
  const { data: old } = JSON.parse(all[5]?.line ?? '') as { data: { note: string } }
  const replayed = { verifierKey: signer.verifierKey, sign: () => old.note.replace('\n5\n', size) }
  const changed = decisionEvent(ordersRequest, {
    ...{ effect: 'deny', reason: 'NO_MATCHING_RULE', rule: null, roles: [], policyVersion: null, durationUs: 1 },
    decisionId: idOf(101),
  } as never)
  const [one, , ...rest] = decisions(4)
  return signedTrail({ trail }, [one as AuditEvent, changed, ...rest, checkpointHere], replayed)
}

test('a trail’s own records are proved like any other', async () => {
  const closed = trailEvent(idOf(900), new Date(), { change: 'closed', delivered: 1, left: 0 })
  await data.archive(signedTrail({ trail }, [closed, checkpointHere]))
  expect(await outcomes(idOf(900))).toEqual([2])
})
