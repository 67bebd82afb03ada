import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { pathClasses, pathProblem } from '../../src/check/suspicious-path.ts'
import { writeCheckResponse } from '../../src/check/write-response.ts'
import { ordersRequest } from '../cases/access-requests.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import { codeIn, section, tableRows } from '../markdown.ts'

const page = join(import.meta.dirname, '../../docs/checks.md')

test('docs/checks.md names each class of suspicious paths, and no other', () => {
  const documented = tableRows(section(page, 'Suspicious paths')).map(([name = '']) => codeIn(name)[0])
  expect(documented).toEqual(Object.keys(pathClasses))
})

test.each(
  tableRows(section(page, 'Suspicious paths')).map(([name = '', , examples = '']) => {
    const [refused = '', fine = ''] = examples.split('; not ')
    return [codeIn(name)[0] ?? '', codeIn(refused), codeIn(fine)] as const
  }),
)('docs/checks.md shows paths of the class %s that are refused: %j, and not: %j', (name, refused, fine) => {
  for (const path of refused) expect(pathProblem(path, new Set())).toContain(`(${name})`)
  for (const path of fine) expect(pathProblem(path, new Set())).toBeUndefined()
  expect(refused.length).toBeGreaterThan(0)
})

test('docs/checks.md names each key of the dynamic metadata, and no other', () => {
  const documented = tableRows(section(page, 'Dynamic metadata')).map(([key = '']) => codeIn(key)[0])
  const decided = { effect: 'allow', reason: 'ALLOWED_BY_RULE', rule: readRule, roles: [], policyVersion } as const
  const { dynamic_metadata } = writeCheckResponse({ ...decided, decisionId: '01', durationUs: 1 }, ordersRequest)
  expect([...documented].sort()).toEqual(Object.keys(dynamic_metadata?.fields ?? {}).sort())
})
