import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { parseVerifierKey } from '../../../src/audit/checkpoint.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { expectCheckpoints } from '../../../src/readers/verify/outside-checkpoints.ts'
import type { Problem } from '../../../src/readers/verify/problem.ts'
import { signer } from '../../cases/signing-key.ts'
import { replicaLines } from '../../fault/tampering/dump.ts'

const key = parseVerifierKey(signer.verifierKey)
const [checkpoint = ''] = replicaLines('web-0', 1, [40])
  .map(({ line }) => line)
  .filter((line) => line.includes('"type":"io.countersign.checkpoint.v1"'))
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'countersign-checkpoints-'))
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function expected(content: string | Buffer, expectations = new Expectations()): readonly Problem[] {
  writeFileSync(join(dir, 'outside.ndjson'), content)
  if (!key.ok) throw new Error(key.problem)
  return expectCheckpoints(join(dir, 'outside.ndjson'), [key.value], expectations)
}

test('lines are met whole and counted, wherever a file of many megabytes is cut; the last, not ended, is passed over', () => {
  const expectations = new Expectations()
  const count = Math.ceil((3 * 1024 * 1024) / checkpoint.length)
  const text = `${`${checkpoint}\n`.repeat(count)}no record\n${checkpoint}`
  expect(expected(text, expectations)).toEqual([expect.objectContaining({ kind: 'malformed', line: count + 1 })])
  expect(expectations.trails()).toHaveLength(1)
  expect(expectations.of(expectations.trails()[0] ?? '')).toHaveLength(2 * count)
})

test.each([
  ['is not UTF-8', Buffer.of(0xff, 0x0a)],
  ['has a line that is longer than a record can be', 'x'.repeat(8 * 1024 * 1024)],
])('a file that %s is refused', (problem, content) => {
  expect(() => expected(content)).toThrow(problem)
})
