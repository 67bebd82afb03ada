import { afterAll, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const fresh = mkdtempSync(join(tmpdir(), 'countersign-wire-'))
afterAll(() => {
  rmSync(fresh, { recursive: true })
})

test('src/wire is what proto/generate.sh makes of proto/', () => {
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  execFileSync('bash', [join(root, 'proto/generate.sh'), fresh], { env: { ...process.env, PATH: path } })
  expect(filesIn(join(root, 'src/wire'))).toEqual(filesIn(fresh))
})

test('src/wire holds types only', () => {
  const statements = Object.values(filesIn(join(root, 'src/wire'))).flatMap((text) => text.match(/^\w+ \w+/gm) ?? [])
  expect(new Set(statements)).toEqual(new Set(['import type', 'export interface', 'export type']))
})

function filesIn(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return Object.fromEntries(files.toSorted().map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}
