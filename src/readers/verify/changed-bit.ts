import { hash } from 'node:crypto'

const hashMember = ',"hash":"'
const hashAt = hashMember.length + 66
/** Longer lines are not searched: each bit costs a hash of the line. */
export const longestSearched = 4 * 1024

/**
 * Finds the one bit by which a record differs from the one that was written, if that is all: what a damaged disk does, and hardly
 * anybody who changes what a record says. In words; undefined where it is no single bit.
 */
export function changedBit(line: Uint8Array): string | undefined {
  const bytes = Buffer.from(line)
  const cut = bytes.length - hashAt
  if (cut <= 0 || bytes.length > longestSearched) return undefined
  const wanted = bytes.toString('latin1', cut + hashMember.length, bytes.length - 2)
  const body = Buffer.concat([bytes.subarray(0, cut), Buffer.from('}')])
  const digest = hash('sha256', body, 'hex')
  if (isOneBitApart(digest, wanted)) return 'one bit of its hash differs'
  for (let at = 0; at < cut; at += 1) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      const byte = body[at] as number
      body[at] = byte ^ bit
      const isIt = hash('sha256', body, 'hex') === wanted
      body[at] = byte
      if (isIt) return `one bit differs, in byte ${String(at + 1)} of the line`
    }
  }
  return undefined
}

/** Whether two texts differ by one bit of one character. */
function isOneBitApart(a: string, b: string): boolean {
  const differing = Array.from(a, (character, at) => character.charCodeAt(0) ^ b.charCodeAt(at)).filter(Boolean)
  const bits = differing[0] ?? 0
  return a.length === b.length && differing.length === 1 && (bits & (bits - 1)) === 0
}
