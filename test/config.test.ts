import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { settingsOf } from '../src/cli/commands/serve.ts'
import { describeSettings, readSettings, type Settings, settingsDigest } from '../src/config.ts'
import { CountersignError } from '../src/errors.ts'
import type { RawSettings } from '../src/settings/sources.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-config-'))
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Given {
  readonly yaml?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly flags?: RawSettings
}

function read({ yaml, environment = {}, flags = {} }: Given): Settings {
  if (yaml === undefined) return readSettings({ environment, flags })
  const file = join(folder, 'settings.yaml')
  writeFileSync(file, yaml)
  return readSettings({ file, environment, flags })
}

/** The lines of the refusal. */
function refused(given: Given): readonly string[] {
  try {
    read(given)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(CountersignError)
    expect((thrown as CountersignError).code).toBe('CONFIG_INVALID')
    return (thrown as CountersignError).message.split('\n')
  }
  throw new Error('the settings were accepted')
}

const kafka = { type: 'kafka', brokers: ['kafka-1:9092'] }
const login = { mechanism: 'plain', username: 'countersign', password: 'hunter2' }

describe('which source wins', () => {
  const yaml = 'audit: { deadlineMs: 300, mode: best-effort }\ndata: /from/file\nlisten: 127.0.0.1:1'
  const environment = { COUNTERSIGN_AUDIT_DEADLINE_MS: '400', COUNTERSIGN_DATA: '/from/environment' }

  test('a file goes over the defaults, member by member', () => {
    expect(read({ yaml: 'audit: { mode: best-effort }' }).audit).toEqual({
      mode: 'best-effort',
      require: 'disk',
      deadlineMs: 120,
    })
  })

  test('the environment goes over the file, flags go over both', () => {
    const settings = read({ yaml, environment, flags: { data: '/from/flag' } })
    expect(settings.audit).toEqual({ mode: 'best-effort', require: 'disk', deadlineMs: 400 })
    expect(settings.data).toBe('/from/flag')
    expect(settings.listen.text).toBe('127.0.0.1:1')
  })

  test('a list is replaced, not added to', () => {
    const environment = { COUNTERSIGN_IDENTITY_TRUST_DOMAINS: 'b.example,c.example' }
    const settings = read({ yaml: 'identity: { trustDomains: [a.example] }', environment })
    expect(settings.identity.trustDomains).toEqual(['b.example', 'c.example'])
  })

  test('an empty file changes nothing', () => {
    expect(read({ yaml: '# nothing\n' })).toEqual(read({}))
  })
})

describe('the environment', () => {
  test('names every setting that has no name of the user’s own in it', () => {
    const names = describeSettings().flatMap(({ environment }) => environment ?? [])
    expect(names).toContain('COUNTERSIGN_CONNECTIONS_MAX_SESSION_MEMORY_MB')
    expect(new Set(names).size).toBe(names.length)
  })

  test('reads numbers, truth values, lists and texts by the kind of the setting', () => {
    const environment = {
      COUNTERSIGN_INSECURE: 'true',
      COUNTERSIGN_REPLICA: '17',
      COUNTERSIGN_DATA: 'true',
      COUNTERSIGN_POLICY_DIR: '0012',
      COUNTERSIGN_SHUTDOWN_GRACE_MS: '17',
      COUNTERSIGN_PATHS_ALLOW: 'semicolon, double-slash',
    }
    const settings = read({ environment })
    expect(settings).toMatchObject({ insecure: true, replica: '17', data: 'true', policy: { dir: '0012' } })
    expect(settings.shutdown.graceMs).toBe(17)
    expect(settings.paths.allow).toEqual(['semicolon', 'double-slash'])
  })

  test('reads whole mappings as YAML, and a more exact variable over them', () => {
    const environment = {
      COUNTERSIGN_TLS_KEY: 'other.pem',
      COUNTERSIGN_TLS: '{certificate: c.pem, key: k.pem, clientCa: ca.pem, callers: ["spiffe://a/**"]}',
      COUNTERSIGN_SINKS: `{archive: {type: archive}, central: ${JSON.stringify(kafka)}}`,
    }
    const settings = read({ environment })
    expect(settings.tls).toEqual({
      ...{ certificate: 'c.pem', key: 'other.pem', clientCa: 'ca.pem' },
      callers: ['spiffe://a/**'],
    })
    expect(Object.keys(settings.sinks)).toEqual(['archive', 'central'])
  })

  test('is passed over where Kubernetes speaks of a Service named countersign', () => {
    const environment = {
      COUNTERSIGN_SERVICE_HOST: '10.0.0.1',
      COUNTERSIGN_SERVICE_PORT: '9191',
      COUNTERSIGN_SERVICE_PORT_GRPC: '9191',
      COUNTERSIGN_PORT: 'tcp://10.0.0.1:9191',
      COUNTERSIGN_PORT_9191_TCP_ADDR: '10.0.0.1',
    }
    expect(read({ environment })).toEqual(read({}))
  })

  test('is refused where it names no setting, with all others that are wrong', () => {
    const environment = { COUNTERSIGN_AUDIT_MOD: 'strict', COUNTERSIGN_LISTN: 'x', COUNTERSIGN_AUDIT_MODE: 'lax' }
    expect(refused({ environment })).toEqual([
      'COUNTERSIGN_AUDIT_MOD: no setting has this name; docs/settings.md lists them',
      'COUNTERSIGN_LISTN: no setting has this name; docs/settings.md lists them',
      'audit.mode: found "lax"; allowed: strict, best-effort',
    ])
  })

  test('is refused where a mapping is no YAML', () => {
    const [problem, ...others] = refused({ environment: { COUNTERSIGN_SINKS: '{kafka: {sasl: {password: hunter2' } })
    expect(problem).toMatch(/^COUNTERSIGN_SINKS: not valid YAML: /)
    expect(problem).not.toContain('hunter2')
    expect(others).toEqual([])
  })
})

