import { afterEach, describe, expect, test } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeWith } from '../real/parts.ts'
import { type Breakage, breakProject, type BrokenProject } from './broken-sources.ts'
import { figure, isLong } from './form.ts'

/** A guard of the code, and the test that stands for it. */
interface Guard {
  readonly breakages: readonly Breakage[]
  readonly file: string
  /** Title of the test, with those of its groups before it. */
  readonly title: string
}

const lane = 'src/sinks/kafka/lane.ts'

const withoutSync: Guard = {
  breakages: [{ file: 'src/spool/file/database.ts', from: 'synchronous = FULL', to: 'synchronous = NORMAL' }],
  file: 'test/fault/crash-model/crash-model.test.ts',
  title: 'loses no record that a caller was told of, continues no trail, and is not taken for damage',
}

/** What is removed from a copy of the project → the test that must turn red. */
const guards: Readonly<Record<string, Guard>> = {
  'the base-offset check': {
    breakages: [{ file: lane, from: 'if (offset < lane.end) {', to: 'if (offset < 0n) {' }],
    file: 'test/sinks/kafka/lane.test.ts',
    title: 'no acknowledged record is lost and none changes places, whatever goes wrong in between',
  },
  'the lane rule (one produce in flight)': {
    breakages: [
      {
        file: lane,
        from: 'for (const messages of toMessages(records, this.#options.replica)) await this.#produce(messages, lane)',
        to: 'await Promise.all([...toMessages(records, this.#options.replica)].map((batch) => this.#produce(batch, lane)))',
      },
    ],
    file: 'test/sinks/kafka/lane.test.ts',
    title: 'a lane in good times has one produce in flight, however many a delivery needs',
  },
  // Checked between the records of a block, and between blocks.
  'the previous-hash check': {
    breakages: [
      {
        file: 'src/readers/verify/open-run.ts',
        from: '&& prevHash === last.hash &&',
        to: '&& prevHash !== undefined &&',
      },
      {
        file: 'src/readers/verify/trail-check.ts',
        from: 'if (prevHash !== this.#tip.hash) this.roots.unlink(',
        to: 'if (prevHash === undefined) this.roots.unlink(',
      },
    ],
    file: 'test/readers/verify/verify-folder.test.ts',
    title:
      'damage is found and named by file and line a rewritten rest of the trail, chained again, by its first record',
  },
}

let project: BrokenProject | undefined

afterEach(() => {
  project?.remove()
  project = undefined
})

describe('a test turns red without', () => {
  test.each(Object.entries(guards))('%s', turnsRed, 300_000)
})

if (isLong) {
  describeWith('strace', 'a test turns red without', () => {
    describeWith('namespaces', 'what costs many crashes to miss:', () => {
      test('synchronous=FULL', () => turnsRed('synchronous=FULL', withoutSync), 900_000)
    })
  })
}

async function turnsRed(name: string, { breakages, file, title }: Guard): Promise<void> {
  project = breakProject()
  expect(await runTest(project, file, title)).toBe('passed')
  project.remove()
  project = breakProject(...breakages)
  expect(await runTest(project, file, title)).toBe('failed')
  figure('broken on purpose', `without ${name}`, `red: ${file} › ${title}`, 'a test turns red')
}

interface JestResults {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/** Runs one test of a project in its short form; returns how it ended. */
async function runTest({ folder }: BrokenProject, file: string, title: string): Promise<string> {
  const results = join(folder, 'results.json')
  const escaped = title.replaceAll(/[^\w ]/g, '.')
  const args = ['--runTestsByPath', file, '-t', escaped, '--json', `--outputFile=${results}`]
  const jest = spawn(process.execPath, [join(folder, 'node_modules/jest/bin/jest.js'), ...args], {
    cwd: folder,
    stdio: 'ignore',
    env: {
      ...process.env,
      FAULT_LONG: '',
      NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
    },
  })
  await once(jest, 'exit')
  const { testResults } = JSON.parse(readFileSync(results, 'utf8')) as JestResults
  const found = testResults.flatMap(({ assertionResults }) => assertionResults)
  const ran = found.filter(({ status, fullName }) => status !== 'pending' && fullName.endsWith(title))
  return ran.length === 1 ? (ran[0]?.status ?? '') : `${ran.length} tests have this title`
}
