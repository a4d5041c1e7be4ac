/**
 * The runtime's own clocks and timers, captured when this file is loaded: a fake clock of a test runner
 * changes nothing of them. For waits in shared memory, which no fake clock can shorten.
 */

import { spareFor } from './spare-timers.ts'

/** A fake clock of `@sinonjs/fake-timers` (sinon, jest, vitest) leaves itself on the functions it replaces. */
interface Replaced {
  readonly clock?: Readonly<Record<string, unknown>>
}

/**
 * The runtime's own function of this name on an object: the one behind a fake clock, if there is one, or a
 * substitute where a fake clock hides it.
 */
export function original(name: string, on: object = globalThis): unknown {
  const current = (on as Record<string, unknown>)[name] as Replaced | undefined
  return current?.clock?.[`_${name}`] ?? spareFor(name, current) ?? current
}

const clock = original('performance') as typeof performance
/** As its prototype has it: a fake clock, or the program, may have put another one on the object itself. */
const readClock = (Object.getPrototypeOf(clock) as Partial<typeof clock>).now ?? clock.now
const setTimer = original('setTimeout') as (work: () => void, ms: number) => unknown
const setRepeated = original('setInterval') as typeof setTimer
const clearRepeated = original('clearInterval') as (timer: unknown) => void
/** As long as a timer can be. */
const MAX_MS = 2 ** 31 - 1

/** Milliseconds on a clock that is never put back: what `performance.now()` reads. */
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

/** Keeps the process alive until the function that it returns is called. */
export function keepAlive(): () => void {
  const timer = setRepeated(() => {}, MAX_MS)
  return () => clearRepeated(timer)
}
