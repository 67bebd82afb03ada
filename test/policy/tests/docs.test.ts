import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { Pace } from '../../../src/policy/pace.ts'
import { parseRules } from '../../../src/policy/parse/parse-rules.ts'
import { parseTests, testLimits } from '../../../src/policy/parse/parse-tests.ts'

const page = readFileSync('docs/policy-tests.md', 'utf8')

test('the example of docs/policy-tests.md is two tests', async () => {
  const text = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? ''
  const csv = 'p, orders-reader, /orders/{id}, GET, allow'
  const { rows } = await parseRules({ name: 'policy.csv', text: csv, sha256: '' }, new Pace())
  const file = { name: 'tests.yaml', text, sha256: '' }
  const { cases, problems } = await parseTests(file, { model: { tokens: ['sub', 'act', 'obj'] }, rows }, new Pace())
  expect(problems).toEqual([])
  expect(cases).toMatchObject([
    { expect: 'allow', rule: { rule: { text: csv } } },
    { expect: 'deny', rule: null },
  ])
})

test('docs/policy-tests.md states the limits', () => {
  const stated = [...page.matchAll(/^\| .+ \| ([\d,]+)(?: characters)? \|$/gm)].map(([, count = '']) => count)
  const { text, entries, entry, commented, depth } = testLimits
  expect(stated).toEqual([text, entries, entry, commented, depth].map((limit) => limit.toLocaleString('en')))
})
