import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Authority, writePki } from '../../deploy/envoy/demo/certificates.ts'
import { freePorts, type Running } from '../../deploy/envoy/demo/processes.ts'
import { startEnvoy } from '../../deploy/envoy/demo/sidecar.ts'

const cases = join(import.meta.dirname, '../cases/istio')

/** Whom the generated configuration expects at our port. */
export const countersignId = 'spiffe://cluster.local/ns/mesh/sa/countersign'

/** Settings of a Countersign that Istio's sidecars reach over mTLS, where only `callers` may call. */
export function mtlsSettings(callers: readonly string[]) {
  return async (folder: string, ours: Authority): Promise<Readonly<Record<string, unknown>>> => {
    const pki = join(folder, 'countersign-pki')
    writePki(pki, 'countersign', await ours.issue(countersignId), [ours])
    const tls = { certificate: join(pki, 'countersign.crt'), key: join(pki, 'countersign.key') }
    return { tls: { ...tls, clientCa: join(pki, 'ca.crt'), callers } }
  }
}

export interface IstioSidecarOptions {
  readonly folder: string
  readonly ours: Authority
  /** The sidecar's own identity. */
  readonly id: string
  readonly countersignPort: number
  readonly upstreamPort: number
  /** How long Envoy waits for an answer. The generated file says 0.2 s, which a shared machine may not keep. */
  readonly authorizationTimeout: string
  /** A `failOpen: true` of the provider. */
  readonly failOpen?: boolean
  /** A rule of the AuthorizationPolicy with this path in place of the rule without conditions. */
  readonly demandedPath?: string
  /** A port of protocol TCP in place of HTTP. */
  readonly tcp?: boolean
}

export interface IstioSidecar {
  readonly port: number
  readonly process: Running
}

/** Starts a real Envoy with the inbound configuration that istiod generated for the workload `shop/orders`. */
export async function startIstioSidecar(options: IstioSidecarOptions): Promise<IstioSidecar> {
  const [port = 0, admin = 0] = await freePorts(2)
  const folder = join(options.folder, `istio-${port}`)
  mkdirSync(folder)
  writePki(folder, 'orders', await options.ours.issue(options.id), [options.ours])
  const filled = (name: string): string => fill(name, { ...options, folder, port })
  for (const name of ['svid.yaml', 'bundle.yaml']) writeFileSync(join(folder, name), filled(name))
  const bootstrap = JSON.parse(filled('sidecar-inbound.json')) as Bootstrap
  bootstrap.admin = { address: { socket_address: { address: '127.0.0.1', port_value: admin } } }
  change(bootstrap, options)
  const file = join(folder, 'envoy.json')
  writeFileSync(file, JSON.stringify(bootstrap))
  return { port, process: await startEnvoy(file, folder, admin) }
}

function fill(
  name: string,
  to: Pick<IstioSidecarOptions, 'countersignPort' | 'upstreamPort'> & { folder: string; port: number },
): string {
  const values: Readonly<Record<string, string>> = {
    '@LISTEN_PORT@': String(to.port),
    '@UPSTREAM_PORT@': String(to.upstreamPort),
    '@AUTHZ_PORT@': String(to.countersignPort),
    '@SECRETS@': to.folder,
    '@PKI@': to.folder,
  }
  const text = readFileSync(join(cases, name), 'utf8')
  return text.replace(/@[A-Z_]+@/g, (placeholder) => {
    const value = values[placeholder]
    if (value === undefined) throw new Error(`test/cases/istio/${name}: nothing is known of ${placeholder}`)
    return value
  })
}

interface Bootstrap {
  admin?: { address: { socket_address: { address: string; port_value: number } } }
  static_resources: { listeners: { filter_chains: { filters: Filter[] }[] }[] }
}

interface Filter {
  name: string
  typed_config: object
}

interface ConnectionManager {
  http_filters: { name: string; typed_config: ExtAuthz & Rbac }[]
  access_log: unknown
}

interface ExtAuthz {
  grpc_service: { timeout: string }
  failure_mode_allow?: boolean
  filter_enabled_metadata: object
}

interface Rbac {
  shadow_rules: { policies: Record<string, { permissions: unknown[] }> }
}

/** Makes the changes that other manifests would have made: names as in what istiod generates for them. */
function change(bootstrap: Bootstrap, options: IstioSidecarOptions): void {
  const authz = filterOf(bootstrap, 'envoy.filters.http.ext_authz')
  authz.grpc_service.timeout = options.authorizationTimeout
  if (options.failOpen === true) authz.failure_mode_allow = true
  if (options.tcp === true) chainOf(bootstrap).filters = tcpFilters(bootstrap)
  if (options.demandedPath === undefined) return
  const path = { url_path: { path: { prefix: options.demandedPath } } }
  for (const policy of Object.values(filterOf(bootstrap, 'envoy.filters.http.rbac').shadow_rules.policies)) {
    policy.permissions = [{ and_rules: { rules: [{ or_rules: { rules: [path] } }] } }]
  }
}

/** The filters of a TCP port: Istio gives it the same rules, the same authorizer and the same access logger. */
function tcpFilters(bootstrap: Bootstrap): Filter[] {
  const { shadow_rules } = filterOf(bootstrap, 'envoy.filters.http.rbac')
  const { grpc_service, filter_enabled_metadata } = filterOf(bootstrap, 'envoy.filters.http.ext_authz')
  const { access_log } = managerOf(bootstrap)
  const filter = (name: string, type: string, config: object): Filter => ({
    name: `envoy.filters.network.${name}`,
    typed_config: { '@type': `type.googleapis.com/envoy.extensions.filters.network.${name}.v3.${type}`, ...config },
  })
  const demanded = { ...filter_enabled_metadata, filter: 'envoy.filters.network.rbac' }
  return [
    filter('rbac', 'RBAC', { stat_prefix: 'tcp.', shadow_rules, shadow_rules_stat_prefix: 'istio_ext_authz_' }),
    filter('ext_authz', 'ExtAuthz', {
      ...{ stat_prefix: 'tcp.', transport_api_version: 'V3' },
      ...{ grpc_service, filter_enabled_metadata: demanded },
    }),
    filter('tcp_proxy', 'TcpProxy', { stat_prefix: 'inbound|9443||', cluster: 'inbound|9443||', access_log }),
  ]
}

function filterOf(bootstrap: Bootstrap, name: string): ExtAuthz & Rbac {
  const found = managerOf(bootstrap).http_filters.find((filter) => filter.name === name)
  if (found === undefined) throw new Error(`the generated configuration has no ${name}`)
  return found.typed_config
}

function managerOf(bootstrap: Bootstrap): ConnectionManager {
  return chainOf(bootstrap).filters[0]?.typed_config as ConnectionManager
}

function chainOf(bootstrap: Bootstrap): { filters: Filter[] } {
  const [chain] = bootstrap.static_resources.listeners[0]?.filter_chains ?? []
  if (chain === undefined) throw new Error('the generated configuration has no filter chain')
  return chain
}
