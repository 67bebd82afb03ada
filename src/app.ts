import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { v7 as uuidv7 } from 'uuid'
import { receive, type ReceiveParts } from './access-log/receive.ts'
import type { AccessData, AuditEvent } from './audit/event.ts'
import { type Check, createCheck } from './check/check.ts'
import { type Settings, settingsDigest } from './config.ts'
import { CountersignError, messageOf } from './errors.ts'
import { listen, type Listener, type ListenerParts, type ListenerSettings } from './grpc/listener.ts'
import { PolicyInForce } from './policy/in-force.ts'
import { type PolicyReload, type PolicyStatus, startReload } from './policy/reload.ts'
import { parseSpiffePattern, spiffeMatches } from './policy/spiffe-match.ts'
import { type Delivery, startDelivery } from './sinks/delivery.ts'
import type { SinkSettings } from './sinks/protocol.ts'
import { Spool } from './spool/spool.ts'
import { type Admin, type PartHealth, startAdmin } from './telemetry/admin.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'

// The composition root: every part is made here and nowhere else.

export interface RunningServer {
  /** The ports that are listened on. */
  readonly port: number
  readonly adminPort: number
  /**
   * Stops: no new requests, answers to those under way, a closed trail, delivery until everything is delivered or the grace time is
   * over. Returns how many records stay in the spool.
   */
  drain(): Promise<{ readonly left: number }>
}

/** How often the policy folder is looked at, whether or not the system announces a change. */
const policyPollMs = 1000
/** How often health follows the state of the parts. */
const healthMs = 250

interface Parts {
  readonly settings: Settings
  readonly log: Log
  readonly metrics: Metrics
  readonly spool: Spool
  readonly delivery: Delivery
  readonly inForce: PolicyInForce
  readonly policy: PolicyReload
}

/** Starts a server. Throws a CountersignError that says what to do; a policy that cannot be used does not stop it. */
export async function startServer(settings: Settings, version: string): Promise<RunningServer> {
  const log = createLog(settings.log.level, settings.replica)
  const metrics = createMetrics()
  const spool = await openSpool(settings, version)
  const delivery = startSinks(settings, { log, metrics, spool })
  const inForce = new PolicyInForce()
  const policy = await startPolicy(settings, { log, metrics, spool, inForce })
  const parts: Parts = { settings, log, metrics, spool, delivery, inForce, policy }
  try {
    const listener = await listen(listenerSettings(settings), listenerParts(parts))
    const admin = await startAdminPort(parts)
    const health = setInterval(() => {
      listener.setServing(isReady(parts))
    }, healthMs)
    listener.setServing(isReady(parts))
    log('info', 'serving', { listen: settings.listen.text, admin: settings.admin.text, trail: spool.status().trail })
    return {
      port: listener.port,
      adminPort: admin.port,
      drain: () => {
        clearInterval(health)
        return drain(parts, listener, admin)
      },
    }
  } catch (thrown) {
    await Promise.all([policy.stop(), spool.seal().then(() => stopSinks(parts))])
    throw thrown
  }
}

