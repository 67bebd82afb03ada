import type { Run } from './findings.ts'
import { positionIn, type Part } from './part.ts'
import type { Place } from './problem.ts'

/** A run with the place of each of its records. */
export class PlacedRun {
  readonly run: Run
  readonly part: Part
  /** Number of each line of the block, or how many lines of the part stand before it. */
  readonly #numbers: Float64Array | number

  constructor(run: Run, part: Part, numbers: Float64Array | number) {
    this.run = run
    this.part = part
    this.#numbers = numbers
  }

  get first(): number {
    return this.run.first
  }

  get last(): number {
    return this.run.first + this.run.lines.length - 1
  }

  /** 64 hex digits. */
  hashOf(sequence: number): string {
    const at = 32 * (sequence - this.run.first)
    const { buffer, byteOffset } = this.run.hashes
    return Buffer.from(buffer, byteOffset + at, 32).toString('hex')
  }

  /** The number of a record's line in its part. */
  lineOf(sequence: number): number {
    const line = this.run.lines[sequence - this.run.first] as number
    return numberOf(this.#numbers, line)
  }

  /** Where a record stands in its stream. */
  positionOf(sequence: number): number {
    return positionIn(this.part, this.lineOf(sequence))
  }

  placeOf(sequence: number): Place {
    return { source: this.part.source, file: this.part.name, line: this.lineOf(sequence) }
  }
}

/** The number of a block's line, from 0, in its part. */
export function numberOf(numbers: Float64Array | number, line: number): number {
  return typeof numbers === 'number' ? numbers + line + 1 : (numbers[line] as number)
}
