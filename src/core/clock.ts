/**
 * The runtime's own clocks and timers, captured when this file is loaded: a test runner's fake clock does not
 * affect them. Waits in shared memory use these clocks, because a fake clock cannot shorten such a wait.
 */

import { spareFor } from './spare-timers.ts'

/** A function replaced by `@sinonjs/fake-timers` (sinon, jest, vitest): it carries its fake clock. */
interface Replaced {
  readonly clock?: Readonly<Record<string, unknown>>
}

/**
 * Returns the runtime's own function of this name on an object. Looks behind a fake clock, if there is one.
 * Returns a substitute if the fake clock hides the original.
 */
export function original(name: string, on: object = globalThis): unknown {
  const current = (on as Record<string, unknown>)[name] as Replaced | undefined
  return current?.clock?.[`_${name}`] ?? spareFor(name, current) ?? current
}

const clock = original('performance') as typeof performance
/**
 * Taken from the prototype: a fake clock, or the program, may have set another `now` on the object itself.
 */
const readClock = (Object.getPrototypeOf(clock) as Partial<typeof clock>).now ?? clock.now
const setTimer = original('setTimeout') as (work: () => void, ms: number) => unknown
const setRepeated = original('setInterval') as typeof setTimer
const clearRepeated = original('clearInterval') as (timer: unknown) => void
/** The longest delay that a timer accepts. */
const MAX_MS = 2 ** 31 - 1

/** Milliseconds on the monotonic clock of `performance.now()`. */
export function elapsedMs(): number {
  return readClock.call(clock)
}

/** Milliseconds since 1970, on a clock that all threads share. */
export function nowMs(): number {
  return clock.timeOrigin + elapsedMs()
}

/** Settles after this many milliseconds. */
export function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimer(resolve, ms)
  })
}

/** Keeps the process alive until the returned function is called. */
export function keepAlive(): () => void {
  const timer = setRepeated(() => {}, MAX_MS)
  return () => clearRepeated(timer)
}
