import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
  setLogVerbosity,
  status,
} from '@grpc/grpc-js'
import { CountersignError, messageOf } from '../errors.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import type { StreamAccessLogsMessage__Output } from '../wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import type { CheckRequest__Output } from '../wire/envoy/service/auth/v3/CheckRequest.ts'
import type { CheckResponse } from '../wire/envoy/service/auth/v3/CheckResponse.ts'
import { type ListenAddress, mayBePlaintext } from './address.ts'
import { type Caller, callerOf } from './caller.ts'
import { LogStreams } from './log-streams.ts'
import { Health } from './health.ts'
import { accessLogName, accessLogService, authorizationName, authorizationService, type Decoded } from './services.ts'
import { serverOptions } from './server-options.ts'
import { removeStaleSocket } from './stale-socket.ts'
import type { TlsMaterial } from './tls.ts'

export interface ListenerSettings {
  readonly listen: ListenAddress
  /** Accepts plaintext on an address that others can reach. */
  readonly insecure: boolean
  /** Undefined for plaintext. */
  readonly tls?: TlsMaterial
  readonly maxConnectionAgeMs: number
  readonly maxConcurrentStreams: number
  readonly maxSessionMemoryMb: number
}

export interface IncomingCheck {
  readonly message: CheckRequest__Output | undefined
  readonly pep: { readonly principal?: string; readonly address: string }
  readonly withinMs?: number
  /** Aborted when the caller has given up. */
  readonly gone: AbortSignal
}

/** What the listener hands its calls to; declared here, implemented by the story. */
export interface ListenerParts {
  readonly check: (call: IncomingCheck) => Promise<CheckResponse>
  readonly receive: (messages: AsyncIterable<StreamAccessLogsMessage__Output | undefined>) => Promise<void>
  /** Whether a caller that TLS proved may call at all. */
  readonly isListed: (id: SpiffeId) => boolean
  /** Told of each call that was refused because of who made it. */
  readonly onRefused: (caller: Caller, problem: string) => void
  /** Told of a call that failed inside; the caller got an RPC error, which Envoy treats as no answer. */
  readonly onFault: (fault: unknown) => void
}

export interface Listener {
  /** The port that is listened on; 0 for a Unix socket. */
  readonly port: number
  setServing(serving: boolean): void
  /** Takes no new connections, ends the access-log streams, waits for the Checks under way up to `graceMs`, then closes. */
  drain(graceMs: number): Promise<void>
}

/** What an answer needs to get back to Envoy before its deadline. */
const answerMs = 30

/** Listens. Throws LISTEN_REFUSED, ADDRESS_IN_USE or TLS_INVALID. */
export async function listen(settings: ListenerSettings, parts: ListenerParts): Promise<Listener> {
  refuseOpenPlaintext(settings)
  // The library writes to the console beside us; what it has to say reaches us as an error.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server(serverOptions(settings))
  const streams = new LogStreams()
  server.addService(authorizationService, { Check: checkHandler(parts) })
  server.addService(accessLogService, { StreamAccessLogs: logHandler(parts, streams) })
  const health = new Health(['', authorizationName, accessLogName])
  health.addTo(server)
  const port = await bind(server, settings)
  return {
    port,
    setServing: (serving) => {
      health.setServing(serving)
    },
    drain: async (graceMs) => {
      health.end()
      await Promise.all([streams.end(graceMs), shutDown(server, graceMs)])
    },
  }
}

function refuseOpenPlaintext({ listen: address, insecure, tls }: ListenerSettings): void {
  if (tls !== undefined || insecure || mayBePlaintext(address)) return
  throw new CountersignError(
    'LISTEN_REFUSED',
    `listen: ${address.text} can be reached by others, and there is no tls: give tls.certificate, tls.key and tls.clientCa, ` +
      'listen on a loopback address or a Unix socket, or set insecure: true',
  )
}

async function bind(server: Server, { listen: address, tls }: ListenerSettings): Promise<number> {
  if (address.socket !== null) await removeStaleSocket(address.socket)
  const credentials = tls === undefined ? ServerCredentials.createInsecure() : tlsCredentials(tls)
  return new Promise((resolve, reject) => {
    server.bindAsync(address.target, credentials, (error, port) => {
      if (error === null) resolve(port)
      else reject(bindFault(address, error))
    })
  })
}

