// Shows Countersign at work: a real Envoy as the sidecar of a small service, three workloads with SPIFFE certificates, requests
// that are allowed and denied, the trail that they leave, and its proof. Run it with `make demo`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { printTable } from '../../src/cli/print.ts'
import { makeAuthority, writePki } from './demo/certificates.ts'
import { runCountersign, showCountersign, startCountersign } from './demo/countersign.ts'
import { startOrders } from './demo/orders.ts'
import { until } from './demo/processes.ts'
import { type Answer, ask, type Client } from './demo/request.ts'
import { type Sidecar, startSidecar } from './demo/sidecar.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-demo-'))
const data = join(folder, 'data')
const ours = await makeAuthority('cluster.local')
const foreign = await makeAuthority('partner.example')
const web: Client = { certificate: await ours.issue('spiffe://cluster.local/ns/shop/sa/web') }
const report: Client = { certificate: await ours.issue('spiffe://cluster.local/ns/shop/sa/report') }
const partner: Client = { certificate: await foreign.issue('spiffe://partner.example/ns/shop/sa/web') }
const nobody: Client = {}
writePki(join(folder, 'pki'), 'workload', await ours.issue('spiffe://cluster.local/ns/shop/sa/orders'), [ours, foreign])

interface Scene {
  readonly who: string
  readonly client: Client
  readonly at: 'http' | 'edge'
  readonly method: string
  readonly path: string
  readonly expected: number
}

const scenes: readonly Scene[] = [
  { who: 'shop/web', client: web, at: 'http', method: 'GET', path: '/orders/1', expected: 200 },
  { who: 'shop/web', client: web, at: 'http', method: 'POST', path: '/orders', expected: 200 },
  { who: 'shop/report', client: report, at: 'http', method: 'GET', path: '/orders/1?fields=total', expected: 200 },
  { who: 'shop/report', client: report, at: 'http', method: 'POST', path: '/orders', expected: 403 },
  { who: 'shop/web', client: web, at: 'http', method: 'GET', path: '/admin/users', expected: 403 },
  { who: 'partner.example web', client: partner, at: 'http', method: 'GET', path: '/orders/1', expected: 403 },
  { who: 'no certificate', client: nobody, at: 'edge', method: 'GET', path: '/orders/1', expected: 403 },
]

const orders = await startOrders()
const countersign = await startCountersign({ data })
let sidecar: Sidecar | undefined
let failures = 0
try {
  sidecar = await startSidecar({ folder, countersignPort: countersign.port, upstream: orders })
  say(`Countersign answers on 127.0.0.1:${countersign.port}.`)
  say(`Envoy, the sidecar of shop/orders, takes mTLS on 127.0.0.1:${sidecar.ports.http}.`)
  const answers = await play(sidecar)
  // Envoy sends its access log every half second.
  await until('the access log', async () => (await accesses()).length >= answers.length)
  say('\nWhat was asked, and what came back:\n')
  await showAnswers(answers)
  await countersign.process.stop()
  say('\nThe trail, each decision joined with its outcome (countersign query):\n')
  showCountersign(['query', '--data', data])
  say('\nIs the trail whole? (countersign verify)\n')
  failures += showCountersign(['verify', '--data', data])
} finally {
  await sidecar?.process.stop()
  await countersign.process.stop()
  orders.close()
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = failures === 0 ? 0 : 1

async function play({ ports }: Sidecar): Promise<{ scene: Scene; answer: Answer }[]> {
  const answers: { scene: Scene; answer: Answer }[] = []
  for (const scene of scenes) {
    const { client, at, method, path } = scene
    answers.push({ scene, answer: await ask(client, { port: ports[at], method, path }) })
  }
  return answers
}

interface Access {
  readonly data: {
    readonly decisionId: string
    readonly reason: string
    readonly rule: { readonly file: string; readonly line: number; readonly text: string } | null
  }
}

async function accesses(): Promise<Access[]> {
  const { output } = await runCountersign(['query', '--data', data, '--json', '--type', 'access'])
  const lines = output.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Access)
}

async function showAnswers(answers: readonly { scene: Scene; answer: Answer }[]): Promise<void> {
  const recorded = new Map((await accesses()).map((access) => [access.data.decisionId, access.data]))
  const rows = answers.map(({ scene, answer }) => {
    const access = recorded.get(decisionIdOf(answer))
    const rule = access?.rule ?? null
    const request = `${scene.method} ${scene.path}`
    if (answer.status !== scene.expected || access === undefined) {
      failures += 1
      say(`${scene.who} ${request}: expected ${scene.expected} and a record of it`)
    }
    const reason = access?.reason ?? 'not recorded'
    return [
      scene.who,
      request,
      String(answer.status),
      reason,
      rule === null ? '-' : `${rule.file}:${rule.line}  ${rule.text}`,
    ]
  })
  const titles = [
    { title: 'WHO', shrinksTo: 12 },
    { title: 'REQUEST', shrinksTo: 14 },
    { title: 'ANSWER' },
    { title: 'REASON' },
    { title: 'RULE', shrinksTo: 14 },
  ]
  say(printTable(titles, rows, process.stdout.columns))
}

/** A denial carries the decision id in its answer; an allowed request carried it to the service, which echoes its headers. */
function decisionIdOf(answer: Answer): string {
  if (answer.status !== 200) return (JSON.parse(answer.body) as { decisionId: string }).decisionId
  const echoed = JSON.parse(answer.body) as { headers: Record<string, string> }
  return echoed.headers['x-countersign-decision-id'] ?? ''
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
