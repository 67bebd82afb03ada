import { randomInt } from 'node:crypto'
import { appendFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

// What the fault tests share: which form they run in, the seed of what is random in them, and the figures that they measure.

/** `make fault` runs the long form, whose figures have limits; `make test` runs a short one, which judges loss alone. */
export const isLong = process.env['FAULT_LONG'] === '1'

/** How much of something the form asks for. */
export function count<T>(forms: { readonly short: T; readonly long: T }): T {
  return isLong ? forms.long : forms.short
}

let chosen: number | undefined

/**
 * The seed of all that is random, from 0 to 2³²-1: `FAULT_SEED`, or one that is drawn once per test file. It is printed: the same
 * seed does the same again, as far as the machine's timing lets it.
 */
export function seed(): number {
  if (chosen === undefined) {
    const given = process.env['FAULT_SEED'] ?? ''
    chosen = given === '' ? randomInt(2 ** 32) : Number(given)
    if (!Number.isInteger(chosen)) throw new Error(`FAULT_SEED: found "${given}"; a whole number is allowed`)
    progress(`FAULT_SEED=${chosen}`)
  }
  return chosen
}

/** Numbers from 0 (included) to 1 (excluded), always the same ones for a seed (mulberry32). */
export function randomFrom(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One row of the report that `make fault` ends with. */
export interface Figure {
  readonly test: string
  readonly name: string
  readonly value: string
  /** In words, such as `at most 2 s`; empty where nothing is demanded. */
  readonly limit: string
}

/** Where the figures of a run are gathered; `make fault` empties it first. */
export const figuresFile = join(import.meta.dirname, '../../.cache/fault/figures.ndjson')

/** Prints what was measured, and keeps it for the report. It does not judge: that is the test's `expect`. */
export function figure(test: string, name: string, value: string | number, limit: string | number = ''): void {
  const row: Figure = { test, name, value: String(value), limit: String(limit) }
  progress(`${test}: ${name}: ${row.value}${row.limit === '' ? '' : ` (${row.limit})`}`)
  mkdirSync(dirname(figuresFile), { recursive: true })
  appendFileSync(figuresFile, `${JSON.stringify(row)}\n`)
}

/** Says on the terminal how far a long test has got; jest's own console would add a stack to each line. */
export function progress(text: string): void {
  process.stderr.write(`  ${new Date().toISOString().slice(11, 19)} ${text}\n`)
}
