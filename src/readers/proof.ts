import { isUtf8 } from 'node:buffer'
import { checkLine, type ParsedRecord, type RecordPlace } from '../audit/chain.ts'
import { openCheckpoint, type Checkpoint, type VerifierKey } from '../audit/checkpoint.ts'
import { rootOfInclusion } from '../audit/merkle.ts'
import type { Parsed } from '../identity/parsed.ts'

/** That a record stands in a trail that somebody signed for, in the form of C2SP (c2sp.org/tlog-proof). */
export interface InclusionProof {
  /** The record's own bytes, without a newline. */
  readonly line: string
  /** Its place in the tree, from 0: its sequence minus 1. */
  readonly index: number
  /** RFC 6962 audit path: from its sibling up to the root's child, 32 bytes each. */
  readonly path: readonly Buffer[]
  /** The checkpoint, as it stands in the trail. */
  readonly note: string
}

/** What a proof is worth to somebody who trusts certain keys and nothing else. */
export type CheckedProof =
  | {
      readonly ok: true
      readonly record: ParsedRecord
      readonly place: RecordPlace
      readonly checkpoint: Checkpoint
      readonly signedBy: VerifierKey
    }
  | { readonly ok: false; readonly problem: string }

const header = 'c2sp.org/tlog-proof@v1'
const nextProof = /(?<=\n)c2sp\.org\/tlog-proof@v1\n/
const digestBytes = 32
/** Levels of a tree that has as many records as a number can count. */
const maxPath = 53

/** The proof as text; ends with a newline. `extra` holds the record's line, so that nothing else is needed to check it. */
export function formatProof({ line, index, path, note }: InclusionProof): string {
  const extra = `extra ${Buffer.from(line).toString('base64')}`
  const digests = path.map((digest) => digest.toString('base64'))
  return `${[header, extra, `index ${String(index)}`, ...digests].join('\n')}\n\n${note}`
}

/** Reads one proof, or several that follow each other. Never throws; nothing in them is believed. */
export function parseProofs(text: string): Parsed<readonly InclusionProof[]> {
  if (!text.startsWith(`${header}\n`)) return { ok: false, problem: `it does not begin with the line ${header}` }
  const proofs: InclusionProof[] = []
  // No line of a checkpoint of ours can be the header: its origin would have to be.
  for (const part of text.slice(header.length + 1).split(nextProof)) {
    const parsed = parseProof(part)
    if (!parsed.ok) return { ok: false, problem: `proof ${String(proofs.length + 1)}: ${parsed.problem}` }
    proofs.push(parsed.value)
  }
  return { ok: true, value: proofs }
}

/** What follows the header, up to the end of the checkpoint. */
function parseProof(text: string): Parsed<InclusionProof> {
  const wrong = (problem: string): Parsed<InclusionProof> => ({ ok: false, problem })
  const end = text.indexOf('\n\n')
  if (end === -1) return wrong('no checkpoint follows the path')
  const [first = '', ...others] = text.slice(0, end).split('\n')
  const line = first.startsWith('extra ') ? bytesIn(first.slice('extra '.length)) : undefined
  if (line === undefined || !isUtf8(line))
    return wrong('its second line does not bring the record: "extra" and the base64 of its line')
  const [, index] = /^index (0|[1-9][0-9]{0,15})$/.exec(others[0] ?? '') ?? []
  if (index === undefined) return wrong('its third line is not "index" and a number')
  const path = others.slice(1).map(bytesIn)
  if (path.length > maxPath || !path.every((digest) => digest?.length === digestBytes)) {
    return wrong('its path is not of lines with 32 bytes in base64 each')
  }
  return {
    ok: true,
    value: { line: line.toString(), index: Number(index), path: path as Buffer[], note: text.slice(end + 2) },
  }
}

/**
 * Checks a proof by itself: the record has the hash that it carries, a trusted key signed the checkpoint of its trail, and the path
 * leads from the record, in the place that it claims, to the root that was signed. Never throws.
 */
export function checkProof({ line, index, path, note }: InclusionProof, keys: readonly VerifierKey[]): CheckedProof {
  const wrong = (problem: string): CheckedProof => ({ ok: false, problem })
  const checked = checkLine(line)
  if (!checked.ok) return wrong(`the record: ${checked.problem}`)
  const opened = openCheckpoint(note, keys)
  if (!opened.ok) return wrong(opened.problem)
  const { place, record } = checked
  const { checkpoint, signedBy } = opened
  if (place.trail !== checkpoint.origin) {
    return wrong(`the record is of trail ${place.trail}, the checkpoint of ${checkpoint.origin}`)
  }
  if (place.sequence !== index + 1) {
    return wrong(`the record has sequence ${String(place.sequence)}, the proof is for ${String(index + 1)}`)
  }
  const root = rootOfInclusion(place.hash, index, checkpoint.size, path)
  if (root === undefined) return wrong('the path does not have the length that sequence and size ask for')
  if (!root.equals(checkpoint.root)) return wrong('the path does not lead to the root that was signed')
  return { ok: true, record, place, checkpoint, signedBy }
}

/** RFC 4648, section 4: the one encoding that the bytes have; undefined for anything else. */
function bytesIn(encoded: string): Buffer | undefined {
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.toString('base64') === encoded ? bytes : undefined
}
