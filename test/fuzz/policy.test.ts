import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { policyProblems, policyWarnings, type PolicyProblem } from '../../src/policy/problem.ts'
import { modelText } from '../policy/policies.ts'
import { slowMs, type Answer, type Question } from './policy-worker.ts'
import { runs, seed, spoiled, timeoutMs } from './runs.ts'

type Files = Record<string, string>

/** Far more than any input may take: what takes longer hangs. */
const hangMs = 30_000

const read = (name: string) => readFileSync(`deploy/envoy/policy/${name}`, 'utf8')
const models = [
  read('model.conf'),
  modelText(),
  modelText({
    r: 'sub, dst, act',
    g: 'g = _, _, _',
    p: 'sub, dst, act',
    m: 'g(r.sub, p.sub, r.dst) && r.act == p.act',
  }),
  modelText({ p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }),
]
const matchers = [
  'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && (r.act == p.act || p.act == "*")',
  '(r.sub == "root" || spiffeMatch(r.sub, p.sub)) && keyMatch2(r.obj, p.obj) && (r.act in ["GET", "HEAD"])',
  '!(r.sub != p.sub) && regexMatch(r.obj, p.obj) && keyGet2(r.obj, "/a/:id", "id") == p.act',
]
const rules = [
  `${read('policy.csv')}\n${read('roles.csv')}`,
  'p, "reader", /orders/{id}, GET\r\n# comment\r\n\r\np, writer, "/a,(b)", "P""T"\ng, reader, writer\ng, writer, reader\n',
  'p, /(a,b), (c, d), e\np, 1, a, /x, GET, deny\ng, a, b, c\n',
]
const tests = [
  read('tests.yaml'),
  '- name: a\n  request: {sub: reader, obj: /orders/1, act: GET}\n  expect: allow\n  rule: p, reader, /orders/{id}, GET\n',
  '[{name: "x", request: &r {sub: a}, expect: deny}, {name: y, request: *r, expect: allow}]\n',
]

/** Structures that cost a careless parser its stack, or the square of their length. */
const repeated = fc.constantFrom(
  ...[
    '(',
    ')',
    '!',
    '((',
    '[',
    '{',
    '"',
    "'",
    '""',
    '"(',
    ' (',
    ' ( (',
    ',',
    '&&',
    '||',
    '? ',
    ':',
    '-',
    '~',
    '.',
    'a.',
  ],
  ...[
    'g(',
    'in ',
    ' in (',
    'r.sub == p.sub || ',
    '!(',
    'eval ',
    '$<0>',
    '1',
    '1e',
    '\\',
    '\\\n',
    '\\\n#',
    '#',
    ';',
    '\n',
  ],
  ...[
    '[matchers]\n',
    'g2 = _, _\n',
    'x = y\n',
    '= ',
    '\r',
    '\t',
    ' ',
    '\u0000',
    '\u202e',
    '😀',
    '\ud800',
    'é',
    '*',
    '**',
    '/',
  ],
  ...[
    '/{a}',
    '/:a',
    '(a|',
    '(a*)*',
    'p, a, /b, c\n',
    'g, a, b\n',
    'p,',
    '""",',
    '- ',
    '- - ',
    '? ',
    '&a ',
    '*a ',
    '!!str ',
  ],
  ...['- {name: ', '{a: ', '[[', '"\n', '|\n ', '%', '---\n', '<<: *a\n'],
)

