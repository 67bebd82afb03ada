import type { PolicyData } from '../../audit/event-data.ts'
import { policyEvent, type AuditEvent } from '../../audit/event.ts'

/** Keeps one audit event of a policy change. MUST NOT reject; false where it could not be kept: it is handed over again. */
export type PolicyRecorder = (event: AuditEvent) => Promise<boolean>

export interface AnnounceOptions {
  readonly record: PolicyRecorder
  /** Makes a UUIDv7. */
  readonly ids: () => string
  readonly now: () => Date
}

interface Waiting {
  readonly event: Promise<AuditEvent>
  readonly onKept: () => void
}

/** Has policy changes recorded in their order, each once; what could not be kept is handed over again when `retry` is called. */
export class Announcements {
  readonly #options: AnnounceOptions
  readonly #waiting: Waiting[] = []
  #recording = false

  constructor(options: AnnounceOptions) {
    this.#options = options
  }

  /**
   * Gives the time that the event says. Not waited for: neither a slow disk nor the comparison of two large policies may
   * hold back a change that takes a right away. `data` MUST NOT reject.
   */
  announce(data: PolicyData | Promise<PolicyData>, onKept: () => void = () => undefined): Date {
    const [time, id] = [this.#options.now(), this.#options.ids()]
    const event = Promise.resolve(data).then((written) => policyEvent(id, time, written))
    this.#waiting.push({ event, onKept })
    this.retry()
    return time
  }

  retry(): void {
    if (!this.#recording && this.#waiting.length > 0) void this.#record()
  }

  async #record(): Promise<void> {
    this.#recording = true
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!(await this.#options.record(await next.event))) break
      this.#waiting.shift()
      next.onKept()
    }
    this.#recording = false
  }
}
