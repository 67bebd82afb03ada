import { expect, test } from '@jest/globals'
import { createCheckpointSigner, parseVerifierKey } from '../../../src/audit/checkpoint.ts'
import { checkpointEvent, trailEvent } from '../../../src/audit/event.ts'
import { MerkleTree } from '../../../src/audit/merkle.ts'
import { encodeEvent, sealRecord } from '../../../src/audit/record.ts'
import { verificationText } from '../../../src/cli/verification-text.ts'
import { verifyParts, type Verification } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisions, idOf, makeTrail, timeAt, type MadeRecord } from '../../archive/trails.ts'
import { signer, signingKeyPem } from '../../cases/signing-key.ts'
import { exported } from './parts.ts'

const trails = [1, 2].map((number) => `web-0-${idOf(number)}`) as [string, string]
const retired = createCheckpointSigner('countersign', signingKeyPem(8))
const keys = [signer, retired].flatMap(({ verifierKey }) => {
  const parsed = parseVerifierKey(verifierKey)
  return parsed.ok ? [parsed.value] : []
})
const closing = trailEvent(idOf(5), timeAt(0), { change: 'closed', delivered: 3, left: 0 })

/** The records with a checkpoint behind them. */
function signed(records: readonly MadeRecord[], by = signer): readonly MadeRecord[] {
  const tree = MerkleTree.empty()
  for (const { hash } of records) tree.append(hash)
  const { trail, sequence, position, hash: prevHash, line } = records.at(-1) as MadeRecord
  const recordedAt = new Date((JSON.parse(line) as { recordedat: string }).recordedat)
  const note = by.sign({ origin: trail, size: sequence, root: tree.root() })
  const event = encodeEvent(checkpointEvent(idOf(500_000), recordedAt, { note }))
  const sealed = sealRecord(event, { trail, sequence: sequence + 1, prevHash, recordedAt })
  return [...records, { position: position + 1, trail, sequence: sequence + 1, ...sealed }]
}

/** More records behind these, at these times. */
function goneOn(records: readonly MadeRecord[], times: readonly number[]): readonly MadeRecord[] {
  const { trail, sequence, hash } = records.at(-1) as MadeRecord
  let prevHash = hash
  const more = decisions(times.length, 5000).map((event, index) => {
    const place = { trail, sequence: sequence + 1 + index, prevHash, recordedAt: timeAt(times[index] as number) }
    const sealed = sealRecord(encodeEvent(event), place)
    prevHash = sealed.hash
    return { position: place.sequence, trail, sequence: place.sequence, ...sealed }
  })
  return [...records, ...more]
}

function verified(records: readonly MadeRecord[], trusted: typeof keys | null = keys): Promise<Verification> {
  const lines = records.map(({ line }) => line)
  return verifyParts([exported(lines)], { threads: 0, ...(trusted === null ? {} : { keys: trusted }) })
}

const start = signed(makeTrail({ trail: trails[0] }, decisions(5)))

test.each([
  ['of a clock that was set on by an hour', [7000, 3_600_000, 3_601_000]],
  ['of a clock that was set back by a day', [7000, -86_400_000, -86_399_000]],
  ['of a machine that slept for two days', [7000, 2 * 86_400_000 + 1]],
])('records behind the last checkpoint are no reason to doubt, because %s', async (_, times) => {
  expect(await verified(goneOn(start, times))).toMatchObject({ verdict: 'whole' })
})

test('hours of records that nobody signed are told, whatever time the last one says', async () => {
  const times = Array.from({ length: 400 }, (_, index) => 10_000 + 45_000 * index)
  const forged = goneOn(start, [...times, 10_000])
  expect((await verified(forged)).first).toMatchObject({ kind: 'unsigned', sequence: 8, toSequence: 408, line: 8 })
})

test('a trail that was closed, and whose checkpoints were taken out, is told', async () => {
  const first = makeTrail({ trail: trails[0] }, [...decisions(5), closing])
  expect((await verified(first)).first).toMatchObject({ kind: 'unsigned', trail: trails[0], sequence: 1 })
  expect(await verified(signed(first))).toMatchObject({ verdict: 'whole' })
  const second = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first, true) }, decisions(3))
  expect((await verified([...first, ...second])).first).toMatchObject({ kind: 'unsigned', trail: trails[0] })
})

test('a checkpoint of another trusted key than the one that the trail promises is told', async () => {
  const byRetired = signed(makeTrail({ trail: trails[0] }, decisions(5)), retired)
  expect((await verified(byRetired)).first).toMatchObject({
    kind: 'checkpoint-wrong-key',
    trail: trails[0],
    sequence: 7,
    line: 7,
  })
})

test('without a key it is not said that anything is signed', async () => {
  const unchecked = verificationText(await verified(start, null))
  expect(unchecked).toContain('every hash, sequence and link holds; no signature was checked.')
  expect(unchecked.split('\n')[1]).toMatch(/ - +open *$/)
  const unsigned = verificationText(await verified(makeTrail({ trail: trails[0] }, decisions(5))))
  expect(unsigned).toContain('every hash, sequence and link holds; no checkpoint signs any of it.')
  expect(verificationText(await verified(start))).toContain('every hash, sequence and link holds.')
})