describe('--kafka', () => {
  const flags = settingsOf({ kafka: 'a:9092,b:9092' })
  const added = {
    ...{ type: 'kafka', format: 'cloudevents', brokers: ['a:9092', 'b:9092'], topic: 'countersign.audit.v1' },
    // A first look: a broker on its own is enough.
    ...{ compression: 'zstd', topicCheck: 'warn' },
  }
  const archive = { type: 'archive', format: 'cloudevents', sealAfterMs: 3_600_000 }

  test('adds a sink beside the default archive', () => {
    expect(read({ flags }).sinks).toEqual({ archive, kafka: added })
  })

  test('adds a sink beside those of a file, and no archive that the file does not have', () => {
    const yaml = stringify({ sinks: { central: kafka } })
    const { sinks } = read({ yaml, flags })
    expect(Object.keys(sinks)).toEqual(['central', 'kafka'])
    expect(sinks['kafka']).toEqual(added)
  })

  test('takes --topic', () => {
    const settings = read({ flags: settingsOf({ kafka: 'a:9092', topic: 'audit' }) })
    expect(settings.sinks['kafka']).toEqual({ ...added, brokers: ['a:9092'], topic: 'audit' })
  })

  test('is missed where --topic stands alone', () => {
    expect(refused({ flags: settingsOf({ topic: 'audit' }) })).toEqual([
      'sinks.kafka.brokers: is missing; allowed: a list',
    ])
  })
})

