import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'

/** Real software that some tests drive. Everything else that a test needs comes with `npm ci`. */
export const realParts = ['python', 'envoy', 'kafka', 'go', 'openssl', 'namespaces', 'strace', 'faketime'] as const
export type RealPart = (typeof realParts)[number]

export interface MissingPart {
  readonly part: RealPart
  /** Why, in words that tell what to install. */
  readonly reason: string
}

/** Where `make` puts what the tests fetch. */
export const cacheFolder = join(import.meta.dirname, '../../.cache')

const python = join(cacheFolder, 'python/bin/python3')
const envoy = join(cacheFolder, 'python/bin/envoy')
const kafkaJars = join(cacheFolder, 'kafka/lib')
const oldestJava = 17
const debianRoot = join(cacheFolder, 'debian/root')
const howToGet = 'test/real/debian/install.sh brings it to .cache/debian where apt-get is'

/** Command that runs another one under strace: the machine's own, or Debian's in the cache with the libraries that it needs. */
export function straceCommand(): readonly [string, ...string[]] {
  const brought = join(debianRoot, 'usr/bin/strace')
  if (!existsSync(brought)) return ['strace']
  return ['env', `LD_LIBRARY_PATH=${globSync(join(debianRoot, '{usr/,}lib/*-linux-gnu*')).join(':')}`, brought]
}

/** A library that gives the programs that preload it another time of day, or undefined where there is none. */
export function faketimeLibrary(): string | undefined {
  const name = '*-linux-gnu*/faketime/libfaketimeMT.so.1'
  return globSync([join(debianRoot, 'usr/lib', name), join('/usr/lib', name)])[0]
}

/** A program of test/contract/go: `notes` or `check-proof`. */
export function goProgram(name: string): string {
  return join(cacheFolder, 'go', name)
}

const looks: Readonly<Record<RealPart, () => string | undefined>> = {
  python: () =>
    runs(python, ['-c', 'import envoy.service.auth.v3.external_auth_pb2'])
      ? undefined
      : 'no Python with xds-protos in .cache/python',
  envoy: () => (runs(envoy, ['--version']) ? undefined : 'no Envoy that runs in .cache/python/bin'),
  kafka: lookForKafka,
  go: () =>
    runs(goProgram('notes'), [])
      ? undefined
      : 'no programs of test/contract/go in .cache/go (make go builds them, with Go 1.24 or newer)',
  namespaces: () =>
    runs('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
      ? undefined
      : 'no right to mount a small disk (needs root)',
  strace: () => {
    const [command, ...before] = straceCommand()
    return runs(command, [...before, '-f', '--seccomp-bpf', '-o', '/dev/null', 'true'])
      ? undefined
      : `no strace that may trace (install strace; ${howToGet})`
  },
  faketime: () => {
    const library = faketimeLibrary()
    if (library === undefined) return `no libfaketime (install faketime; ${howToGet})`
    const env = [`LD_PRELOAD=${library}`, 'FAKETIME=-3650d']
    return runs('env', [...env, 'sh', '-c', 'test $(date +%Y) -lt 2020']) ? undefined : `${library} sets no clock`
  },
  openssl: () => (runs('openssl', ['version']) ? undefined : 'no openssl on the PATH'),
}

const found = new Map<RealPart, string | undefined>()

/** Why a part cannot be used on this machine; undefined when it can. Looks once per process. */
export function whyMissing(part: RealPart): string | undefined {
  if (!found.has(part)) found.set(part, looks[part]())
  return found.get(part)
}

/** The parts that this machine lacks. The last lines of `make test` say so. */
export function missingParts(): readonly MissingPart[] {
  return realParts.flatMap((part) => {
    const reason = whyMissing(part)
    return reason === undefined ? [] : [{ part, reason }]
  })
}

/**
 * `describe` for tests that drive a real part. Where the part is missing, the tests are skipped under a title that says
 * why, or, with `CI=true`, one test fails and says why.
 */
export function describeWith(part: RealPart, title: string, body: () => void): void {
  // Jest's globals: @jest/globals refuses to be loaded outside jest, and the report of `make test` loads this file too.
  const { describe, test } = globalThis as unknown as typeof import('@jest/globals')
  const reason = whyMissing(part)
  if (reason === undefined) {
    describe(title, body)
  } else if (process.env['CI'] === 'true') {
    describe(title, () => {
      test(`has ${part} to run with`, () => {
        throw new Error(`${part} is missing: ${reason}. With CI=true that is a failure, not a skip.`)
      })
    })
  } else {
    describe.skip(`${title} (skipped: ${reason})`, body)
  }
}

function lookForKafka(): string | undefined {
  const answer = spawnSync('java', ['-version'], { encoding: 'utf8' })
  if (answer.error !== undefined) return `no java on the PATH (Kafka needs Java ${String(oldestJava)})`
  const major = Number(/version "(\d+)/.exec(answer.stderr)?.[1] ?? 0)
  if (major < oldestJava) return `java is version ${String(major)}, Kafka needs ${String(oldestJava)}`
  if (!existsSync(join(cacheFolder, 'kafka/installed')) || !existsSync(kafkaJars)) {
    return 'no jars of Kafka in .cache/kafka (test/real/kafka/install.sh fetches them with Maven)'
  }
  return undefined
}

function runs(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 20_000 }).status === 0
}
