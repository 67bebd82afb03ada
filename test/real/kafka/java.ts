import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, openSync, renameSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cacheFolder } from '../parts.ts'

const jars = join(cacheFolder, 'kafka/lib/*')
/** Loaded classes, kept by the first broker that ran: they halve the start of every later JVM. */
const classes = join(cacheFolder, 'kafka/classes.jsa')
const memory = ['-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
const endMs = 30_000

/** A JVM that runs until it is ended. */
export interface JavaProcess {
  /** Ends it at once. */
  end(): Promise<void>
  /** Ends it in order, as an operator would. */
  stop(): Promise<void>
  logTail(): Promise<string>
}

export interface StartOptions {
  /** Where its log goes. */
  readonly folder: string
  /** What it logs when it is ready. */
  readonly ready: string
  readonly withinMs: number
}

/** Runs a main class of Kafka to its end, and gives what it printed. Throws with its last words when it fails. */
export async function runJava(main: string, args: readonly string[], input = ''): Promise<string> {
  const quiet = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error', ...keptClasses()]
  const child = spawn('java', [...memory, ...quiet, '-cp', jars, main, ...args], { stdio: 'pipe' })
  const forget = endWithUs(child)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  forget()
  // The console consumer exits with 1 when it runs into its time limit, which is no fault.
  if (code !== 0 && !err.includes('TimeoutException'))
    throw new Error(`${main} ended with ${String(code)}: ${tail(err + out)}`)
  return out
}

/** Starts a main class of Kafka and waits until it says that it is ready. */
export async function startJava(main: string, args: readonly string[], options: StartOptions): Promise<JavaProcess> {
  const log = join(options.folder, `${main}-${String(Date.now())}.log`)
  const training = existsSync(classes) ? undefined : join(cacheFolder, `kafka/classes-${String(process.pid)}.jsa`)
  const archive = training === undefined ? keptClasses() : [`-XX:ArchiveClassesAtExit=${training}`]
  const out = openSync(log, 'a')
  const child = spawn('java', [...memory, ...archive, '-cp', jars, main, ...args], { stdio: ['ignore', out, out] })
  const logTail = async () => tail(await readFile(log, 'utf8'))
  const end = endOnce(child, training)
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await endedWithin(child, endMs)
    await end()
  }
  if (await isReady(child, log, options)) return { end, stop, logTail }
  await end()
  throw new Error(`${main} did not start within ${String(options.withinMs)} ms. Its log ends:\n${await logTail()}`)
}

async function isReady(child: ChildProcess, log: string, { ready, withinMs }: StartOptions): Promise<boolean> {
  const latest = Date.now() + withinMs
  while (Date.now() < latest && child.exitCode === null) {
    if ((await readFile(log, 'utf8')).includes(ready)) return true
    await sleep(50)
  }
  return false
}

function endOnce(child: ChildProcess, training: string | undefined): () => Promise<void> {
  const forget = endWithUs(child)
  return async () => {
    if (child.exitCode === null && child.signalCode === null) {
      // Only an orderly end writes the archive of classes.
      child.kill(training === undefined ? 'SIGKILL' : 'SIGTERM')
      await endedWithin(child, endMs)
    }
    forget()
    keepClasses(training)
  }
}

/** Waits for the end, which comes after `ms` whatever happens. */
async function endedWithin(child: ChildProcess, ms: number): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const late = setTimeout(() => child.kill('SIGKILL'), ms)
  await ended
  clearTimeout(late)
}

function keepClasses(training: string | undefined): void {
  if (training === undefined || !existsSync(training)) return
  if (existsSync(classes)) rmSync(training)
  else renameSync(training, classes)
}

function keptClasses(): readonly string[] {
  return existsSync(classes) ? [`-XX:SharedArchiveFile=${classes}`] : []
}

/** A test run that ends in the middle must not leave a JVM behind. */
function endWithUs(child: ChildProcess): () => void {
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  return () => process.off('exit', kill)
}

function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-40).join('\n')
}
