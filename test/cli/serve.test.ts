import { describe, expect, test } from '@jest/globals'
import { serveCommand, type ServeFlags, settingsOf } from '../../src/cli/commands/serve.ts'

async function flagsOf(...args: readonly string[]): Promise<ServeFlags> {
  let given: ServeFlags = {}
  const command = serveCommand(async (flags) => void (given = flags))
  await command.exitOverride().parseAsync(args, { from: 'user' })
  return given
}

describe('the flags of serve', () => {
  test('stand for settings', async () => {
    const flags = await flagsOf(
      ...['--policy', 'p', '--data', 'd', '--listen', 'l:1', '--admin', 'a:1', '--kafka', 'x:1,y:2', '--topic', 't'],
    )
    expect(settingsOf(flags)).toEqual({
      policy: { dir: 'p' },
      data: 'd',
      listen: 'l:1',
      admin: 'a:1',
      sinks: { kafka: { type: 'kafka', brokers: ['x:1', 'y:2'], topicCheck: 'warn', topic: 't' } },
    })
  })

  test('may have spaces between the brokers', async () => {
    const flags = await flagsOf('--kafka', ' a:1, b:2 ,c:3')
    expect(settingsOf(flags)).toEqual({
      sinks: { kafka: { type: 'kafka', brokers: ['a:1', 'b:2', 'c:3'], topicCheck: 'warn' } },
    })
  })

  test('that are not given change nothing', async () => {
    expect(settingsOf(await flagsOf())).toEqual({})
  })

  test('name a settings file, which is no setting itself', async () => {
    const flags = await flagsOf('--config', 'settings.yaml')
    expect(flags.config).toBe('settings.yaml')
    expect(settingsOf(flags)).toEqual({})
  })
})
