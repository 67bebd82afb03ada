import type { OpenSpool } from '../source.ts'
import { Expectations } from './expectation.ts'
import { folderParts } from './folder-parts.ts'
import { verifyParts, withMore, type Verification, type VerifyOptions } from './verify.ts'

/** Verifies what a data folder keeps, archive and spool, beside a running server or not. Throws what opening it throws. */
export async function verifyFolder(
  dir: string,
  options: VerifyOptions = {},
  openSpool?: OpenSpool,
): Promise<Verification> {
  const expectations = options.expectations ?? new Expectations()
  const folder = await folderParts(dir, expectations, openSpool)
  try {
    const result = await verifyParts(folder.parts, { ...options, expectations })
    // Where lines of a trail are bad, they are what is told.
    const isBroken = new Set(result.bad.map(({ trail }) => trail))
    const mismatches = folder.mismatches().filter(({ trail }) => !isBroken.has(trail))
    return withMore(result, { bad: [...folder.problems(), ...mismatches], notes: folder.notes() })
  } finally {
    folder.close()
  }
}
