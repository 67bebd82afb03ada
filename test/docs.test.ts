import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { reasons, type DenyReason } from '../src/decision/decision.ts'
import { errorCodes } from '../src/errors.ts'
import { policyProblems } from '../src/policy/problem.ts'
import { codeIn, section, tableRows } from './markdown.ts'

const root = resolve(import.meta.dirname, '..')

/** A list in the code, and the page whose tables name each of its members, in backticks, in the first column. */
interface Pair {
  readonly what: string
  readonly code: readonly string[]
  readonly page: string
  readonly heading: string
}

const pairs: readonly Pair[] = [
  { what: 'reasons', code: Object.keys(reasons), page: 'docs/reasons.md', heading: 'The list' },
  { what: 'error codes', code: Object.keys(errorCodes), page: 'docs/errors.md', heading: 'The list' },
  { what: 'policy problems', code: Object.keys(policyProblems), page: 'docs/policy.md', heading: 'Problems' },
]

describe.each(pairs)('$page', ({ what, code, page, heading }) => {
  const documented = (): readonly string[] =>
    tableRows(section(join(root, page), heading)).flatMap(([first = '']) => codeIn(first))

  test(`names all ${what} of the code`, () => {
    expect(code.filter((name) => !documented().includes(name))).toEqual([])
  })

  test(`names no ${what} that the code does not have`, () => {
    expect(documented().filter((name) => !code.includes(name))).toEqual([])
  })

  test(`names none of the ${what} twice`, () => {
    expect(documented().filter((name, index, all) => all.indexOf(name) !== index)).toEqual([])
  })
})
