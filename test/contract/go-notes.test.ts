import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  createCheckpointSigner,
  openCheckpoint,
  parseVerifierKey,
  type CheckpointSigner,
  type VerifierKey,
} from '../../src/audit/checkpoint.ts'
import { LeafPath, MerkleTree, rootOfInclusion } from '../../src/audit/merkle.ts'
import { formatProof, type InclusionProof } from '../../src/readers/proof.ts'
import { prove } from '../../src/readers/prove.ts'
import { checkpointHere, signedTrail } from '../archive/signed-trails.ts'
import { decisions, idOf } from '../archive/trails.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'
import { TestData } from '../readers/data-folder.ts'
import { describeWith, goProgram } from '../real/parts.ts'

// What golang.org/x/mod/sumdb/note and tlog make of our notes, roots and proofs, and we of theirs.

interface Answer {
  readonly error?: string
  readonly text?: string
  readonly note?: string
  readonly signer?: string
  readonly key?: string
  readonly keys?: readonly string[]
  readonly roots?: readonly string[]
  readonly paths?: readonly (readonly string[] | null)[]
}

/** Puts all questions to one run of the program. */
function askGo(questions: readonly object[]): readonly Answer[] {
  const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('')
  const { stdout, status } = spawnSync(goProgram('notes'), { input, encoding: 'utf8', maxBuffer: 2 ** 30 })
  expect(status).toBe(0)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer)
}

function ask(question: object): Answer {
  return askGo([question])[0] ?? {}
}

