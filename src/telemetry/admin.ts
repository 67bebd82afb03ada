import { createServer, type ServerResponse } from 'node:http'
import { CountersignError, messageOf } from '../errors.ts'
import type { PartHealth } from './health.ts'
import type { Metrics } from './metrics.ts'

export interface AdminParts {
  /** Parts that only a new start can mend. */
  readonly liveness: () => readonly PartHealth[]
  /** Parts without which no request can be allowed. */
  readonly readiness: () => readonly PartHealth[]
  /** Parts that are in trouble although requests are still decided and recorded. */
  readonly warnings: () => readonly PartHealth[]
  readonly metrics: Metrics
  /** Brings gauges up to date. */
  readonly refresh: () => void
}

export interface Admin {
  readonly port: number
  close(): Promise<void>
}

/** Serves `/metrics`, `/healthz` (a new start would mend nothing) and `/readyz` (requests can be allowed). Throws ADDRESS_IN_USE or LISTEN_REFUSED. */
export function startAdmin(host: string, port: number, parts: AdminParts): Promise<Admin> {
  const server = createServer((request, response) => {
    answer(request.url ?? '', response, parts).catch((fault: unknown) => {
      write(response, 500, { status: 'failed inside', problem: messageOf(fault) })
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE'
      const message = taken ? `${host}:${port} is taken by another process` : error.message
      reject(new CountersignError(taken ? 'ADDRESS_IN_USE' : 'LISTEN_REFUSED', `admin: ${message}`, { cause: error }))
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve({
        port: address !== null && typeof address === 'object' ? address.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => {
              closed()
            })
            server.closeAllConnections()
          }),
      })
    })
  })
}

async function answer(url: string, response: ServerResponse, parts: AdminParts): Promise<void> {
  switch (url.split('?')[0]) {
    case '/metrics': {
      parts.refresh()
      const { contentType, body } = await parts.metrics.render()
      response.writeHead(200, { 'content-type': contentType }).end(body)
      return
    }
    case '/healthz': {
      const problems = troubled(parts.liveness())
      if (problems.length === 0) write(response, 200, { status: 'ok' })
      else write(response, 503, { status: 'needs a new start', problems })
      return
    }
    case '/readyz': {
      const problems = troubled(parts.readiness())
      const ready = problems.length === 0
      const warnings = troubled(parts.warnings())
      write(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', problems, warnings })
      return
    }
    default:
      write(response, 404, { status: 'not found', paths: ['/metrics', '/healthz', '/readyz'] })
  }
}

function troubled(parts: readonly PartHealth[]): readonly PartHealth[] {
  return parts.filter(({ problem }) => problem !== null)
}

function write(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}
