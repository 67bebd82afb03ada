import type { PolicyData } from '../audit/event-data.ts'
import { policyEvent, type AuditEvent } from '../audit/event.ts'

/** Keeps one audit event of a policy change. MUST NOT reject; false where it could not be kept: it is handed over again. */
export type PolicyRecorder = (event: AuditEvent) => Promise<boolean>

export interface AnnounceOptions {
  readonly record: PolicyRecorder
  /** Makes a UUIDv7. */
  readonly ids: () => string
  readonly now: () => Date
}

/** Has policy changes recorded in their order, each once; what could not be kept is handed over again when `retry` is called. */
export class Announcements {
  readonly #options: AnnounceOptions
  readonly #waiting: { readonly event: AuditEvent; readonly onKept: () => void }[] = []
  #recording = false

  constructor(options: AnnounceOptions) {
    this.#options = options
  }

  /** Gives the time that the event says. Not waited for: a slow disk must not hold back a change that takes a right away. */
  announce(data: PolicyData, onKept: () => void = () => undefined): Date {
    const time = this.#options.now()
    this.#waiting.push({ event: policyEvent(this.#options.ids(), time, data), onKept })
    this.retry()
    return time
  }

  retry(): void {
    if (!this.#recording && this.#waiting.length > 0) void this.#record()
  }

  async #record(): Promise<void> {
    this.#recording = true
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!(await this.#options.record(next.event))) break
      this.#waiting.shift()
      next.onKept()
    }
    this.#recording = false
  }
}
