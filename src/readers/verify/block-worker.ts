import { parentPort, workerData } from 'node:worker_threads'
import { checkBlock, type Block } from './block.ts'
import { trustOf, type WorkerTrust } from './check-blocks.ts'

// A thread that checks blocks: it answers each with its findings, in order.

const port = parentPort
if (port === null) throw new Error('readers/verify/block-worker runs as a worker thread only')

const trusted = trustOf(workerData as WorkerTrust)
port.on('message', (block: Block) => {
  port.postMessage(checkBlock(block, trusted))
})
