import type { Settings } from '../config.ts'
import type { Admin } from '../telemetry/admin.ts'
import { isReady, readinessTeller } from '../telemetry/health.ts'
import type { Listener } from '../grpc/listener.ts'
import { startAdminPort } from './admin-port.ts'
import { openListener } from './envoy-port.ts'
import { readInputs } from './inputs.ts'
import { boundMemory } from './memory.ts'
import { type Parts, type Rest, startParts, statesOf, stopParts } from './parts.ts'

// The composition root begins here: every part is made in this folder and nowhere else.

export interface RunningServer {
  /** The ports that are listened on. */
  readonly port: number
  readonly adminPort: number
  /**
   * Stops: no new requests, answers to those under way, a closed trail, delivery until everything is delivered or the grace time is
   * over.
   */
  drain(): Promise<Rest>
}

interface Ports {
  readonly listener: Listener
  readonly admin: Admin
}

/** How often health follows the state of the parts. */
const healthMs = 250

/** Starts a server. Throws a CountersignError that says what to do; a policy that cannot be used does not stop it. */
export async function startServer(settings: Settings, version: string): Promise<RunningServer> {
  boundMemory()
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

/** The admin port answers last of all: it tells whoever asks how far the stop has got. */
async function drain(parts: Parts, { listener, admin }: Ports): Promise<Rest> {
  const { graceMs } = parts.settings.shutdown
  parts.log('info', 'stopping')
  parts.stopping.abort()
  parts.spool.release()
  listener.setServing(false)
  await listener.drain(graceMs)
  const rest = await stopParts(parts, graceMs)
  await admin.close()
  parts.log(rest.left + rest.missed === 0 ? 'info' : 'warn', 'stopped', { ...rest })
  await parts.closeLog()
  return rest
}

async function openPorts(parts: Parts): Promise<Ports> {
  const listener = await openListener(parts)
  listener.setServing(isReady(statesOf(parts)))
  try {
    return { listener, admin: await startAdminPort(parts) }
  } catch (thrown) {
    await listener.drain(0)
    throw thrown
  }
}
