import { join } from 'node:path'
import type { Settings } from '../config.ts'
import { CountersignError } from '../errors.ts'
import type { ListenerSettings } from '../grpc/listener.ts'
import { readTls } from '../grpc/tls.ts'
import type { LoadOptions } from '../policy/load.ts'
import { parseSpiffePattern, type SpiffePattern } from '../policy/patterns/spiffe-match.ts'
import { readSigners } from '../policy/source/manifest.ts'
import { readLogin } from '../sinks/kafka/login.ts'
import { lanesOf } from '../sinks/lanes.ts'
import type { SinkSettings } from '../sinks/protocol.ts'

/** What the settings name, read and checked before anything is started. */
export interface Inputs {
  readonly settings: Settings
  readonly listening: ListenerSettings
  readonly callers: readonly SpiffePattern[]
  /** Every lane of delivery, by the name of its cursor. */
  readonly sinks: Readonly<Record<string, SinkSettings>>
  readonly loading: LoadOptions
}

/** Reads the files that the settings name. Throws CONFIG_INVALID or TLS_INVALID. */
export function readInputs(settings: Settings): Inputs {
  return {
    settings,
    listening: listenerSettings(settings),
    callers: (settings.tls?.callers ?? []).map(callerPattern),
    sinks: readSinks(settings),
    loading: loadOptions(settings),
  }
}

/** The lanes of delivery, with their logins. Throws CONFIG_INVALID where a password's file cannot be read. */
export function readSinks(settings: Settings): Inputs['sinks'] {
  const sinks = Object.entries(settings.sinks).map(
    ([name, sink]) => [name, sinkSettings(settings, name, sink)] as const,
  )
  return lanesOf(Object.fromEntries(sinks), checkpointFileOf(settings))
}

/** Where checkpoints stand outside the trail. */
export function checkpointFileOf({ checkpoint, data }: Settings): string {
  return checkpoint.file ?? join(data, 'checkpoints.ndjson')
}

function sinkSettings(settings: Settings, name: string, sink: Settings['sinks'][string]): SinkSettings {
  if (sink.type === 'archive') {
    return { type: 'archive', dir: join(settings.data, 'archive'), sealAfterMs: sink.sealAfterMs }
  }
  const { sasl, ...rest } = sink
  return sasl === undefined ? rest : { ...rest, sasl: readLogin(`sinks.${name}`, sasl) }
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
