import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { policyTokens } from '../../src/decision/rule-set.ts'
import { policyFunctions } from '../../src/policy/patterns/functions.ts'
import { effects } from '../../src/policy/policy-model.ts'
import { policyProblems, policyWarnings } from '../../src/policy/problem.ts'

const page = readFileSync('docs/policy.md', 'utf8')

/** First column of the table whose heading begins so. */
function column(heading: string): string[] {
  const table = page.slice(page.indexOf(`\n| ${heading} |`)).split('\n\n')[0] ?? ''
  return [...table.matchAll(/^\| `(.+?)` \|/gm)].map(([, name]) => String(name).replaceAll('\\', ''))
}

describe('docs/policy.md lists', () => {
  test.each([
    ['token', Object.keys(policyTokens)],
    ['function', Object.keys(policyFunctions)],
    ['effect', Object.keys(effects)],
    ['code', Object.keys(policyProblems)],
    ['warning', Object.keys(policyWarnings)],
  ])('each %s that there is, and no other', (heading, expected) => {
    expect(column(heading)).toEqual(expected)
  })
})
