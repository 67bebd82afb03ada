import { isIP } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { Util } from 'casbin'
import fc from 'fast-check'
import { policyFunctions, type PolicyFunctionName } from '../../../src/policy/patterns/functions.ts'
import { matchSegments } from '../../../src/policy/patterns/segments.ts'
import {
  braceSamples,
  colonSamples,
  globSamples,
  ipSamples,
  keySamples,
  regexSamples,
  valuesPerPattern,
  type Sample,
} from './samples.ts'

/** Pairs of pattern and value; more with `COUNTERSIGN_FUZZ_RUNS=1000000 npx jest test/policy/patterns`. */
const pairs = Number(process.env['COUNTERSIGN_FUZZ_RUNS'] ?? 20_000)
const numRuns = Math.ceil(pairs / valuesPerPattern)
const timeoutMs = 60_000 + pairs * 10

/** Casbin's own functions; `keyGet2` asks for the name `a`. */
const casbin = {
  keyMatch: Util.keyMatchFunc,
  keyMatch2: Util.keyMatch2Func,
  keyMatch3: Util.keyMatch3Func,
  keyMatch4: Util.keyMatch4Func,
  keyMatch5: Util.keyMatch5Func,
  keyGet: Util.keyGetFunc,
  keyGet2: (value: string, pattern: string) => (Util.keyGet2Func(value, pattern, 'a') as string | undefined) ?? '',
  regexMatch: Util.regexMatchFunc,
  globMatch: Util.globMatch,
  ipMatch: (value: string, pattern: string) => {
    if (isIP(value) === 0 || value.includes('%')) return false
    return isIP(value) === isIP(pattern.split('/')[0] ?? '') && Util.ipMatchFunc(value, pattern)
  },
}

const made: Record<keyof typeof casbin, fc.Arbitrary<Sample>> = {
  keyMatch: keySamples,
  keyMatch2: colonSamples,
  keyMatch3: braceSamples,
  keyMatch4: braceSamples,
  keyMatch5: braceSamples,
  keyGet: keySamples,
  keyGet2: colonSamples,
  regexMatch: regexSamples,
  globMatch: globSamples,
  ipMatch: ipSamples,
}

const names = Object.keys(casbin) as (keyof typeof casbin)[]

/** What the function answers to each value, or nothing where the pattern is refused. */
function answers(
  name: PolicyFunctionName,
  { pattern, values }: Sample,
): readonly (readonly [string, boolean | string])[] {
  const { patternProblem, compile } = policyFunctions[name]
  if (patternProblem(pattern) !== undefined) return []
  const matches: (value: string, third?: string) => boolean | string = compile(pattern)
  return values.map((value) => [value, matches(value, 'a')])
}

/** Casbin drops the last group of such an address. */
const misread = /^::(?:[^:]+:){6}[^:]+$/

describe.each(names)('%s', (name) => {
  test(
    'answers as Casbin does wherever the pattern is accepted, and says what a value that matches begins with',
    () => {
      let matches = 0
      fc.assert(
        fc.property(made[name], (sample) => {
          const { pattern } = sample
          const prefix = policyFunctions[name].prefix(pattern)
          for (const [value, given] of answers(name, sample)) {
            if (misread.test(value) || misread.test(pattern.split('/')[0] ?? '')) continue
            if (given !== casbin[name](value, pattern)) throw new Error(JSON.stringify({ pattern, value, given }))
            if (given === false || given === '') continue
            matches += 1
            const begins = matchSegments(prefix, value.split('/'))
            if (!begins) throw new Error(JSON.stringify({ pattern, value, prefix }))
          }
        }),
        { numRuns },
      )
      // Otherwise the property would hold of a function that knows no match.
      expect(matches).toBeGreaterThan(pairs / 20)
    },
    timeoutMs,
  )
})