function hashes(count: number, seed = ''): string[] {
  return Array.from({ length: count }, (_, index) => hash('sha256', `${seed}${String(index)}`))
}

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.problem}`)
  return parsed.value
}

/** The text of a note and the bytes of its signature, read leniently. */
function signatureOf(note: string): readonly string[] {
  const [text = '', line = ''] = note.split('\n\n')
  return [text, Buffer.from(line.split(' ')[2] ?? '', 'base64').toString('hex')]
}

const hex = (bytes: Buffer | undefined): string | undefined => bytes?.toString('hex')
const trail = `web-0-${idOf(1)}`
const root = hash('sha256', 'a root', 'buffer')
const note = signer.sign({ origin: trail, size: 41, root })
const other = createCheckpointSigner('countersign/eu-1', signingKeyPem(8))

describeWith('go', 'signed notes', () => {
  test('of ours open in Go, with the verifier key as we write it', () => {
    const signers: readonly CheckpointSigner[] = [signer, other]
    const sizes = [0, 1, 2 ** 31, 2 ** 53 - 1]
    const notes = signers.flatMap((by) => sizes.map((size) => ({ by, note: by.sign({ origin: trail, size, root }) })))
    const answers = askGo(notes.map(({ by, note }) => ({ op: 'open', note, keys: [by.verifierKey] })))
    expect(answers).toEqual(
      notes.map(({ by, note }) => ({
        text: note.slice(0, note.indexOf('\n\n') + 1),
        keys: [by.verifierKey.split('+').slice(0, 2).join('+')],
      })),
    )
  })

  test('of Go open here, with the verifier key as Go writes it', () => {
    const keys = askGo(['countersign', 'example.com/log', 'ключ'].map((name) => ({ op: 'newkey', name })))
    const text = `${trail}\n41\n${root.toString('base64')}\n`
    const notes = askGo(keys.map((pair) => ({ op: 'sign', text, key: pair.signer })))
    for (const [index, { key = '' }] of keys.entries()) {
      expect(openCheckpoint(notes[index]?.note ?? '', [keyOf(key)])).toMatchObject({
        ok: true,
        checkpoint: { origin: trail, size: 41, root },
        signedBy: { text: key },
      })
    }
  })

  test('are refused by both whatever byte is changed, and here also where base64 has bits to spare', () => {
    const changed = fc.sample(
      fc.tuple(fc.nat(Buffer.byteLength(note) - 1), fc.integer({ min: 1, max: 255 })).map(([at, mask]) => {
        const bytes = Buffer.from(note)
        bytes[at] = (bytes[at] ?? 0) ^ mask
        return bytes.toString()
      }),
      { numRuns: 1000, seed: 1 },
    )
    const theirs = askGo(changed.map((text) => ({ op: 'open', note: text, keys: [signer.verifierKey] })))
    const ours = changed.map((text) => openCheckpoint(text, [keyOf(signer.verifierKey)]).ok)
    expect(ours).not.toContain(true)
    const opened = changed.filter((_, at) => theirs[at]?.error === undefined)
    expect(opened.map(signatureOf)).toEqual(opened.map(() => signatureOf(note)))
  })

  test('are refused by both, or by neither, in what the form allows and what not', () => {
    const [text = '', line = ''] = note.split('\n\n')
    const second = other.sign({ origin: trail, size: 41, root }).split('\n\n')[1] ?? ''
    const wrong = other.sign({ origin: trail, size: 42, root }).split('\n\n')[1] ?? ''
    const forms = [
      ...[note, `${text}\n\n${line}${second}`, `${text}\n\n${second}${line}`, `${text}\n\n${line}${line}`],
      ...[`${text}\n\n${second}`, `${text}\n\n${wrong}`, `${text}\n\n${line}${wrong}`, `${text}\n\n${wrong}${line}`],
      ...[`${text}\n${line}`, `${text}\n\n\n${line}`, `${text}\n\n${line}\n`, `${text}\n\n`, '', '\n\n', '\n\n\n'],
      ...[`${text}\n\n${line}x\n`, `${text}\n\n${line.replace('—', '–')}`, `${text}\n\n${line.replace(/\n$/, '')}`],
      ...[`${text}\n\n${line}— witness/ω AAAAAAUG\n`, `${text}\n\n${line}— a+b AAAAAAUG\n`],
      ...[`${text}\n\n${line}— a\u3000b AAAAAAUG\n`, `${text}\n\n${line}— ab AAAAAA==\n`, `${text}\n\n${line}— ab *\n`],
      ...['\u0000', '\t', '\r', '\u001f', '\u007f', '\u0085', ' '].map((c) => note.replace('web', `w${c}b`)),
      note.replace('countersign ', 'countersign  '),
    ]
    for (const keys of [[signer], [signer, other]].map((by) => by.map(({ verifierKey }) => verifierKey))) {
      const theirs = askGo(forms.map((form) => ({ op: 'open', note: form, keys })))
      const ours = forms.map((form) => openCheckpoint(form, keys.map(keyOf)).ok)
      expect(forms.map((form, index) => [form, ours[index]])).toEqual(
        forms.map((form, index) => [form, theirs[index]?.error === undefined]),
      )
    }
  })
})

describeWith('go', 'Merkle trees', () => {
  const sizes = [...Array(71).keys(), 127, 128, 129, 255, 256, 257, 999, 1000, 1023, 1024, 1025]

  test('have the roots that Go gives them', () => {
    const records = hashes(1025)
    const tree = MerkleTree.empty()
    const ours = new Map([[0, hex(tree.root())]])
    for (const record of records) {
      tree.append(record)
      ours.set(tree.size, hex(tree.root()))
    }
    const { roots } = ask({ op: 'roots', hashes: records, sizes })
    expect(sizes.map((size) => ours.get(size))).toEqual(roots)
  })

  test('have the proofs that Go makes: for every record of small ones, and at the edges of large ones', () => {
    const records = hashes(1025)
    const places = sizes.flatMap((size) => indexesOf(size).map((index) => ({ index, size })))
    const { paths } = ask({ op: 'proofs', hashes: records, places })
    for (const [at, { index, size }] of places.entries()) {
      expect([index, size, proofIn(records.slice(0, size), index).path.map(hex)]).toEqual([
        index,
        size,
        paths?.[at] ?? [],
      ])
    }
  })

  test('of any records have proofs that Go checks, and that lead to the root of Go', () => {
    const tree = fc.tuple(fc.integer({ min: 1, max: 600 }), fc.nat(), fc.string())
    const cases = fc.sample(tree, { numRuns: 60, seed: 2 }).map(([size, at, seed]) => {
      const [records, index] = [hashes(size, seed), at % size]
      return { records, index, size, record: records[index] as string, ...proofIn(records, index) }
    })
    const roots = askGo(cases.map(({ records, size }) => ({ op: 'roots', hashes: records, sizes: [size] })))
    expect(cases.map(({ root }) => [hex(root)])).toEqual(roots.map((answer) => answer.roots))
    const checks = cases.map(({ record, index, size, root, path }) => {
      return { op: 'check', hash: record, index, size, root: hex(root), path: path.map(hex) }
    })
    expect(askGo(checks)).toEqual(checks.map(() => ({})))
  })

  test('have proofs that are refused here exactly where Go refuses them', () => {
    const records = hashes(37)
    const { path, root } = proofIn(records, 20)
    const claims = [...Array(39).keys()].flatMap((size) =>
      [...Array(39).keys()].flatMap((index) => [
        { index, size, path },
        { index, size, path: path.slice(1) },
        { index, size, path: [...path, root] },
      ]),
    )
    const theirs = askGo(
      claims.map((claim) => ({
        ...{ op: 'check', hash: records[20], root: hex(root) },
        ...{ ...claim, path: claim.path.map(hex) },
      })),
    )
    const ours = claims.map(({ index, size, path: steps }) => {
      return rootOfInclusion(records[20] as string, index, size, steps)?.equals(root) === true
    })
    expect(ours).toEqual(theirs.map(({ error }) => error === undefined))
    // The size is what the checkpoint says: a path alone fits several.
    expect(new Set(claims.filter((_, at) => ours[at]).map(({ index }) => index))).toEqual(new Set([20]))
  })

  function indexesOf(size: number): readonly number[] {
    if (size <= 70) return [...Array(size).keys()]
    return [0, 1, size >> 1, (size >> 1) + 1, size - 2, size - 1]
  }

  function proofIn(records: readonly string[], index: number): ReturnType<LeafPath['prove']> {
    const leaf = new LeafPath(index)
    for (const record of records) leaf.append(record)
    return leaf.prove()
  }
})

describeWith('go', 'the Go program of docs/checkpoints.md', () => {
  const source = readFileSync(join(import.meta.dirname, 'go/check-proof/main.go'), 'utf8')

  function checked(proof: string, keys = `# trusted\n${signer.verifierKey}\n`): { status: number | null; out: string } {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-go-'))
    try {
      const files = Object.entries({ proof, keys }).map(([name, text]) => {
        writeFileSync(join(folder, name), text)
        return join(folder, name)
      })
      const { status, stdout } = spawnSync(goProgram('check-proof'), files, { encoding: 'utf8' })
      return { status, out: stdout }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  async function proofs(): Promise<readonly InclusionProof[]> {
    using data = new TestData()
    await data.archive(signedTrail({ trail }, [...decisions(6), checkpointHere, ...decisions(3, 200), checkpointHere]))
    const folder = await data.open()
    const provings = await Promise.all([102, 201].map((number) => prove(folder, idOf(number), [])))
    folder.close()
    return provings.flat().flatMap(({ outcome }) => (outcome.kind === 'proved' ? [outcome.proof] : []))
  }

  test('is the one that is tried here', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/checkpoints.md'), 'utf8')
    expect(page).toContain(`\`\`\`go\n${source}\`\`\``)
  })

  test('finds what we proved proven', async () => {
    const all = await proofs()
    expect(all).toHaveLength(2)
    expect(checked(all.map(formatProof).join(''))).toEqual({
      status: 0,
      out: all.map(({ line }) => `proven: ${line}\n`).join(''),
    })
  })

  test('refuses another key, another record, another place and another root', async () => {
    const [first, second] = (await proofs()) as [InclusionProof, InclusionProof]
    expect(checked(formatProof(first), other.verifierKey)).toMatchObject({ status: 1 })
    const forged: readonly Partial<InclusionProof>[] = [
      { line: second.line },
      { line: first.line.replace('/orders/2', '/orders/3') },
      { index: first.index + 1 },
      { path: second.path },
      { note: second.note },
    ]
    for (const part of forged) {
      expect(checked(formatProof({ ...first, ...part }))).toEqual({
        status: 1,
        out: expect.stringMatching(/^NOT PROVEN: /),
      })
    }
  })
})
