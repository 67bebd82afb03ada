import type { Part } from './part.ts'
import type { Place } from './problem.ts'

/** Whether the record that stood at a place has been removed as agreed: only that explains that it is not here. */
export type IsGone = (place: Place) => boolean

/** What is known of other places is no excuse: they must be among these parts. Looks at the parts when it is first asked. */
export function goneFrom(parts: readonly Part[]): IsGone {
  let first: ReadonlyMap<string, number> | undefined
  return ({ file, line }) => {
    first ??= new Map(parts.flatMap(({ name, removed }) => (removed === undefined ? [] : [[name, removed.line]])))
    return line < (first.get(file) ?? 0)
  }
}
