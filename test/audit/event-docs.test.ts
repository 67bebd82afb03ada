import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { documentedRecords } from '../cases/documented-records.ts'
import { expectValidRecord, knownTypes, schemaPaths } from '../contract/event-schema.ts'
import { codeIn, section, tableRows } from '../markdown.ts'

const page = fileURLToPath(new URL('../../docs/events.md', import.meta.url))
const known = readFileSync(new URL('../cases/known-record.json', import.meta.url), 'utf8')

const hasPython = spawnSync('python3', ['--version']).status === 0
const testWithPython = hasPython || process.env['CI'] === 'true' ? test : test.skip

function blocksOf(heading: string, language: string): readonly string[] {
  const blocks = section(page, heading).matchAll(/^```(\w*)\n([^]*?)^```$/gm)
  return [...blocks].filter((block) => block[1] === language).map((block) => block[2] ?? '')
}

describe.each(['Envelope', ...knownTypes])('the table of %s in docs/events.md', (heading) => {
  const documented = tableRows(section(page, heading)).map(([first = '']) => codeIn(first)[0])

  test('names each member that the schema has, once, and no other', () => {
    expect([...documented].sort()).toEqual([...schemaPaths(heading)].sort())
  })
})

describe('docs/events.md', () => {
  test.each(knownTypes)('shows the record of %s that the code makes', (type) => {
    const line = documentedRecords().find((record) => (JSON.parse(record) as { type: string }).type === type) ?? ''
    const [example = ''] = blocksOf(type, 'json')
    expect(example.trimEnd().split('\n')).toEqual(JSON.stringify(expectValidRecord(line), null, 2).split('\n'))
  })

  test('shows the known record below the rule of the hash', () => {
    expect(blocksOf('The hash', '')).toEqual([known])
  })

  testWithPython('checks the known record, and a trail, with the Python that it shows', () => {
    const [program = ''] = blocksOf('The hash', 'python')
    const check = (input: string): string => spawnSync('python3', ['-c', program], { input, encoding: 'utf8' }).stdout
    const trail = documentedRecords()
    expect(check(known)).toBe('0000000000000001 whole\n')
    expect(check(`${trail.join('\n')}\n`)).toMatch(/^(?:\d{16} whole\n){5}$/)
    expect(check(`${trail.join('\n').replace('"allow"', '"deny"')}\n`)).toMatch(/3 BROKEN\n/)
    expect(check(`${trail.filter((_, index) => index !== 1).join('\n')}\n`)).toMatch(/3 BROKEN\n/)
  })
})
