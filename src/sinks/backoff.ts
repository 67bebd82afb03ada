const firstMs = 200
const longestMs = 10_000

/** How long a lane waits after this many failures in a row, from 1 on: twice as long each time, and ten seconds at most. */
export function backoffMs(failures: number): number {
  return Math.min(longestMs, firstMs * 2 ** (failures - 1))
}
