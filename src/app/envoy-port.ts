import { receive, type ReceiveParts } from '../access-log/receive.ts'
import type { AccessData } from '../audit/event-data.ts'
import { type Check, createCheck } from '../check/check.ts'
import { messageOf } from '../errors.ts'
import { listen, type Listener, type ListenerParts } from '../grpc/listener.ts'
import { spiffeMatches } from '../policy/patterns/spiffe-match.ts'
import { countEntry, measured } from '../telemetry/observe.ts'
import { newId } from './ids.ts'
import type { Parts } from './parts.ts'

/** Opens the port through which Envoy asks and tells. Throws ADDRESS_IN_USE, LISTEN_REFUSED or TLS_INVALID. */
export function openListener(parts: Parts): Promise<Listener> {
  return listen(parts.listening, listenerParts(parts))
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

function receiveParts(
  { spool, metrics, log, stopping }: Parts,
  trustDomains: ReceiveParts['trustDomains'],
): ReceiveParts {
  return {
    auditLog: spool,
    trustDomains,
    newId,
    now: () => new Date(),
    stopping: stopping.signal,
    onEvent: (event) => {
      countEntry(event.data as AccessData, metrics)
    },
    onMalformed: ({ node }) => {
      metrics.count('countersign_access_log_malformed_total', {})
      log('warn', 'an access-log message could not be decoded and was left out', { node })
    },
  }
}
