import { Worker } from 'node:worker_threads'
import { parseVerifierKey, type VerifierKey } from '../../audit/checkpoint.ts'
import { checkBlock, type Block, type Trusted } from './block.ts'
import type { BlockFindings } from './findings.ts'

/** Checks blocks, several at a time. */
export interface BlockChecker {
  readonly threads: number
  /** The block's bytes are given away. Rejects only where a thread has ended. */
  check(block: Block): Promise<BlockFindings>
  close(): Promise<void>
}

/** What a thread is started with: keys as texts, because their objects belong to one thread. */
export interface WorkerTrust {
  readonly keys: readonly string[] | undefined
  readonly sizes: ReadonlyMap<string, ReadonlySet<number>>
}

export function trustOf({ keys, sizes }: WorkerTrust): Trusted {
  return { keys: keys?.map(keyOf), sizes }
}

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

/** Checks in the caller's own thread. */
export function checkHere(trusted: Trusted): BlockChecker {
  return {
    threads: 1,
    check: (block) => Promise.resolve(checkBlock(block, trusted)),
    close: () => Promise.resolve(),
  }
}

/** Checks in threads of its own. */
export function checkInThreads(threads: number, { keys, sizes }: Trusted): BlockChecker {
  const trust: WorkerTrust = { keys: keys?.map(({ text }) => text), sizes }
  const workers = Array.from({ length: threads }, () => new BlockThread(trust))
  return {
    threads,
    check: (block) => workers.reduce((idle, worker) => (worker.waiting < idle.waiting ? worker : idle)).check(block),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.end()))
    },
  }
}

interface Waiting {
  readonly resolve: (findings: BlockFindings) => void
  readonly reject: (fault: Error) => void
}

class BlockThread {
  readonly #worker: Worker
  /** Answers come in the order of the questions. */
  readonly #waiting: Waiting[] = []
  #fault: Error | undefined

  constructor(trust: WorkerTrust) {
    // The sources run as they are too, without a build: then the worker is TypeScript like this file.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    this.#worker = new Worker(new URL(`./block-worker.${extension}`, import.meta.url), { workerData: trust })
    this.#worker.on('message', (findings: BlockFindings) => this.#waiting.shift()?.resolve(findings))
    this.#worker.once('error', (fault: Error) => {
      this.#fail(fault)
    })
    this.#worker.once('exit', () => {
      this.#fail(new Error('the thread ended'))
    })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  check(block: Block): Promise<BlockFindings> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#worker.postMessage(block, [block.bytes.buffer as ArrayBuffer])
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  #fail(fault: Error): void {
    this.#fault ??= fault
    for (const { reject } of this.#waiting.splice(0)) reject(this.#fault)
  }
}
