import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '..')
const temp = mkdtempSync(join(tmpdir(), 'countersign-package-'))
const user = join(temp, 'user')
const policy = 'node_modules/countersign/deploy/envoy/policy'
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const started: ChildProcess[] = []

// npm and a server under way on a busy machine.
jest.setTimeout(180_000)

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

let packed: Packed

beforeAll(() => {
  packed = pack(copyOfTree())
  mkdirSync(user)
  run('npm', ['install', '--ignore-scripts', '--no-fund', '--no-audit', join(temp, packed.filename)])
})

afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(temp, { recursive: true, force: true })
})

describe('the package', () => {
  test('pins every dependency to one version', () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  test('holds what its user needs', () => {
    const needed = [
      ...['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'docs/settings.md', 'deploy/envoy/policy/model.conf'],
      ...['dist/cli/main.js', 'dist/audit/event.schema.json', 'proto/envoy/service/auth/v3/external_auth.proto'],
    ]
    const paths = packed.files.map(({ path }) => path)
    expect(needed.filter((path) => !paths.includes(path))).toEqual([])
  })

  test('holds neither sources nor tests', () => {
    const paths = packed.files.map(({ path }) => path)
    expect(paths.filter((path) => /\.ts$|\.map$|^(src|test|\.ci|\.cache)\//.test(path))).toEqual([])
  })

  test('says its version', () => {
    expect(run('npx', ['countersign', '--version']).trim()).toBe(manifest.version)
  })

  test('says how it is used', () => {
    const help = run('npx', ['countersign', '--help'])
    expect(['serve', 'query', 'verify', 'policy'].filter((command) => !help.includes(command))).toEqual([])
  })

  test('checks its own example policy', () => {
    run('npx', ['countersign', 'policy', 'check', policy])
  })

  test('serves: becomes ready, and stops on SIGTERM', async () => {
    const admin = `127.0.0.1:${await freePort()}`
    const server = serve(['--listen', `127.0.0.1:${await freePort()}`, '--admin', admin])
    await ready(admin, server, collect(server))
    server.kill('SIGTERM')
    expect(await ended(server)).toEqual({ code: 0, signal: null })
    expect(existsSync(join(user, 'data/archive'))).toBe(true)
  })
})

/** A copy to build in, so that the dist/ of the tree stays as it is. */
function copyOfTree(): string {
  const copy = join(temp, 'tree')
  mkdirSync(copy)
  const parts = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'CHANGELOG.md', 'LICENSE']
  for (const part of [...parts, 'src', 'proto', 'deploy', 'docs']) {
    cpSync(join(root, part), join(copy, part), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

function pack(tree: string): Packed {
  const json = run('npm', ['pack', '--json', '--pack-destination', temp], tree)
  const [only] = JSON.parse(json.slice(json.indexOf('[\n'))) as readonly Packed[]
  if (only === undefined) throw new Error(`npm pack said ${json}`)
  return only
}

function run(command: string, args: readonly string[], folder = user): string {
  return execFileSync(command, args, { cwd: folder, encoding: 'utf8', env: cleanEnvironment() })
}

/** A shell of its own: nothing of the test runner's Node.js options. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...environment } = process.env
  return environment
}

function serve(args: readonly string[]): ChildProcess {
  const server = spawn('node_modules/.bin/countersign', ['serve', '--policy', policy, '--data', 'data', ...args], {
    cwd: user,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(),
  })
  started.push(server)
  return server
}

function collect(child: ChildProcess): string[] {
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  return chunks
}

async function ready(admin: string, server: ChildProcess, output: readonly string[]): Promise<void> {
  while (server.exitCode === null && server.signalCode === null) {
    const answer = await fetch(`http://${admin}/readyz`).catch(() => undefined)
    if (answer?.status === 200) return
    await sleep(50)
  }
  throw new Error(`the server ended before it was ready: ${output.join('')}`)
}

async function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
