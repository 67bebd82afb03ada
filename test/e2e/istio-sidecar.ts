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
  static_resources: { listeners: { filter_chains: { filters: { typed_config: ConnectionManager }[] }[] }[] }
}

interface ConnectionManager {
  http_filters: { name: string; typed_config: ExtAuthz & Rbac }[]
}

interface ExtAuthz {
  grpc_service: { timeout: string }
  failure_mode_allow?: boolean
}

interface Rbac {
  shadow_rules: { policies: Record<string, { permissions: unknown[] }> }
}

/** Makes the changes that other manifests would have made: names as in what istiod generates for them. */
function change(bootstrap: Bootstrap, options: IstioSidecarOptions): void {
  const authz = filterOf(bootstrap, 'envoy.filters.http.ext_authz')
  authz.grpc_service.timeout = options.authorizationTimeout
  if (options.failOpen === true) authz.failure_mode_allow = true
  if (options.demandedPath === undefined) return
  const path = { url_path: { path: { prefix: options.demandedPath } } }
  for (const policy of Object.values(filterOf(bootstrap, 'envoy.filters.http.rbac').shadow_rules.policies)) {
    policy.permissions = [{ and_rules: { rules: [{ or_rules: { rules: [path] } }] } }]
  }
}

function filterOf(bootstrap: Bootstrap, name: string): ExtAuthz & Rbac {
  const manager = bootstrap.static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config
  const found = manager?.http_filters.find((filter) => filter.name === name)
  if (found === undefined) throw new Error(`the generated configuration has no ${name}`)
  return found.typed_config
}
