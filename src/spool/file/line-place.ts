import { hash } from 'node:crypto'

/** Where a line says that it stands, by its last members. */
export interface LinePlace {
  readonly trail: string
  readonly sequence: number
  readonly prevHash: string
  readonly hash: string
}

const tailForm = /^,"sequence":"([0-9]{16})","prevhash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/
const tailLength = ',"sequence":"","prevhash":"","hash":""}'.length + 16 + 64 + 64
const hashLength = ',"hash":""}'.length + 64
const trailMember = ',"trail":"'
/** The names of replicas, of which those of trails are made, hold nothing that JSON escapes. */
const trailForm = /^([^"\\]+)"$/

/**
 * The place of a line that has the hash that it carries; undefined for any other. Reads no JSON: the writer's members stand at the end
 * of each line in a fixed form, so this costs little more than the hash.
 */
export function placeOf(line: string): LinePlace | undefined {
  const cut = line.length - tailLength
  const tail = cut > 0 ? tailForm.exec(line.slice(cut)) : null
  const [, sequence, prevHash, digest] = tail ?? []
  if (sequence === undefined || prevHash === undefined || digest === undefined) return undefined
  if (hash('sha256', `${line.slice(0, line.length - hashLength)}}`, 'hex') !== digest) return undefined
  const start = line.lastIndexOf(trailMember, cut)
  if (start === -1) return undefined
  const trail = trailForm.exec(line.slice(start + trailMember.length, cut))?.[1]
  return trail === undefined ? undefined : { trail, sequence: Number(sequence), prevHash, hash: digest }
}

/** The same for a row, whose columns have to say what its line says. */
export function placeOfRow(row: {
  readonly trail: unknown
  readonly sequence: unknown
  readonly line: unknown
}): LinePlace | undefined {
  const { trail, sequence, line } = row
  if (typeof line !== 'string' || typeof trail !== 'string' || typeof sequence !== 'number') return undefined
  const place = placeOf(line)
  return place?.trail === trail && place.sequence === sequence ? place : undefined
}