function tlsCredentials(tls: TlsMaterial): ServerCredentials {
  try {
    return ServerCredentials.createSsl(tls.clientCa, [{ cert_chain: tls.certificate, private_key: tls.key }], true)
  } catch (thrown) {
    throw new CountersignError('TLS_INVALID', `tls: ${messageOf(thrown)}`, { cause: thrown })
  }
}

function bindFault(address: ListenAddress, error: Error): CountersignError {
  const taken = error.message.includes('EADDRINUSE')
  return taken
    ? new CountersignError('ADDRESS_IN_USE', `listen: ${address.text} is taken by another process`, { cause: error })
    : new CountersignError('LISTEN_REFUSED', `listen: cannot listen on ${address.text}: ${error.message}`, {
        cause: error,
      })
}

function checkHandler(parts: ListenerParts) {
  return (call: ServerUnaryCall<Decoded<CheckRequest__Output>, CheckResponse>, reply: sendUnaryData<CheckResponse>) => {
    const caller = callerOf(call)
    const refusal = refusalOf(caller, parts)
    if (refusal !== undefined) {
      reply({ code: status.PERMISSION_DENIED, details: refusal })
      return
    }
    const withinMs = withinOf(call)
    const pep = { ...(caller.kind === 'proved' ? { principal: caller.id.uri } : {}), address: caller.address }
    const { gone, answering } = watchCaller(call)
    parts
      .check({ message: call.request.message, pep, gone, ...(withinMs === undefined ? {} : { withinMs }) })
      .then((response) => {
        answering()
        reply(null, response)
      })
      .catch((fault: unknown) => {
        parts.onFault(fault)
        reply({ code: status.INTERNAL, details: 'the check failed inside' })
      })
  }
}

function logHandler(parts: ListenerParts, streams: LogStreams) {
  return (
    call: ServerReadableStream<Decoded<StreamAccessLogsMessage__Output>, object>,
    reply: sendUnaryData<object>,
  ) => {
    const refusal = refusalOf(callerOf(call), parts)
    if (refusal !== undefined) {
      reply({ code: status.PERMISSION_DENIED, details: refusal })
      return
    }
    // A stream that its Envoy breaks off has simply ended.
    const received = parts.receive(messagesOf(call)).catch((fault: unknown) => {
      if (!call.cancelled) parts.onFault(fault)
    })
    streams.add(received, () => {
      reply(null, {})
    })
  }
}

async function* messagesOf<Message>(
  call: ServerReadableStream<Decoded<Message>, object>,
): AsyncGenerator<Message | undefined> {
  for await (const decoded of call) yield (decoded as Decoded<Message>).message
}

/** Says why this caller may not call, or undefined. Where the port has no TLS there is nobody to list. */
function refusalOf(caller: Caller, parts: ListenerParts): string | undefined {
  if (caller.kind === 'plaintext') return undefined
  const problem = callerProblem(caller, parts)
  if (problem !== undefined) parts.onRefused(caller, problem)
  return problem
}

function callerProblem(caller: Exclude<Caller, { kind: 'plaintext' }>, parts: ListenerParts): string | undefined {
  if (caller.kind === 'invalid') return caller.problem
  return parts.isListed(caller.id) ? undefined : `${caller.id.uri} is not one of tls.callers`
}

/** A caller gives up by ending the call, or by the deadline that it gave; both may have happened before we read the call. */
function watchCaller(call: ServerUnaryCall<unknown, unknown>): { gone: AbortSignal; answering: () => void } {
  const gone = new AbortController()
  const giveUp = (): void => {
    gone.abort()
  }
  if (call.cancelled) giveUp()
  else call.once('cancelled', giveUp)
  // grpc-js tells of the end of a call that was answered in the same way.
  return { gone: gone.signal, answering: () => call.off('cancelled', giveUp) }
}

function withinOf(call: ServerUnaryCall<unknown, unknown>): number | undefined {
  const deadline = call.getDeadline()
  const ms = deadline instanceof Date ? deadline.getTime() : deadline
  return Number.isFinite(ms) ? Math.max(0, ms - Date.now() - answerMs) : undefined
}

function shutDown(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, graceMs)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