describe('a value that is not allowed is refused by name, with what was found and what is allowed', () => {
  const sasl = (login: unknown) => ({ sinks: { kafka: { ...kafka, sasl: login } } })
  test.each<[settings: unknown, problem: string]>([
    [{ audit: { mode: 'lax' } }, 'audit.mode: found "lax"; allowed: strict, best-effort'],
    [{ audit: { deadlineMs: 'x' } }, 'audit.deadlineMs: found "x"; allowed: a number'],
    [{ audit: { deadlineMs: 1.5 } }, 'audit.deadlineMs: found 1.5; allowed: a whole number'],
    [{ audit: { deadlineMs: 0 } }, 'audit.deadlineMs: found 0; allowed: at least 1'],
    [{ audit: { deadlineMs: 70000 } }, 'audit.deadlineMs: found 70000; allowed: at most 60000'],
    [{ audit: null }, 'audit: found null; allowed: a mapping'],
    [{ audit: [] }, 'audit: found a list; allowed: a mapping'],
    [{ connections: { maxAgeMs: 2 ** 31 } }, 'connections.maxAgeMs: found 2147483648; allowed: at most 2147483647'],
    [{ insecure: 'yes' }, 'insecure: found "yes"; allowed: true or false'],
    [{ data: '' }, 'data: found ""; allowed: at least 1 character'],
    [{ data: 5 }, 'data: found 5; allowed: a text'],
    [{ identity: { trustDomains: 'a' } }, 'identity.trustDomains: found "a"; allowed: a list'],
    [{ identity: { trustDomains: [] } }, 'identity.trustDomains: found a list; allowed: at least 1 in the list'],
    [{ listen: '127.0.0.1' }, 'listen: found "127.0.0.1"; allowed: the form is HOST:PORT, [IPv6]:PORT or unix:PATH'],
    [{ listen: '127.0.0.1:70000' }, 'listen: found "127.0.0.1:70000"; allowed: a port is a number from 0 to 65535'],
    [{ admin: 'unix:/a' }, 'admin: found "unix:/a"; allowed: the form is HOST:PORT or [IPv6]:PORT'],
    [
      { replica: '-x' },
      'replica: found "-x"; allowed: up to 127 letters, digits, ".", "_" and "-", a letter or digit first',
    ],
    [{ tls: { key: 'k' } }, 'tls.certificate: is missing; allowed: a text'],
    [
      { policy: { requireSignature: true } },
      'policy.signers: is missing; allowed: at least one key file where policy.requireSignature is true',
    ],
    [{ audit: { require: 'memory' } }, 'audit.require: found "memory"; allowed: disk, kafka'],
    [{ audit: { require: 'kafka' } }, 'audit.require: found "kafka"; allowed: "disk" where no sink is of type kafka'],
    [
      { audit: { require: 'kafka', mode: 'best-effort' }, sinks: { kafka } },
      'audit.require: found "kafka"; allowed: "disk" where audit.mode is best-effort: no answer waits for its record',
    ],
    [{ policy: { minPatternSegments: -1 } }, 'policy.minPatternSegments: found -1; allowed: at least 0'],
    [{ policy: { candidate: '' } }, 'policy.candidate: found ""; allowed: at least 1 character'],
    [{ sinks: {} }, 'sinks: found a mapping; allowed: at least one sink is needed: records have to go somewhere'],
    [{ sinks: { kafka: { type: 'kafak' } } }, 'sinks.kafka.type: found "kafak"; allowed: archive, kafka'],
    [{ sinks: { kafka: {} } }, 'sinks.kafka.type: is missing; allowed: archive, kafka'],
    [{ sinks: { KAFKA: kafka } }, 'sinks.KAFKA: found a mapping; allowed: up to 63 lower-case letters, digits and "-"'],
    [
      { sinks: { a: { type: 'archive' }, b: { type: 'archive' } } },
      'sinks: found a mapping; allowed: one sink of type archive at the most: two would write the same files',
    ],
    [
      { sinks: { checkpoints: kafka } },
      'sinks: found a mapping; allowed: "checkpoints" is the name of the checkpoint file’s own cursor',
    ],
    [
      { sinks: { kafka: { ...kafka, compression: 'snappy' } } },
      'sinks.kafka.compression: found "snappy"; allowed: none, gzip, zstd',
    ],
    [
      { sinks: { kafka: { ...kafka, topicCheck: true } } },
      'sinks.kafka.topicCheck: found true; allowed: enforce, warn',
    ],
    [{ sinks: { kafka: { ...kafka, tls: 5 } } }, 'sinks.kafka.tls: found 5; allowed: true or false, or a mapping'],
    [
      sasl({ ...login, mechanism: 'md5' }),
      'sinks.kafka.sasl.mechanism: found "md5"; allowed: plain, scram-sha-256, scram-sha-512',
    ],
    [
      sasl({ ...login, passwordFile: 'p' }),
      'sinks.kafka.sasl: found a mapping; allowed: either password or passwordFile',
    ],
    [
      sasl({ mechanism: 'plain', username: 'x' }),
      'sinks.kafka.sasl: found a mapping; allowed: either password or passwordFile',
    ],
  ])('%j', (settings, problem) => {
    expect(refused({ yaml: stringify(settings) })).toContain(problem)
  })

  test('all of them at once', () => {
    const yaml = 'listen: x\naudit: { mode: lax, deadline: 1 }\nnone: 1'
    expect(refused({ yaml, environment: { COUNTERSIGN_ADMIN: 'y' } })).toHaveLength(5)
  })
})

describe('a key that names no setting is refused', () => {
  test.each(['audit.modes', 'identity.trustDomain', 'sinks.archive.dir', 'constructor', '__proto__', 'hasOwnProperty'])(
    '%s',
    (name) => {
      const members = name.split('.')
      const yaml = members.map((member, depth) => `${'  '.repeat(depth)}${member}:`).join('\n') + ' x'
      const problems = refused({ yaml: name.startsWith('sinks') ? `${yaml}\n    type: archive` : yaml })
      expect(problems).toEqual([`${name}: no setting has this name; docs/settings.md lists them`])
    },
  )

  test('whatever it is called and holds', () => {
    const known = new Set(describeSettings().flatMap(({ name }) => name.split('.')[0] ?? []))
    fc.assert(
      fc.property(
        fc.string().filter((key) => !known.has(key)),
        fc.jsonValue(),
        (key, value) => {
          const flags = Object.fromEntries([[key, value]])
          expect(refused({ flags })[0]).toContain('no setting has this name')
        },
      ),
    )
  })
})

