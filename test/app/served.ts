import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Countersign, examplePolicy, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { httpAttributes } from '../check/calls.ts'
import { connectPep, type PepClient } from '../grpc/client.ts'

/** A server in a process of its own, with a data folder and a policy folder of its own, and a client of its port. */
export interface Served {
  readonly folder: string
  readonly data: string
  readonly policy: string
  readonly server: Countersign
  readonly pep: PepClient
  /** Body of a page of the admin port, with its status. */
  readonly admin: (page: string) => Promise<{ readonly status: number; readonly body: string }>
  readonly stop: () => Promise<void>
}

export interface ServeOptions {
  /** More settings; the folder is the one that `before` saw. */
  readonly settings?: (folder: string) => Readonly<Record<string, unknown>>
  /** Changes the folder, which holds `policy/`, before the server is started. */
  readonly before?: (folder: string) => void
  readonly ready?: boolean
  readonly tls?: Parameters<typeof connectPep>[1]
}

/** Starts `countersign serve` from the sources. */
export async function serve({ settings, before, ready = true, tls }: ServeOptions = {}): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-served-'))
  const [data, policy] = [join(folder, 'data'), join(folder, 'policy')]
  cpSync(examplePolicy, policy, { recursive: true })
  before?.(folder)
  const server = await startCountersign({
    main: 'src/cli/main.ts',
    data,
    ready,
    // These tests are about what is decided and recorded, not about how fast.
    settings: { audit: { deadlineMs: 20_000 }, policy: { dir: policy }, ...settings?.(folder) },
  })
  const pep = connectPep(`127.0.0.1:${server.port}`, tls)
  return {
    ...{ folder, data, policy, server, pep },
    admin: async (page) => {
      const answer = await fetch(`http://127.0.0.1:${server.adminPort}/${page}`)
      return { status: answer.status, body: await answer.text() }
    },
    stop: async () => {
      pep.close()
      await server.process.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A GET of the web workload that the example policy allows. */
export const allowedCheck = { attributes: httpAttributes() }
/** One that it denies. */
export const deniedCheck = { attributes: httpAttributes({ path: '/admin/users' }) }
