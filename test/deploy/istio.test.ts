import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { policyCheckCommand } from '../../src/cli/commands/policy-check.ts'
import { readSettings } from '../../src/config.ts'
import {
  documentsIn,
  istioFiles,
  istioFolder,
  kustomizationOf,
  manifestsOf,
  membersNamed,
  specOf,
  textOf,
} from './manifests.ts'

const server = manifestsOf('.')
const enforced = manifestsOf('enforce')
const label = { 'app.kubernetes.io/name': 'countersign' }

interface Container {
  readonly image: string
  readonly args: readonly string[]
  readonly ports: readonly { name: string; containerPort: number }[]
  readonly volumeMounts: readonly { name: string; mountPath: string; subPath?: string }[]
  readonly securityContext: object
  readonly resources: { requests: object; limits: { cpu?: string } }
  readonly readinessProbe: { httpGet: { path: string; port: string } }
  readonly livenessProbe: { httpGet: { path: string; port: string } }
}

interface StatefulSet {
  readonly serviceName: string
  readonly selector: { matchLabels: object }
  readonly template: {
    metadata: { labels: object; annotations: Record<string, string> }
    spec: {
      serviceAccountName: string
      securityContext: object
      terminationGracePeriodSeconds: number
      containers: readonly [Container]
      volumes: readonly { name: string; configMap?: { name: string } }[]
    }
  }
  readonly volumeClaimTemplates: readonly { metadata: { name: string } }[]
}

interface Service {
  readonly clusterIP?: string
  readonly selector: object
  readonly ports: readonly { name: string; port: number; targetPort: number }[]
}

interface Provider {
  readonly name: string
  readonly envoyExtAuthzGrpc?: { service: string; port: number; timeout: string; failOpen: boolean }
  readonly envoyHttpAls?: { service: string; port: number; additionalRequestHeadersToLog: readonly string[] }
}

const workload = specOf(server, 'StatefulSet', 'countersign') as StatefulSet
const pod = workload.template.spec
const [container] = pod.containers
const service = specOf(server, 'Service', 'countersign') as Service
const settings = readSettings({ file: join(istioFolder, 'settings.yaml'), environment: {}, flags: {} })
const { extensionProviders } = (
  documentsIn('mesh-config.yaml')[0] as { meshConfig: { extensionProviders: readonly Provider[] } }
).meshConfig

