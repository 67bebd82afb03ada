import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createCheckpointSigner, parseVerifierKey, type VerifierKey } from '../../src/audit/checkpoint.ts'
import { LeafPath } from '../../src/audit/merkle.ts'
import { checkProof, formatProof, parseProofs, type InclusionProof } from '../../src/readers/proof.ts'
import { checkpointHere, signedTrail } from '../archive/signed-trails.ts'
import { decisions, idOf, type MadeRecord } from '../archive/trails.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'

const trail = `web-0-${idOf(1)}`
const records = signedTrail({ trail }, [...decisions(9), checkpointHere])
const key = keyOf(signer.verifierKey)
const proof = proofOf(records, 3)
const text = formatProof(proof)

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

/** The proof of the record at `index` by the last record, a checkpoint. */
function proofOf(all: readonly MadeRecord[], index: number): InclusionProof {
  const leaf = new LeafPath(index)
  for (const { hash } of all.slice(0, -1)) leaf.append(hash)
  const { data } = JSON.parse(all.at(-1)?.line ?? '') as { data: { note: string } }
  return { line: all[index]?.line ?? '', index, path: leaf.prove().path, note: data.note }
}

function judged(given: Partial<InclusionProof>, keys: readonly VerifierKey[] = [key]): string {
  const result = checkProof({ ...proof, ...given }, keys)
  return result.ok ? 'proven' : result.problem
}

describe('a proof', () => {
  test('holds for every record that the checkpoint covers', () => {
    for (let index = 0; index < records.length - 1; index += 1) {
      const result = checkProof(proofOf(records, index), [key])
      expect(result).toMatchObject({
        ok: true,
        place: { trail, sequence: index + 1, hash: records[index]?.hash },
        checkpoint: { origin: trail, size: 10 },
        signedBy: { text: signer.verifierKey },
        record: { trail, sequence: String(index + 1).padStart(16, '0') },
      })
    }
  })

  test('is written as c2sp.org/tlog-proof says', () => {
    expect(text.split('\n').slice(0, 3)).toEqual([
      'c2sp.org/tlog-proof@v1',
      `extra ${Buffer.from(proof.line).toString('base64')}`,
      'index 3',
    ])
    expect(text.split('\n\n')).toHaveLength(3)
    expect(text.split('\n').slice(3, 7)).toEqual(proof.path.map((digest) => digest.toString('base64')))
    expect(text.endsWith(`\n\n${proof.note}`)).toBe(true)
  })

  test('comes back as it was written, alone and among others', () => {
    const [single, first] = [signedTrail({ trail }, [checkpointHere]), proofOf(records, 0)]
    expect(parseProofs(text)).toEqual({ ok: true, value: [proof] })
    expect(parseProofs(formatProof(proofOf(single, 0)))).toEqual({ ok: true, value: [proofOf(single, 0)] })
    expect(parseProofs(formatProof(first) + text)).toEqual({ ok: true, value: [first, proof] })
  })

  test('does not hold with any byte changed', () => {
    const bytes = Buffer.from(text)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ mask
        const parsed = parseProofs(changed.toString())
        expect(parsed.ok && parsed.value.every((part) => checkProof(part, [key]).ok)).toBe(false)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a proof is refused', () => {
  const other = createCheckpointSigner('countersign', signingKeyPem(8))

  test('where no trusted key signed its checkpoint', () => {
    expect(judged({}, [keyOf(other.verifierKey)])).toMatch(/signed by countersign \(key [0-9a-f]{8}\), no key that is/)
    expect(judged({}, [])).toMatch(/no key that is trusted/)
  })

  test('where its checkpoint was altered', () => {
    expect(judged({ note: proof.note.replace('\n10\n', '\n11\n') })).toMatch(/does not fit the checkpoint/)
    expect(judged({ note: proof.note.slice(0, -1) })).toMatch(/not a signed checkpoint/)
    expect(judged({ note: '' })).toMatch(/not a signed checkpoint/)
  })

  test('where its record was altered, also with a hash that fits again', () => {
    expect(judged({ line: proof.line.replace('/orders/2', '/orders/3') })).toMatch(/^the record: .* hash/)
    const forged = signedTrail({ trail }, decisions(9, 500))
    expect(judged({ line: forged[3]?.line ?? '' })).toBe('the path does not lead to the root that was signed')
  })

  test('where its record stands in another place', () => {
    expect(judged({ line: records[4]?.line ?? '' })).toBe('the record has sequence 5, the proof is for 4')
    expect(judged({ index: 4 })).toBe('the record has sequence 4, the proof is for 5')
  })

  test('where its record is of another trail', () => {
    const elsewhere = signedTrail({ trail: `web-1-${idOf(1)}` }, decisions(9))
    expect(judged({ line: elsewhere[3]?.line ?? '' })).toBe(
      `the record is of trail web-1-${idOf(1)}, the checkpoint of ${trail}`,
    )
  })

  test('where its path was altered', () => {
    expect(judged({ path: proof.path.slice(1) })).toMatch(/does not have the length/)
    expect(judged({ path: [...proof.path].reverse() })).toMatch(/does not lead to the root/)
  })

  test('where the checkpoint does not cover its record', () => {
    const index = records.length - 1
    expect(judged({ line: records[index]?.line ?? '', index })).toMatch(/does not have the length/)
  })
})

describe('what is no proof', () => {
  const [header = '', extra = '', index = '', ...rest] = text.split('\n')
  const lines = (...all: readonly string[]): string => [...all, ...rest].join('\n')

  test.each([
    ['nothing', ''],
    ['another version', text.replace('@v1', '@v2')],
    ['a byte order mark', `\ufeff${text}`],
    ['lines that end as on Windows', text.replaceAll('\n', '\r\n')],
    ['no record', lines(header, index)],
    ['a record that is not in base64', lines(header, `${extra}*`, index)],
    ['a record that is not UTF-8', lines(header, 'extra /w==', index)],
    ['the index before the record', lines(header, index, extra)],
    ['no index', lines(header, extra)],
    ['a leading zero', lines(header, extra, 'index 03')],
    ['a negative index', lines(header, extra, 'index -3')],
    ['a space behind the index', lines(header, extra, 'index 3 ')],
    ['a short digest', text.replace(proof.path[1]?.toString('base64') ?? '', 'AAAA')],
    ['a digest without its padding', text.replace(proof.path[1]?.toString('base64') ?? '', 'A'.repeat(43))],
    ['more levels than a tree can have', lines(header, extra, index, ...Array<string>(54).fill('A'.repeat(43) + '='))],
    ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 1)],
    ['a second proof that is none', `${text}${header}\nindex 3\n`],
  ])('%s', (_, none) => {
    expect(parseProofs(none)).toMatchObject({ ok: false })
  })

  test('says which of several it is', () => {
    expect(parseProofs(`${text}${header}\n${extra}\nindex x\n\n${proof.note}`)).toEqual({
      ok: false,
      problem: 'proof 2: its third line is not "index" and a number',
    })
  })
})
