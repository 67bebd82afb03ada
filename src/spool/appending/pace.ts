/** The file is looked at this often: it may have been deleted, replaced or damaged while nobody wrote to it. */
const checkMs = 500
/** Cursors that no batch carries are written by themselves after this long. */
const cursorMs = 200

/** When the writer runs: soon, where something came that somebody waits for; later, for what can wait. */
export class Pace {
  readonly #run: () => void
  #soon = false
  #checkIsDue = false
  readonly #checkTimer: NodeJS.Timeout
  #gapTimer: NodeJS.Timeout | undefined
  #cursorTimer: NodeJS.Timeout | undefined

  constructor(run: () => void) {
    this.#run = run
    this.#checkTimer = setInterval(() => {
      this.#checkIsDue = true
      this.soon()
    }, checkMs).unref()
  }

  get checkIsDue(): boolean {
    return this.#checkIsDue
  }

  /** Returns whether the file has to be looked at now. */
  takeCheck(): boolean {
    const isDue = this.#checkIsDue
    this.#checkIsDue = false
    return isDue
  }

  /** What the same turn of the event loop brings shares one transaction. */
  soon(): void {
    if (this.#soon) return
    this.#soon = true
    setImmediate(() => {
      this.#soon = false
      this.#run()
    })
  }

  /** For a gap that may be written in so many milliseconds. */
  forGap(inMs: number): void {
    this.#gapTimer ??= setTimeout(() => {
      this.#gapTimer = undefined
      this.#run()
    }, inMs)
  }

  forCursor(): void {
    this.#cursorTimer ??= setTimeout(() => {
      this.#cursorTimer = undefined
      this.#run()
    }, cursorMs)
  }

  /** The trail is about to end: nobody asks for what the file is like any more. */
  endChecks(): void {
    clearInterval(this.#checkTimer)
    this.#checkIsDue = false
  }

  end(): void {
    this.endChecks()
    clearTimeout(this.#gapTimer)
    clearTimeout(this.#cursorTimer)
  }
}
