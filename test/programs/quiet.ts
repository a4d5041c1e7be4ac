/** Suspends real timers and the reports of unhandled rejections while programs run. */

import { runtime } from '../../src/manager/clock.ts'

/** A timer that is due at a time of the mocked clock. */
interface Timer {
  readonly due: number
  readonly work: () => void
}

/** Mocked timers. Like real ones, those that are due together run in the order in which they were set. */
export class MockedTimers {
  #now = 0
  #timers: Timer[] = []

  readonly setTimeout = (work: () => void, ms = 0): Timer => {
    const timer = { due: this.#now + Math.max(ms, 1), work }
    this.#timers.push(timer)
    return timer
  }

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers = this.#timers.filter((one) => one !== timer)
  }

  /** Advances time by a millisecond. */
  tick(): void {
    this.#now++
    const due = this.#timers.filter((timer) => timer.due <= this.#now)
    for (const timer of due) {
      // An earlier timer may have cleared it.
      if (!this.#timers.includes(timer)) continue
      this.clearTimeout(timer)
      timer.work()
    }
  }

  /** Removes all timers. */
  clear(): void {
    this.#timers = []
  }
}

const EVENTS = ['unhandledRejection', 'rejectionHandled'] as const

/**
 * Installs mocked timers, also for the manager, and ignores unhandled rejections: programs make requests that
 * they await later or never. Returns the timers, and a function that undoes this.
 */
export function quiet(): { readonly timers: MockedTimers; undo(): void } {
  const ignore = (): void => {}
  const listeners = EVENTS.map((event) => process.listeners(event as 'unhandledRejection'))
  for (const event of EVENTS) {
    process.removeAllListeners(event)
    process.on(event, ignore)
  }
  const timers = new MockedTimers()
  const mocked = { setTimeout: timers.setTimeout, clearTimeout: timers.clearTimeout }
  const real = { ...runtime }
  const { setTimeout, clearTimeout } = globalThis
  Object.assign(runtime, mocked)
  Object.assign(globalThis, mocked)
  const undo = (): void => {
    Object.assign(runtime, real)
    Object.assign(globalThis, { setTimeout, clearTimeout })
    for (const [i, event] of EVENTS.entries()) {
      process.removeListener(event, ignore)
      for (const listener of listeners[i] ?? []) process.on(event, listener as () => void)
    }
  }
  return { timers, undo }
}
