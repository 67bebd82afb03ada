import { Helper, newModelFromString } from 'casbin'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Pace } from '../../../src/policy/pace.ts'
import { readingProblem } from '../../../src/policy/oracle/same-reading.ts'
import { parseRules } from '../../../src/policy/parse/parse-rules.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { build, modelText, snapshot } from '../policies.ts'

const model = modelText({ g: 'g = _, _\ng2 = _, _' })

/** What Casbin's own file reading makes of one line: type and values, or undefined where it passes over it. */
function casbinReads(line: string): string[] | undefined {
  const fresh = newModelFromString(model)
  Helper.loadPolicyLine(line, fresh)
  for (const section of ['p', 'g']) {
    for (const [type, { policy }] of fresh.model.get(section) ?? []) {
      if (policy[0] !== undefined) return [type, ...policy[0]]
    }
  }
  return undefined
}

const piece = fc.constantFrom(
  'p',
  'g',
  'g2',
  'alice',
  '/a',
  ',',
  ', ',
  ' ,',
  '(',
  ')',
  '(a,b)',
  '"x, y"',
  '"',
  ' ',
  '\t',
  '#',
  '{id}',
  '*',
  'é',
  '😀',
  '',
)
const line = fc
  .tuple(fc.constantFrom('p, ', 'g,', 'g2 , ', '  p,', ''), fc.array(piece, { maxLength: 12 }))
  .map(([start, pieces]) => start + pieces.join(''))

describe('the policy files', () => {
  test('are read as Casbin reads them, wherever they are accepted', async () => {
    await fc.assert(
      fc.asyncProperty(line, async (text) => {
        const { rows, problems } = await parseRules({ name: 'policy.csv', text, sha256: '' }, new Pace())
        const [row] = rows
        if (problems.length > 0 || row === undefined || !['p', 'g', 'g2'].includes(row.type)) return
        expect([row.type, ...row.values]).toEqual(casbinReads(text))
      }),
      { numRuns: 2_000 },
    )
  })

  test('are read by Casbin otherwise than they are checked where a definition goes on in a comment', async () => {
    // Casbin drops a definition that is continued into a comment at the end of the file.
    const roles = '[role_definition]\ng = _, _\ng2 = _, _ \\\n# the end'
    const files = { 'model.conf': modelText({ g: '' }) + roles, 'policy.csv': 'p, alice, /a, GET' }
    const checked = await checkPolicy(snapshot(files), new Pace())
    if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
    expect(readingProblem(checked.policy.model)).toBe('Casbin reads 5 definitions where 6 were checked')
  })

  test('can hold anything without a crash, and an accepted policy never allows without a rule', async () => {
    const token = fc.constantFrom(
      'r.sub',
      'p.sub',
      '==',
      '&&',
      '||',
      '!',
      '(',
      ')',
      'g(',
      'keyMatch2(',
      ',',
      '"x"',
      ' ',
      'in',
      '[',
      ']',
      '\\\n',
      '#',
      '=',
      '.',
      "'",
      '1',
      '?',
      ':',
    )
    const matcher = fc.array(token, { maxLength: 14 }).map((tokens) => tokens.join(' '))
    const csv = fc.array(line, { maxLength: 4 }).map((lines) => lines.join('\n'))
    await fc.assert(
      fc.asyncProperty(matcher, csv, async (m, text) => {
        const outcome = await build(modelText({ m }), text)
        expect(outcome.ok || outcome.problems.length > 0).toBe(true)
        if (!outcome.ok) return
        const evaluation = outcome.ruleSet.evaluate({ sub: 'x', act: 'x' })
        if (evaluation.effect === 'allow') expect(evaluation.rule.text).toMatch(/^p/)
      }),
      { numRuns: 1_000 },
    )
  })
})
