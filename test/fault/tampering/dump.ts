import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseVerifierKey, type VerifierKey } from '../../../src/audit/checkpoint.ts'
import { encodeEvent } from '../../../src/audit/record.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { openSpoolReader } from '../../../src/spool/reader.ts'
import { decisionOf, idOf } from '../../archive/trails.ts'
import { signer, signingKeyPem } from '../../cases/signing-key.ts'
import { openingIn } from '../../spool/opening.ts'

/** One record of a dump. */
export interface DumpLine {
  readonly trail: string
  readonly sequence: number
  readonly line: string
}

export const ownKeyPem = signingKeyPem()
export const trustedKey = keyOf(signer.verifierKey)
export const recordsBetweenCheckpoints = 20

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

/**
 * The records of one replica in the order in which a real spool wrote them, checkpoints and all: a trail that was closed, two that were
 * left as by kill -9, and one that is open, with a checkpoint behind its last event.
 */
export function replicaLines(replica: string, number: number, lengths: readonly number[]): DumpLine[] {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-tampering-'))
  try {
    let ids = number * 1_000_000
    let at = Date.UTC(2026, 10, 22, 10)
    const now = (): Date => new Date((at += 7))
    const newId = (): string => idOf(ids++)
    for (const [index, length] of lengths.entries()) {
      const trail = `${replica}-${newId()}`
      const opening = openingIn(join(dir, 'spool'), { replica, trail, openedId: newId() })
      const checkpoints = { ...opening.checkpoints, everyRecords: recordsBetweenCheckpoints, everyMs: 3_600_000 }
      const store = new SpoolStore({ ...opening, checkpoints }, now, newId)
      for (let written = 0; written < length; written += 5) {
        const asked = Array.from({ length: 5 }, (_, one) => ids + one)
        ids += 5
        store.append(
          asked.map((id) => encodeEvent(decisionOf({ number: id, path: `/orders/${String(id)}` }))),
          [],
        )
      }
      if (index === 0) store.seal(newId())
      store.close()
    }
    return readAll(join(dir, 'spool'))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function readAll(dir: string): DumpLine[] {
  const spool = openSpoolReader(dir)
  const rows = spool?.after(0, 1_000_000) ?? []
  spool?.close()
  return rows.map(({ trail, sequence, line }) => ({ trail, sequence, line }))
}

/** Replicas that share a partition: each in its order, mixed in runs of a few. */
export function interleaved(replicas: readonly (readonly DumpLine[])[], random: () => number): DumpLine[] {
  const left = replicas.map((lines) => [...lines])
  const mixed: DumpLine[] = []
  while (left.some((lines) => lines.length > 0)) {
    const lines = left[Math.floor(random() * left.length)] ?? []
    mixed.push(...lines.splice(0, 1 + Math.floor(random() * 12)))
  }
  return mixed
}

/** What delivery at least once makes of the lines of a replica: now and then it goes back and sends again from there. */
export function sentAgain(lines: readonly DumpLine[], random: () => number): DumpLine[] {
  const sent: DumpLine[] = []
  for (let at = 0; at < lines.length;) {
    const to = at + 1 + Math.floor(random() * 40)
    sent.push(...lines.slice(at, to))
    if (random() < 0.4) sent.push(...lines.slice(Math.max(0, at - Math.floor(random() * 30)), to))
    at = to
  }
  return sent
}
