import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { receive, type ReceiveParts } from './access-log/receive.ts'
import type { AccessData } from './audit/event-data.ts'
import { type Check, createCheck } from './check/check.ts'
import { type Settings, settingsDigest } from './config.ts'
import { CountersignError, messageOf } from './errors.ts'
import { createIds } from './ids.ts'
import { listen, type Listener, type ListenerParts, type ListenerSettings } from './grpc/listener.ts'
import { readTls } from './grpc/tls.ts'
import { buildPolicy, type LoadOptions } from './policy/load.ts'
import { type Policies, startPolicies } from './policy/in-force/policies.ts'
import { readSigners } from './policy/source/manifest.ts'
import { parseSpiffePattern, type SpiffePattern, spiffeMatches } from './policy/patterns/spiffe-match.ts'
import { type Delivery, startDelivery } from './sinks/delivery.ts'
import { readLogin } from './sinks/login.ts'
import type { SinkSettings } from './sinks/protocol.ts'
import { Spool } from './spool/spool.ts'
import { type Admin, startAdmin } from './telemetry/admin.ts'
import { setGauges } from './telemetry/gauges.ts'
import { isReady, livenessOf, type PartStates, readinessOf, readinessTeller, warningsOf } from './telemetry/health.ts'
import { type Log, type OpenLog, openLog } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { countEntry, measured } from './telemetry/observe.ts'
import { candidateTeller, policyTeller } from './telemetry/policy.ts'

// The composition root: every part is made here and nowhere else.

export interface RunningServer {
  /** The ports that are listened on. */
  readonly port: number
  readonly adminPort: number
  /**
   * Stops: no new requests, answers to those under way, a closed trail, delivery until everything is delivered or the grace time is
   * over. Resolves with how many records stay in the spool.
   */
  drain(): Promise<{ readonly left: number }>
}

const newId = createIds()

/**
 * How often policy folders are looked at, whether or not the system announces a change; how long the start waits for a
 * policy; and when the last good one is kept again after that failed.
 */
const policyTimes = { pollMs: 1000, startMs: 20_000, retryMs: 10_000 }
/** How often health follows the state of the parts. */
const healthMs = 250

/** What the settings name, read and checked before anything is started. */
interface Inputs {
  readonly settings: Settings
  readonly listening: ListenerSettings
  readonly callers: readonly SpiffePattern[]
  readonly sinks: Readonly<Record<string, SinkSettings>>
  readonly loading: LoadOptions
}

interface Parts extends Inputs {
  readonly log: Log
  readonly closeLog: OpenLog['close']
  readonly metrics: Metrics
  readonly spool: Spool
  readonly delivery: Delivery
  readonly policy: Policies
}

interface Ports {
  readonly listener: Listener
  readonly admin: Admin
}

/** Starts a server. Throws a CountersignError that says what to do; a policy that cannot be used does not stop it. */
export async function startServer(settings: Settings, version: string): Promise<RunningServer> {
  const parts = await startParts(readInputs(settings), version)
  const ports = await openPorts(parts).catch(async (thrown: unknown) => {
    await stopParts(parts, 0)
    throw thrown
  })
  const tellReadiness = readinessTeller(parts.log)
  const health = setInterval(() => {
    ports.listener.setServing(tellReadiness(statesOf(parts)))
  }, healthMs)
  if (!Object.values(settings.sinks).some(({ type }) => type === 'archive')) {
    parts.log('warn', 'no sink is an archive: verify and query see only what the spool still holds')
  }
  const { trail } = parts.spool.status()
  parts.log('info', 'serving', { listen: settings.listen.text, admin: settings.admin.text, trail })
  return {
    port: ports.listener.port,
    adminPort: ports.admin.port,
    drain: () => {
      clearInterval(health)
      return drain(parts, ports)
    },
  }
}

