import { mkdtempSync, openSync, closeSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseVerifierKey } from '../../src/audit/checkpoint.ts'
import { checkpointEvent } from '../../src/audit/event.ts'
import { MerkleTree } from '../../src/audit/merkle.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../src/audit/record.ts'
import { fileParts } from '../../src/readers/verify/file-parts.ts'
import { verifyParts } from '../../src/readers/verify/verify.ts'
import { decisionOf, idOf, makeTrail } from '../archive/trails.ts'
import { signer } from '../cases/signing-key.ts'

// Verifies one trail of records of about 1.5 kB, each 1,000 under a signed checkpoint, in one exported file: by one thread, and by one
// for each core, in turn. `node test/bench/verify.ts [--short]` prints one JSON object. The figure is records per second of CPU time.

const target = 100_000
const isShort = process.argv.includes('--short')
const records = isShort ? 100_000 : 400_000
const rounds = isShort ? 2 : 5
const trail = `web-0-${idOf(1)}`

/** Writes the trail; returns the bytes of its lines. */
function writeTrail(file: string): number {
  const handle = openSync(file, 'w')
  const tree = MerkleTree.empty()
  let prevHash = firstPrevHash
  let bytes = 0
  let waiting: string[] = []
  const flush = (): void => {
    bytes += writeSync(handle, waiting.join(''))
    waiting = []
  }
  const add = (line: string, hash: string): void => {
    waiting.push(line, '\n')
    tree.append(hash)
    prevHash = hash
    if (waiting.length >= 2000) flush()
  }
  const [opened] = makeTrail({ trail }, [])
  if (opened === undefined) throw new Error('a trail has its first record')
  add(opened.line, opened.hash)
  const userAgent = `/api/v2/orders/${'4f'.repeat(20)}`
  for (let sequence = 2; sequence <= records; sequence += 1) {
    const recordedAt = new Date(Date.UTC(2026, 10, 22) + sequence)
    const isDue = sequence % 1000 === 0
    const note = isDue ? signer.sign({ origin: trail, size: sequence - 1, root: tree.root() }) : ''
    const event = isDue
      ? checkpointEvent(idOf(sequence), recordedAt, { note })
      : decisionOf({ number: sequence, path: `${userAgent}/${String(sequence)}`, traceId: 'ab'.repeat(16) })
    const { line, hash } = sealRecord(encodeEvent(event), { trail, sequence, prevHash, recordedAt })
    add(line, hash)
  }
  flush()
  closeSync(handle)
  return bytes
}

async function timed(file: string, threads: number) {
  const key = parseVerifierKey(signer.verifierKey)
  if (!key.ok) throw new Error(key.problem)
  const cpu = process.cpuUsage()
  const from = performance.now()
  const result = await verifyParts(await fileParts([file]), { keys: [key.value], threads })
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpu)
  if (result.verdict !== 'whole' || result.trails[0]?.signed?.size !== records - 1)
    throw new Error(JSON.stringify(result))
  return {
    recordsPerSecond: Math.round(records / seconds),
    recordsPerCpuSecond: Math.round(records / ((user + system) / 1e6)),
    cpuMicrosecondsPerRecord: Math.round((100 * (user + system)) / records) / 100,
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}

const dir = mkdtempSync(join(tmpdir(), 'countersign-verify-'))
try {
  const file = join(dir, 'trail.ndjson')
  const bytes = writeTrail(file)
  const cores = availableParallelism()
  const [single, all]: [Awaited<ReturnType<typeof timed>>[], Awaited<ReturnType<typeof timed>>[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    single.push(await timed(file, 0))
    all.push(await timed(file, cores))
  }
  const perCore = median(single.map(({ recordsPerCpuSecond }) => recordsPerCpuSecond))
  const speedup = median(all.map((run, index) => run.recordsPerSecond / (single[index]?.recordsPerSecond ?? 1)))
  const result = {
    bench: 'verify',
    target,
    ok: perCore >= target,
    recordsPerCoreSecond: perCore,
    recordBytes: Math.round(bytes / records),
    single,
    threads: { count: cores, runs: all, speedup: Math.round(100 * speedup) / 100 },
    memoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    machine: { cpu: cpus()[0]?.model, cpus: cpus().length, load: loadavg() },
  }
  console.log(JSON.stringify(result, null, 2))
  process.exitCode = result.ok ? 0 : 1
} finally {
  rmSync(dir, { recursive: true, force: true })
}
