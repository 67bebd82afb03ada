import type { Server } from './server.ts'

/** The server's resident memory over a time, in megabytes (10⁶ bytes), one sample a second. */
export interface Memory {
  /** Ends the sampling. */
  stop(): Samples
}

export interface Samples {
  readonly highestMb: number
  /** By how much it grew per minute over the last half of the time: the slope of the line that fits the samples best. */
  readonly growthMbPerMinute: number
}

interface Sample {
  readonly minute: number
  readonly mb: number
}

export function watchMemory(server: Server): Memory {
  const samples: Sample[] = []
  const began = performance.now()
  const timer = setInterval(() => {
    samples.push({ minute: (performance.now() - began) / 60_000, mb: server.residentMb() })
  }, 1000)
  return {
    stop: () => {
      clearInterval(timer)
      const lastHalf = samples.slice(Math.floor(samples.length / 2))
      return { highestMb: Math.max(...samples.map(({ mb }) => mb)), growthMbPerMinute: slope(lastHalf) }
    },
  }
}

/** Least squares. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, each) => sum + of(each), 0) / samples.length
  const [minute, mb] = [mean((each) => each.minute), mean((each) => each.mb)]
  const covariance = mean((each) => (each.minute - minute) * (each.mb - mb))
  return covariance / mean((each) => (each.minute - minute) ** 2)
}
