/** Where something stands in a file; both are 1-based, and the column counts characters (code points). */
export interface Place {
  readonly line: number
  readonly column: number
}

/** The column of what stands at an index of a line. */
export function columnAt(line: string, index: number): number {
  return charactersIn(line.slice(0, index)) + 1
}

/** How many characters a text has, as an editor counts them. */
export function charactersIn(text: string): number {
  let count = text.length
  for (const pair of text.matchAll(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g)) count -= pair.length
  return count
}