describe('the files of deploy/istio', () => {
  test.each(istioFiles())('%s begins with a comment that says what it is for', (file) => {
    expect(textOf(file).split('\n')[0]).toMatch(/^# \S.{20,}/)
  })

  test.each(istioFiles().filter((file) => file.endsWith('.yaml')))('%s is well-formed YAML', (file) => {
    for (const document of documentsIn(file)) expect(document).toEqual(expect.any(Object))
  })

  test.each(['.', 'enforce'])('all stand in the kustomization of %s', (folder) => {
    const { resources, configMapGenerator = [] } = kustomizationOf(folder)
    const listed = [...resources, ...configMapGenerator.flatMap(({ files }) => files)]
    const apart = ['kustomization.yaml', 'mesh-config.yaml', 'Dockerfile']
    const all = istioFiles()
      .filter((file) => file.startsWith('enforce/') === (folder === 'enforce'))
      .map((file) => file.replace(/^enforce\//, ''))
    expect([...listed].sort()).toEqual(all.filter((file) => !apart.includes(file)).sort())
  })

  test('say of every object but the namespace which namespace it belongs to', () => {
    const without = [...server, ...enforced].filter(({ metadata }) => metadata.namespace === undefined)
    expect(without.map(({ kind, metadata }) => [kind, metadata.name])).toEqual([['Namespace', 'countersign']])
    expect(new Set(server.flatMap(({ metadata }) => metadata.namespace ?? []))).toEqual(new Set(['countersign']))
  })
})

describe('the policy of deploy/istio', () => {
  const folder = join(istioFolder, 'policy')
  const example = resolve(istioFolder, '../envoy/policy')

  test('is the example policy, byte for byte', () => {
    expect(readdirSync(folder)).toEqual(readdirSync(example))
    const bytes = (of: string) => readdirSync(of).map((name) => readFileSync(join(of, name)).toString('hex'))
    expect(bytes(folder)).toEqual(bytes(example))
  })

  test('passes countersign policy check', async () => {
    const before = process.exitCode
    const out = jest.fn<(text: string) => void>()
    await policyCheckCommand({ out, err: out }).parseAsync([folder], { from: 'user' })
    const status = process.exitCode
    process.exitCode = before
    expect(status).toBe(0)
    expect(out).toHaveBeenCalledWith(expect.stringContaining('The policy is good.'))
  })

  test('is mounted as a folder, under a name that does not change with its content', () => {
    const generated = kustomizationOf('.').configMapGenerator?.find(({ name }) => name === 'countersign-policy')
    expect(generated?.options?.disableNameSuffixHash).toBe(true)
    expect(generated?.files).toEqual(readdirSync(folder).map((name) => `policy/${name}`))
    const volume = pod.volumes.find(({ configMap }) => configMap?.name === 'countersign-policy')
    const mount = container.volumeMounts.find(({ name }) => name === volume?.name)
    expect(mount).toMatchObject({ mountPath: settings.policy.dir })
    expect(mount?.subPath).toBeUndefined()
  })
})

describe('the settings of deploy/istio', () => {
  test('stand where the server is told to read them', () => {
    const mount = container.volumeMounts.find(({ subPath }) => subPath === 'settings.yaml')
    expect(container.args).toEqual(['serve', '--config', mount?.mountPath])
    const volume = pod.volumes.find(({ name }) => name === mount?.name)
    expect(volume?.configMap?.name).toBe('countersign-settings')
  })

  test('put the data on the volume', () => {
    const mount = container.volumeMounts.find(({ mountPath }) => mountPath === settings.data)
    expect(workload.volumeClaimTemplates.map(({ metadata }) => metadata.name)).toEqual([mount?.name])
  })

  test('let only the own sidecar reach the port', () => {
    expect(settings).toMatchObject({ insecure: false, listen: { host: '127.0.0.1' } })
    expect(settings.tls).toBeUndefined()
    const { ingress } = specOf(server, 'Sidecar', 'countersign') as { ingress: readonly object[] }
    expect(ingress).toEqual([
      { port: { number: settings.listen.port, protocol: 'GRPC', name: 'grpc' }, defaultEndpoint: settings.listen.text },
    ])
    const mtls = specOf(server, 'PeerAuthentication', 'countersign') as object
    expect(mtls).toEqual({ mtls: { mode: 'STRICT' } })
  })

  test('give an answer its time before Envoy gives up, and a stop its time before the pod is killed', () => {
    const timeoutMs = Number(/^([\d.]+)s$/.exec(ask().timeout)?.[1]) * 1000
    expect(settings.audit.deadlineMs).toBeLessThanOrEqual(timeoutMs - 50)
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(2 * settings.shutdown.graceMs + 5000)
  })
})

describe('the names and ports of deploy/istio agree:', () => {
  const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]))

  test('the ports of settings, container, Services, providers and network policy', () => {
    expect(ports).toEqual({ grpc: settings.listen.port, 'http-admin': settings.admin.port })
    for (const { spec } of server.filter(({ kind }) => kind === 'Service')) {
      for (const { name, port, targetPort } of (spec as Service).ports)
        expect([port, targetPort]).toEqual([ports[name], ports[name]])
    }
    expect(service.ports.map(({ name }) => name)).toEqual(['grpc'])
    expect([ask().port, log().port]).toEqual([ports['grpc'], ports['grpc']])
    const admitted = specOf(server, 'NetworkPolicy', 'countersign') as {
      ingress: readonly { ports: readonly { port: number }[] }[]
    }
    expect(admitted.ingress.flatMap((rule) => rule.ports.map(({ port }) => port))).toEqual([9191, 9190])
    expect(workload.template.metadata.annotations['traffic.sidecar.istio.io/excludeInboundPorts']).toBe(
      String(ports['http-admin']),
    )
  })

  test('the probes ask the admin port', () => {
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http-admin' })
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'http-admin' })
  })

  test('every selector of ours selects the pods', () => {
    expect(workload.template.metadata.labels).toEqual(label)
    expect(workload.selector.matchLabels).toEqual(label)
    const services = server.filter(({ kind }) => kind === 'Service').map(({ spec }) => (spec as Service).selector)
    expect(services).toEqual([label, label])
    expect(specOf(server, 'PodDisruptionBudget', 'countersign')).toMatchObject({ selector: { matchLabels: label } })
    expect(specOf(server, 'NetworkPolicy', 'countersign')).toMatchObject({ podSelector: { matchLabels: label } })
    expect(specOf(server, 'Sidecar', 'countersign')).toMatchObject({ workloadSelector: { labels: label } })
    expect(specOf(server, 'AuthorizationPolicy', 'countersign-callers')).toMatchObject({
      selector: { matchLabels: label },
    })
  })

  test('the service account, the headless Service, the image and the volumes exist', () => {
    expect(server.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual(
      expect.arrayContaining([`ServiceAccount/${pod.serviceAccountName}`, `Service/${workload.serviceName}`]),
    )
    expect((specOf(server, 'Service', workload.serviceName) as Service).clusterIP).toBe('None')
    const { images, configMapGenerator = [] } = kustomizationOf('.')
    expect(images.map(({ name }) => name)).toEqual([container.image])
    const generated = configMapGenerator.map(({ name, namespace }) => ({ name, namespace }))
    const mounted = pod.volumes.flatMap(({ configMap }) => (configMap === undefined ? [] : [configMap.name]))
    expect(generated.map(({ name }) => name).sort()).toEqual([...mounted].sort())
    expect(new Set(generated.map(({ namespace }) => namespace))).toEqual(new Set(['countersign']))
    const volumes = [
      ...pod.volumes.map(({ name }) => name),
      ...workload.volumeClaimTemplates.map(({ metadata }) => metadata.name),
    ]
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort())
  })

  test('the providers are those that the policies and the access logs name', () => {
    const host = 'countersign.countersign.svc.cluster.local'
    expect([ask().service, log().service]).toEqual([host, host])
    const named = [...server, ...enforced].flatMap((manifest) => [
      ...membersNamed(manifest.spec, 'provider'),
      ...membersNamed(manifest.spec, 'providers').flat(),
    ])
    const providers = extensionProviders.map(({ name }) => name)
    expect(new Set(named.map((provider) => (provider as Provider).name))).toEqual(new Set(providers))
    for (const name of providers) expect(name).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)
  })

  test('every namespace under Countersign may call it', () => {
    const [callers] = membersNamed(specOf(server, 'AuthorizationPolicy', 'countersign-callers'), 'namespaces')
    const needed = new Set(enforced.map(({ metadata }) => metadata.namespace))
    expect(new Set(callers as string[])).toEqual(needed)
  })
})

