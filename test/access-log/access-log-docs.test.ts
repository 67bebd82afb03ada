import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { codeIn, section, tableRows } from '../markdown.ts'
import { httpAccess, servedEntry } from './entries.ts'

const page = join(import.meta.dirname, '../../docs/access-log.md')
const proto = readFileSync(join(import.meta.dirname, '../../proto/envoy/data/accesslog/v3/accesslog.proto'), 'utf8')

const types = [...(/^enum AccessLogType \{([^}]*)\}/m.exec(proto)?.[1] ?? '').matchAll(/(\w+) = \d+;/g)].map(
  ([, name = '']) => name,
)

test('docs/access-log.md puts each type of entry into the phase that the code gives it', () => {
  const documented = tableRows(section(page, 'Phases')).flatMap(([phase = '', names = '']) =>
    codeIn(names).map((name) => [name, codeIn(phase)[0]]),
  )
  const given = types.map((name) => [name, httpAccess(servedEntry({ access_log_type: name as 'NotSet' })).phase])
  expect(given.length).toBeGreaterThan(10)
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(given))
  expect(documented).toHaveLength(given.length)
})
