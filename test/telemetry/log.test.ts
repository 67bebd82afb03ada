import { spawnSync } from 'node:child_process'
import { expect, test } from '@jest/globals'

const log = new URL('../../src/telemetry/log.ts', import.meta.url).href

/** What a process that says these things writes. */
function said(code: string): { stdout: string; stderr: string } {
  const script = `const { openLog } = await import(${JSON.stringify(log)}); ${code}`
  const { NODE_OPTIONS: _, ...env } = process.env
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env })
}

test('the log is one JSON object a line on standard error, with level, time, replica and fields', () => {
  const { stdout, stderr } = said(
    `const { log, close } = openLog('info', 'web-0'); log('warn', 'two\\nlines', { sink: 'kafka' }); log('info', 'next'); await close(); process.exit(0)`,
  )
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(stdout).toBe('')
  expect(lines).toEqual([
    { level: 'warn', time: expect.stringMatching(/Z$/), replica: 'web-0', sink: 'kafka', msg: 'two\nlines' },
    { level: 'info', time: expect.stringMatching(/Z$/), replica: 'web-0', msg: 'next' },
  ])
})

test('the log leaves out what is below its level', () => {
  expect(
    said(`const { log, close } = openLog('warn', 'web-0'); log('info', 'nothing'); await close(); process.exit(0)`)
      .stderr,
  ).toBe('')
})
