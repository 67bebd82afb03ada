import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

// What the log and the metrics are told of the spool's file, where it was lost.

interface Problem {
  readonly code: string
  readonly message: string
}

type Step =
  | { readonly step: 'lost'; readonly problem: Problem }
  | { readonly step: 'failed'; readonly problem: Problem; readonly attempts: number }
  | { readonly step: 'reopened'; readonly trail: string; readonly previous: string; readonly attempts: number }

/** Tells of a file that was lost, of tries to open another in vain (the first, and each time that the reason is another), and of success. */
export function reopeningTeller(metrics: Metrics, log: Log): (step: Step) => void {
  let told = ''
  return (step) => {
    switch (step.step) {
      case 'lost': {
        const { code, message } = step.problem
        told = ''
        metrics.count('countersign_spool_lost_total', { code })
        log('error', 'the spool’s file can be written to no more: another takes its place', { code, problem: message })
        return
      }
      case 'failed': {
        const { code, message } = step.problem
        if (code !== told)
          log('error', 'the spool could not be opened anew; it is tried again', { code, problem: message })
        told = code
        return
      }
      case 'reopened': {
        const { trail, previous, attempts } = step
        metrics.count('countersign_spool_reopened_total', {})
        log('warn', 'the spool was opened anew, with a new trail', { trail, previous, attempts })
      }
    }
  }
}