describe('the mesh of deploy/istio', () => {
  test('waits for an answer no longer than told, and fails closed', () => {
    expect(ask()).toMatchObject({ timeout: '0.2s', failOpen: false, statusOnError: '503' })
  })

  test('logs the headers that the records are made of', () => {
    const headers = ['x-request-id', 'traceparent', 'content-type', 'x-envoy-auth-failure-mode-allowed']
    expect(log().additionalRequestHeadersToLog).toEqual(headers)
  })

  test('has one logger: a second one would record each access twice', () => {
    expect(extensionProviders.map(({ name: _, ...provider }) => Object.keys(provider))).toEqual([
      ['envoyExtAuthzGrpc'],
      ['envoyHttpAls'],
    ])
  })

  test('logs one end of each call: what comes in to workloads, and what goes through gateways', () => {
    const telemetry = enforced.filter(({ kind }) => kind === 'Telemetry')
    const modes = telemetry.map(({ metadata, spec }) => {
      const { accessLogging } = spec as { accessLogging: readonly { match: { mode: string } }[] }
      return [metadata.namespace, accessLogging.map(({ match }) => match.mode)]
    })
    expect(modes).toEqual([
      ['shop', ['SERVER']],
      ['istio-ingress', ['CLIENT']],
    ])
    expect(specOf(server, 'Telemetry', 'countersign')).toMatchObject({ accessLogging: [{ disabled: true }] })
  })

  test('demands a decision for everything, over mTLS only', () => {
    expect(specOf(enforced, 'AuthorizationPolicy', 'countersign')).toEqual({
      action: 'CUSTOM',
      provider: { name: 'countersign' },
      rules: [{}],
    })
    expect(specOf(enforced, 'PeerAuthentication', 'default')).toEqual({ mtls: { mode: 'STRICT' } })
  })
})

test('the pods of deploy/istio have no more rights than they need', () => {
  expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  expect(container.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
})

function ask(): NonNullable<Provider['envoyExtAuthzGrpc']> {
  const found = extensionProviders.find(({ envoyExtAuthzGrpc }) => envoyExtAuthzGrpc !== undefined)
  return found!.envoyExtAuthzGrpc!
}

function log(): NonNullable<Provider['envoyHttpAls']> {
  return extensionProviders.find(({ envoyHttpAls }) => envoyHttpAls !== undefined)!.envoyHttpAls!
}
