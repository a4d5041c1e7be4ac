/** Timers that fire only when a test advances their time. They replace those of the manager and the program. */

import { runtime } from '../src/manager/clock.ts'

/** A timer that is due at a time of the mocked clock. */
interface Timer {
  readonly dueMs: number
  readonly work: () => void
}

/** Mocked timers. Like real ones, those that are due together run in the order in which they were set. */
export class MockedTimers {
  #nowMs: number
  #timers: Timer[] = []

  constructor(nowMs = 0) {
    this.#nowMs = nowMs
  }

  readonly setTimeout = (work: () => void, ms = 0): Timer => {
    const timer = { dueMs: this.#nowMs + Math.max(ms, 1), work }
    this.#timers.push(timer)
    return timer
  }

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers = this.#timers.filter((one) => one !== timer)
  }

  readonly now = (): number => this.#nowMs

  /** Advances the time to the first timer that is due by `untilMs`, and runs it; if there is none, to `untilMs`. */
  runNext(untilMs: number): boolean {
    const dueMs = Math.min(...this.#timers.map((timer) => timer.dueMs))
    const next = dueMs <= untilMs && this.#timers.find((timer) => timer.dueMs === dueMs)
    this.#nowMs = next ? dueMs : untilMs
    if (!next) return false
    this.clearTimeout(next)
    next.work()
    return true
  }

  /** Advances the time by some milliseconds, and runs the timers that are due until then. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    while (this.runNext(untilMs));
  }

  /** Removes all timers. */
  clear(): void {
    this.#timers = []
  }
}

/** Replaces the timers of the manager and of the program. Returns a function that undoes this. */
export function install({ setTimeout, clearTimeout }: MockedTimers): () => void {
  const mocked = { setTimeout, clearTimeout }
  const real = { ...runtime }
  const { setTimeout: set, clearTimeout: clear } = globalThis
  Object.assign(runtime, mocked)
  Object.assign(globalThis, mocked)
  return () => {
    Object.assign(runtime, real)
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear })
  }
}