async function openSpool(settings: Settings, version: string): Promise<Spool> {
  try {
    mkdirSync(settings.data, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw new CountersignError('SPOOL_FAILED', `data: cannot make ${settings.data}: ${messageOf(thrown)}`)
  }
  const opening = {
    dir: spoolDir(settings),
    replica: settings.replica,
    trail: `${settings.replica}-${uuidv7()}`,
    openedId: uuidv7(),
    versions: { countersign: version, node: process.version },
    settings: settingsDigest(settings),
    sinks: Object.keys(settings.sinks),
    retainDeliveredMs: settings.spool.retainDeliveredMs,
  }
  const { mode, deadlineMs } = settings.audit
  const spoolSettings = { mode, deadlineMs, maxBytes: settings.spool.maxBytes }
  return Spool.open(opening, spoolSettings, { newId: () => uuidv7(), now: () => new Date() })
}

function startSinks(settings: Settings, { log, metrics, spool }: Pick<Parts, 'log' | 'metrics' | 'spool'>): Delivery {
  const sinks = Object.fromEntries(
    Object.entries(settings.sinks).map(([name, sink]) => [name, sinkSettings(settings, sink)]),
  )
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

function sinkSettings(settings: Settings, sink: Settings['sinks'][string]): SinkSettings {
  if (sink.type === 'archive') return { type: 'archive', dir: join(settings.data, 'archive') }
  const { sasl, ...rest } = sink
  if (sasl === undefined) return rest
  const { password, passwordFile, ...login } = sasl
  const secret = passwordFile === undefined ? password : readPem('sasl.passwordFile', passwordFile).toString().trimEnd()
  if (secret === undefined) {
    throw new CountersignError(
      'CONFIG_INVALID',
      'sasl: neither password nor passwordFile is given; allowed: one of them',
    )
  }
  return { ...rest, sasl: { ...login, password: secret } }
}

function startPolicy(
  settings: Settings,
  { log, metrics, spool, inForce }: Pick<Parts, 'log' | 'metrics' | 'spool' | 'inForce'>,
): Promise<PolicyReload> {
  return startReload({
    dir: settings.policy.dir,
    pollMs: policyPollMs,
    inForce,
    record: (event) => spool.record(event),
    onChange: (status) => {
      tellPolicy(status, log, metrics)
    },
    ids: () => uuidv7(),
    now: () => new Date(),
  })
}

function tellPolicy({ inForce, refused }: PolicyStatus, log: Log, metrics: Metrics): void {
  metrics.reset('countersign_policy_in_force')
  if (inForce !== null) metrics.set('countersign_policy_in_force', { version: inForce.policyVersion }, 1)
  if (refused === null) {
    log('info', 'policy in force', { policyVersion: inForce?.policyVersion, rules: inForce?.rules })
    return
  }
  metrics.count('countersign_policy_rejected_total', {})
  log('error', 'policy refused', { policyVersion: refused.policyVersion, problems: refused.problems })
}

function listenerSettings(settings: Settings): ListenerSettings {
  const { tls, connections } = settings
  return {
    listen: settings.listen,
    insecure: settings.insecure,
    ...(tls === undefined
      ? {}
      : {
          tls: {
            certificate: readPem('tls.certificate', tls.certificate),
            key: readPem('tls.key', tls.key),
            clientCa: readPem('tls.clientCa', tls.clientCa),
          },
        }),
    maxConnectionAgeMs: connections.maxAgeMs,
    maxConcurrentStreams: connections.maxConcurrentStreams,
    maxSessionMemoryMb: connections.maxSessionMemoryMb,
  }
}

function listenerParts(parts: Parts): ListenerParts {
  const { settings, log, metrics, spool } = parts
  const trustDomains = new Set(settings.identity.trustDomains)
  const callers = callerPatterns(settings)
  const check = measured(createCheckStory(parts, trustDomains), metrics)
  const receiveParts: ReceiveParts = {
    auditLog: spool,
    trustDomains,
    newId: () => uuidv7(),
    now: () => new Date(),
    onEvent: (event) => {
      countEntry(event, metrics)
    },
    onMalformed: ({ node }) => {
      metrics.count('countersign_access_log_malformed_total', {})
      log('warn', 'an access-log message could not be decoded and was left out', { node })
    },
  }
  return {
    check: async (call) => (await check(call)).response,
    receive: (messages) => receive(messages, receiveParts),
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

function createCheckStory(parts: Parts, trustDomains: ReceiveParts['trustDomains']): Check {
  const { settings, spool, inForce } = parts
  return createCheck({
    rulesInForce: () => inForce.rules,
    auditLog: spool,
    reading: { trustDomains, allowedPaths: new Set(settings.paths.allow), now: () => new Date() },
    anonymous: settings.identity.anonymous,
    newId: () => uuidv7(),
    nowUs: () => performance.now() * 1000,
  })
}

function measured(check: Check, metrics: Metrics): Check {
  return async (call) => {
    const startedMs = performance.now()
    const answer = await check(call)
    const { effect, reason } = answer.decision
    metrics.count('countersign_checks_total', { effect, reason })
    metrics.observe('countersign_check_duration_seconds', (performance.now() - startedMs) / 1000)
    return answer
  }
}

function countEntry(event: AuditEvent, metrics: Metrics): void {
  const { mediation, phase } = event.data as AccessData
  metrics.count('countersign_access_log_entries_total', { mediation: mediation ?? 'none', phase })
}

function callerPatterns({ tls }: Settings): NonNullable<ReturnType<typeof patternOf>>[] {
  return (tls?.callers ?? []).map((caller) => patternOf(caller))
}

function patternOf(caller: string) {
  const pattern = parseSpiffePattern(caller)
  if (pattern.ok) return pattern.value
  throw new CountersignError('CONFIG_INVALID', `tls.callers: found ${JSON.stringify(caller)}; ${pattern.problem}`)
}

function startAdminPort(parts: Parts): Promise<Admin> {
  const { host, port } = parts.settings.admin
  if (host === null || port === null) {
    throw new CountersignError('CONFIG_INVALID', 'admin: found a Unix socket; allowed: HOST:PORT')
  }
  return startAdmin(host, port, {
    readiness: () => readiness(parts),
    warnings: () => warnings(parts),
    metrics: parts.metrics,
    refresh: () => {
      refreshGauges(parts)
    },
  })
}

function isReady(parts: Parts): boolean {
  return readiness(parts).every(({ problem }) => problem === null)
}

/** What a request cannot be allowed without: rules, and a disk to record it on. */
function readiness({ policy, spool }: Parts): PartHealth[] {
  const { inForce, refused } = policy.status()
  const first = refused?.problems[0]
  const where =
    first === undefined ? '' : `: ${first.file}${first.line === null ? '' : `:${first.line}`}: ${first.message}`
  const { problem } = spool.status()
  return [
    { part: 'policy', problem: inForce === null ? `no usable policy has been loaded${where}` : null },
    { part: 'spool', problem: problem === null ? null : `${problem.message} (${problem.code})` },
  ]
}

function warnings({ policy, delivery }: Parts): PartHealth[] {
  const { inForce, refused } = policy.status()
  const stale = inForce !== null && refused !== null
  const sinks = [...delivery.status()].map(([name, { problem }]) => ({
    part: `sink ${name}`,
    problem: problem === null ? null : `${problem.message} (${problem.code})`,
  }))
  const count = refused?.problems.length ?? 0
  return [
    {
      part: 'policy',
      problem: stale ? `a newer version was refused for ${count} problems; the last good one is in force` : null,
    },
    ...sinks,
  ]
}

function refreshGauges({ spool, delivery, metrics }: Parts): void {
  const status = spool.status()
  const ageMs = status.oldestWaitingMs === null ? 0 : Math.max(0, Date.now() - status.oldestWaitingMs)
  metrics.set('countersign_spool_waiting_records', {}, status.waitingRecords)
  metrics.set('countersign_spool_waiting_bytes', {}, status.waitingBytes)
  metrics.set('countersign_spool_oldest_waiting_seconds', {}, ageMs / 1000)
  metrics.set('countersign_spool_queued_events', {}, status.queued)
  metrics.set('countersign_spool_writable', {}, status.problem === null ? 1 : 0)
  for (const [sink, { position }] of delivery.status()) {
    metrics.set('countersign_sink_lag_records', { sink }, Math.max(0, status.lastPosition - position))
  }
}

async function drain(parts: Parts, listener: Listener, admin: Admin): Promise<{ left: number }> {
  const { settings, log, policy, spool } = parts
  log('info', 'stopping')
  listener.setServing(false)
  await listener.drain(settings.shutdown.graceMs)
  await policy.stop()
  await spool.seal()
  const left = await stopSinks(parts)
  await admin.close()
  log(left === 0 ? 'info' : 'warn', 'stopped', { left })
  return { left }
}

/** Waits until every sink has everything, or the grace time is over; closes delivery and the spool. */
async function stopSinks({
  settings,
  delivery,
  spool,
}: Pick<Parts, 'settings' | 'delivery' | 'spool'>): Promise<number> {
  const until = Date.now() + settings.shutdown.graceMs
  const behind = (): boolean =>
    [...delivery.status().values()].some((lane) => lane.position < spool.status().lastPosition)
  while (behind() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
  await delivery.stop()
  await spool.close()
  return spool.status().waitingRecords
}

function spoolDir(settings: Settings): string {
  return join(settings.data, 'spool')
}

function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (thrown) {
    throw new CountersignError('TLS_INVALID', `${name}: ${messageOf(thrown)}`, { cause: thrown })
  }
}