/** A good text, spoiled: bytes flipped, cut off, put in and repeated; or with a structure repeated in it up to 16 KiB. */
function hostile(good: readonly string[]): fc.Arbitrary<string> {
  const text = fc.constantFrom(...good)
  const bytes = spoiled(text, (sound) => Buffer.from(sound)).map((spoilt) => spoilt.toString('utf8'))
  const structure = fc
    .tuple(text, fc.double({ min: 0, max: 1, noNaN: true }), repeated, fc.nat(16_384))
    .map(([sound, place, part, length]) => {
      const at = Math.floor(place * sound.length)
      return sound.slice(0, at) + part.repeat(Math.ceil(length / part.length)) + sound.slice(at)
    })
  const spliced = fc.tuple(text, text, fc.nat(2_000), fc.nat(2_000)).map(([one, other, from, to]) => {
    return one.slice(0, from) + other.slice(to)
  })
  return fc.oneof(
    { weight: 6, arbitrary: bytes },
    { weight: 3, arbitrary: structure },
    { weight: 1, arbitrary: spliced },
  )
}

let worker: Worker

beforeAll(async () => {
  worker = new Worker(new URL('./policy-worker.ts', import.meta.url))
  // Whatever is compiled at first is not the input's time.
  for (let left = 50; left > 0; left -= 1) await load(goodFiles)
})

afterAll(async () => {
  await worker.terminate()
})

const goodFiles: Files = { 'model.conf': models[0] ?? '', 'policy.csv': rules[0] ?? '', 'tests.yaml': tests[0] ?? '' }

async function load(files: Files): Promise<Answer> {
  worker.postMessage({ files, sound: goodFiles } satisfies Question)
  const answered = once(worker, 'message').then(([answer]) => answer as Answer)
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${String(hangMs)} ms`))
    }, hangMs)
  })
  try {
    return await Promise.race([answered, hangs])
  } finally {
    clearTimeout(timer)
  }
}

function misplaced({ file, line, column }: PolicyProblem, files: Files): boolean {
  if (file === '*.csv' || line === null) return column !== null
  const text = files[file]?.split('\n')[line - 1]
  return text === undefined || (column !== null && (column < 1 || column > [...text].length + 1))
}

let loaded = 0

async function holds(files: Files): Promise<void> {
  const { ok, unsafe, problems, warnings, ms, fault } = await load(files)
  if (ok) loaded += 1
  expect(fault).toBeNull()
  expect(unsafe).toBe(false)
  expect(ok).toBe(problems.length === 0)
  expect(ms).toBeLessThanOrEqual(slowMs)
  expect(problems.filter(({ code }) => !Object.hasOwn(policyProblems, code) || code === 'LOAD_FAILED')).toEqual([])
  expect(warnings.filter(({ code }) => !Object.hasOwn(policyWarnings, code))).toEqual([])
  expect([...problems, ...warnings].filter((found) => misplaced(found, files))).toEqual([])
}

describe(`the files of a policy, spoiled (${String(runs)} runs each, COUNTERSIGN_FUZZ_SEED=${String(seed)})`, () => {
  test.each<[string, fc.Arbitrary<Files>]>([
    ['rules', hostile(rules).map((text) => ({ ...goodFiles, 'policy.csv': text }))],
    ['models', hostile(models).map((text) => ({ ...goodFiles, 'model.conf': text }))],
    [
      'matchers',
      hostile(matchers).map((m) => ({
        'model.conf': modelText({ m }),
        'policy.csv': 'p, root, /a/:id, GET\np, a, /b, c',
      })),
    ],
    ['tests', hostile(tests).map((text) => ({ ...goodFiles, 'tests.yaml': text }))],
    [
      'folders',
      fc.tuple(hostile(models), hostile(rules), hostile(tests)).map(([model, csv, yaml]) => {
        return { 'model.conf': model, 'policy.csv': csv, 'tests.yaml': yaml }
      }),
    ],
  ])(
    '%s are refused with known codes and true places, or allow by their rules alone, and none takes long',
    async (title, files) => {
      loaded = 0
      await fc.assert(fc.asyncProperty(files, holds), { numRuns: runs, seed })
      // Spoiled so much that nothing is left of them, they would try nothing. A folder is whole only by chance.
      if (title !== 'folders') expect(loaded).toBeGreaterThan(0)
    },
    timeoutMs,
  )
})