test('any value of any kind is taken or refused, and never ends in another error', () => {
  const names = describeSettings().flatMap(({ name }) => (name.includes('<') ? [] : name))
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.jsonValue(), (name, value) => {
      const flags = name.split('.').reduceRight<unknown>((below, key) => ({ [key]: below }), value) as RawSettings
      try {
        readSettings({ environment: {}, flags })
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(CountersignError)
        for (const line of (thrown as CountersignError).message.split('\n')) expect(line).toMatch(/^[a-zA-Z.0-9]+.*: /)
      }
    }),
  )
})

describe('a file that cannot be used', () => {
  test('is named where it is missing', () => {
    const file = join(folder, 'absent.yaml')
    expect(() => readSettings({ file, environment: {}, flags: {} })).toThrow(/absent\.yaml: .*ENOENT/)
  })

  test('is named with line and column where it is no YAML, without what stands there', () => {
    const problems = refused({ yaml: 'audit:\n  mode: strict\n password: hunter2: x\n' })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/settings\.yaml: not valid YAML: .* at line 3, column \d+$/)
    expect(problems[0]).not.toContain('hunter2')
  })

  test.each(['password: *hunter2', 'data: !hunter2 x: y: z'])('is refused without its content: %s', (yaml) => {
    expect(refused({ yaml }).join('\n')).not.toMatch(/found.*hunter2|: hunter2/)
  })

  test('is refused where it is a list', () => {
    expect(refused({ yaml: '- listen' })[0]).toMatch(/settings\.yaml: settings are a mapping of names to values$/)
  })
})

describe('a password', () => {
  test.each<[what: string, sinks: unknown]>([
    ['of a sink without brokers', { kafka: { type: 'kafka', sasl: login } }],
    ['of a sink of no type', { kafka: { sasl: login } }],
    ['beside a password file', { kafka: { ...kafka, sasl: { ...login, passwordFile: 'x' } } }],
    ['that is a number', { kafka: { ...kafka, sasl: { ...login, password: 4711 } } }],
    ['in place of the login', { kafka: { ...kafka, sasl: 'hunter2' } }],
    ['in place of the user', { kafka: { ...kafka, sasl: { ...login, username: ['hunter2', 4711] } } }],
    ['beside two archives', { a: { type: 'archive' }, b: { type: 'archive' }, c: { ...kafka, sasl: login } }],
    ['in a text in place of the sinks', '{"password": "hunter2"}'],
  ])('stands in no refusal: %s', (_, sinks) => {
    expect(refused({ yaml: stringify({ sinks }) }).join('\n')).not.toMatch(/hunter2|4711/)
  })

  test('does not change the digest, and everything else does', () => {
    const digestOf = (sasl: object) => settingsDigest(read({ flags: { sinks: { kafka: { ...kafka, sasl } } } }))
    expect(digestOf({ ...login, password: 'other' })).toBe(digestOf(login))
    expect(digestOf({ ...login, username: 'other' })).not.toBe(digestOf(login))
    expect(digestOf(login)).toMatch(/^sha256:[0-9a-f]{64}$/)
  })
})

test('settings cannot be changed, however deep', () => {
  const settings = read({ flags: { sinks: { kafka } } })
  const frozen = (value: unknown): boolean =>
    value === null || typeof value !== 'object' || (Object.isFrozen(value) && Object.values(value).every(frozen))
  expect(frozen(settings)).toBe(true)
})

test('a broker has a host and a port, and a topic a name that Kafka allows', () => {
  const flags = { sinks: { k: { type: 'kafka', brokers: ['kafka-1:9092', 'nope', 'a:0'], topic: 'a b' } } }
  expect(refused({ flags })).toEqual([
    'sinks.k.brokers.1: found "nope"; allowed: the form is HOST:PORT or [IPv6]:PORT',
    'sinks.k.brokers.2: found "a:0"; allowed: the form is HOST:PORT or [IPv6]:PORT',
    'sinks.k.topic: found "a b"; allowed: up to 249 letters, digits, ".", "_" and "-"',
  ])
})