async function drain(parts: Parts, { listener, admin }: Ports): Promise<{ left: number }> {
  const { graceMs } = parts.settings.shutdown
  parts.log('info', 'stopping')
  listener.setServing(false)
  await listener.drain(graceMs)
  const left = await stopParts(parts, graceMs)
  await admin.close()
  parts.log(left === 0 ? 'info' : 'warn', 'stopped', { left })
  await parts.closeLog()
  return { left }
}

async function startParts(inputs: Inputs, version: string): Promise<Parts> {
  const { settings } = inputs
  const { log, close: closeLog } = openLog(settings.log.level, settings.replica)
  const metrics = createMetrics()
  const spool = await openSpool(settings, version)
  const delivery = startSinks(inputs, { log, metrics, spool })
  const policy = await startPolicy(inputs, { log, metrics, spool })
  return { ...inputs, log, closeLog, metrics, spool, delivery, policy }
}

/** Closes the trail, waits for delivery up to `graceMs`, and lets go of the spool. Resolves with how many records stay in it. */
async function stopParts({ policy, spool, delivery }: Parts, graceMs: number): Promise<number> {
  await policy.stop()
  // A disk that hangs must not keep the process: the trail then stays open, as after a crash.
  await within(graceMs, spool.seal())
  await delivery.stop(spool.status().lastPosition, graceMs)
  await within(graceMs, spool.close())
  return spool.status().waitingRecords
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, sleep(ms, undefined, { signal: done.signal }).catch(() => undefined)])
  done.abort()
}

async function openPorts(parts: Parts): Promise<Ports> {
  const listener = await listen(parts.listening, listenerParts(parts))
  listener.setServing(isReady(statesOf(parts)))
  try {
    return { listener, admin: await startAdminPort(parts) }
  } catch (thrown) {
    await listener.drain(0)
    throw thrown
  }
}

function readInputs(settings: Settings): Inputs {
  const sinks = Object.entries(settings.sinks).map(
    ([name, sink]) => [name, sinkSettings(settings, name, sink)] as const,
  )
  return {
    settings,
    listening: listenerSettings(settings),
    callers: (settings.tls?.callers ?? []).map(callerPattern),
    sinks: Object.fromEntries(sinks),
    loading: loadOptions(settings),
  }
}

function loadOptions({ policy: { signers, requireSignature, minPatternSegments } }: Settings): LoadOptions {
  return { signers: readSigners(signers), requireSignature, minPatternSegments }
}

function listenerSettings({ listen: address, insecure, tls, connections }: Settings): ListenerSettings {
  return {
    listen: address,
    insecure,
    ...(tls === undefined ? {} : { tls: readTls(tls) }),
    maxConnectionAgeMs: connections.maxAgeMs,
    maxConcurrentStreams: connections.maxConcurrentStreams,
    maxSessionMemoryMb: connections.maxSessionMemoryMb,
  }
}

function callerPattern(caller: string): SpiffePattern {
  const pattern = parseSpiffePattern(caller)
  if (pattern.ok) return pattern.value
  throw new CountersignError('CONFIG_INVALID', `tls.callers: found ${JSON.stringify(caller)}; ${pattern.problem}`)
}

function sinkSettings(settings: Settings, name: string, sink: Settings['sinks'][string]): SinkSettings {
  if (sink.type === 'archive') return { type: 'archive', dir: join(settings.data, 'archive') }
  const { sasl, ...rest } = sink
  return sasl === undefined ? rest : { ...rest, sasl: readLogin(name, sasl) }
}

async function openSpool(settings: Settings, version: string): Promise<Spool> {
  try {
    mkdirSync(settings.data, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw new CountersignError('SPOOL_FAILED', `data: cannot make ${settings.data}: ${messageOf(thrown)}`)
  }
  const { audit, replica, spool } = settings
  const opening = {
    dir: spoolDir(settings),
    replica,
    trail: `${replica}-${newId()}`,
    openedId: newId(),
    versions: { countersign: version, node: process.version },
    settings: settingsDigest(settings),
    sinks: Object.keys(settings.sinks),
    retainDeliveredMs: spool.retainDeliveredMs,
  }
  return Spool.open(opening, { ...audit, maxBytes: spool.maxBytes }, { newId, now: () => new Date() })
}

function startSinks({ settings, sinks }: Inputs, { log, metrics, spool }: Pick<Parts, 'log' | 'metrics' | 'spool'>) {
  const delivery = startDelivery(
    { spoolDir: spoolDir(settings), replica: settings.replica, sinks },
    {
      onDelivered: (sink, position, records) => {
        spool.advance(sink, position)
        metrics.count('countersign_sink_delivered_total', { sink }, records)
      },
      onTrouble: (sink, code, message) => {
        metrics.count('countersign_sink_failures_total', { sink, code })
        log('warn', 'a delivery failed and will be tried again', { sink, code, problem: message })
      },
      log,
    },
  )
  spool.onCommit((appended) => {
    metrics.count('countersign_records_appended_total', {}, appended)
    delivery.appended()
  })
  return delivery
}

function startPolicy(
  { settings, loading }: Inputs,
  { log, metrics, spool }: Pick<Parts, 'log' | 'metrics' | 'spool'>,
): Promise<Policies> {
  return startPolicies({
    dir: settings.policy.dir,
    candidateDir: settings.policy.candidate,
    keptDir: join(settings.data, 'policy'),
    ...policyTimes,
    build: (snapshot, signal) => buildPolicy(snapshot, { ...loading, signal }),
    record: (event) => spool.record(event),
    onChange: policyTeller(metrics, log),
    onCandidate: candidateTeller(metrics, log),
    ids: newId,
    now: () => new Date(),
  })
}

function listenerParts(parts: Parts): ListenerParts {
  const { settings, callers, log, metrics } = parts
  const trustDomains = new Set(settings.identity.trustDomains)
  const check = measured(createCheckStory(parts, trustDomains), metrics, log)
  const received = receiveParts(parts, trustDomains)
  return {
    check: async (call) => (await check(call)).response,
    receive: (messages) => receive(messages, received),
    isListed: (id) => callers.some((pattern) => spiffeMatches(pattern, id.uri)),
    onRefused: (caller, problem) => {
      metrics.count('countersign_callers_refused_total', {})
      log('warn', 'a caller was refused', { address: caller.address, problem })
    },
    onFault: (fault) => {
      log('error', 'a call failed inside', { problem: messageOf(fault) })
    },
  }
}

function createCheckStory({ settings, spool, policy }: Parts, trustDomains: ReceiveParts['trustDomains']): Check {
  return createCheck({
    rulesInForce: () => policy.rulesInForce(),
    candidate: () => policy.candidate(),
    auditLog: spool,
    reading: { trustDomains, allowedPaths: new Set(settings.paths.allow), now: () => new Date() },
    anonymous: settings.identity.anonymous,
    newId,
    nowUs: () => performance.now() * 1000,
  })
}

function receiveParts({ spool, metrics, log }: Parts, trustDomains: ReceiveParts['trustDomains']): ReceiveParts {
  return {
    auditLog: spool,
    trustDomains,
    newId,
    now: () => new Date(),
    onEvent: (event) => {
      countEntry(event.data as AccessData, metrics)
    },
    onMalformed: ({ node }) => {
      metrics.count('countersign_access_log_malformed_total', {})
      log('warn', 'an access-log message could not be decoded and was left out', { node })
    },
  }
}

function startAdminPort(parts: Parts): Promise<Admin> {
  const { settings, metrics, spool, delivery } = parts
  return startAdmin(settings.admin.host, settings.admin.port, {
    liveness: () => livenessOf(statesOf(parts)),
    readiness: () => readinessOf(statesOf(parts)),
    warnings: () => warningsOf(statesOf(parts)),
    metrics,
    refresh: () => {
      setGauges(metrics, spool.status(), delivery.status(), Date.now())
    },
  })
}

function statesOf({ policy, spool, delivery }: Parts): PartStates {
  return { policy: policy.status(), spool: spool.status(), sinks: delivery.status() }
}

function spoolDir(settings: Settings): string {
  return join(settings.data, 'spool')
}
