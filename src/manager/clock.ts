/**
 * Time and timers.
 *
 * Reports, deadlocks and the ages in them follow the runtime's own clock, so the fake timers of a test runner
 * do not affect them. A request's `timeoutMs` is the program's own time limit. It follows the timers that the
 * program sees.
 */

import { original } from '../core/clock.ts'

interface Runtime {
  setTimeout(work: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  /** Absent in browsers. */
  setImmediate: ((work: () => void) => unknown) | undefined
  queueMicrotask(work: () => void): void
  /** Milliseconds since 1970. */
  now(): number
}

const setTimer = original('setTimeout') as Runtime['setTimeout']
const clearTimer = original('clearTimeout') as Runtime['clearTimeout']
const queue = original('queueMicrotask') as Runtime['queueMicrotask']

/**
 * The runtime's own functions, captured when this file is loaded. Only this project's tests replace them. A
 * browser's timers throw if they are called as methods of another object, hence the wrappers.
 */
export const runtime: Runtime = {
  setTimeout: (work, ms) => setTimer(work, ms),
  clearTimeout: (timer) => clearTimer(timer),
  setImmediate: original('setImmediate') as Runtime['setImmediate'],
  queueMicrotask: (work) => queue(work),
  now: (original('Date') as typeof Date).now,
}

/** The longest delay of a timer, in milliseconds. */
const MAX_MS = 2 ** 31 - 1
/** How long a reading of the coarse clock is used, in milliseconds. */
const COARSE_MS = 10

/** A reading that was used for longer than this, in milliseconds, is remembered. */
const STALE_MS = 30
/** The most readings that are remembered. */
const MAX_STALE = 100

let coarse = 0
let isFresh = false
/**
 * The readings that were used for too long because the event loop was blocked, each with the end of its use.
 */
const usedUntil = new Map<number, number>()

/**
 * Milliseconds since 1970, to within 10 ms plus the time for which the event loop was blocked
 * ({@link latestOf}). Cheap: reading the exact time costs as much as entering a request into its queues.
 */
export function coarseNow(): number {
  if (!isFresh) {
    coarse = runtime.now()
    isFresh = true
    unref(runtime.setTimeout(endReading, COARSE_MS))
  }
  return coarse
}

function endReading(): void {
  isFresh = false
  const at = runtime.now()
  if (at - coarse <= STALE_MS) return
  const [oldest] = usedUntil.keys()
  if (usedUntil.size >= MAX_STALE && oldest !== undefined) usedUntil.delete(oldest)
  usedUntil.set(coarse, at)
}

/**
 * The time for a reading of the coarse clock, in milliseconds since 1970: the end of its use if it was used
 * for too long; otherwise the reading itself.
 */
export function latestOf(reading: number): number {
  return usedUntil.get(reading) ?? reading
}

/** Milliseconds since 1970. */
export function now(): number {
  return runtime.now()
}

/**
 * Calls `work` after this many milliseconds of the program's timers, which a test may have replaced.
 * Returns a function that cancels it and throws nothing. If `ms` exceeds 2^31 − 1, never calls `work`.
 */
export function callAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, setTimeout, clearTimeout)
}

/** Like {@link callAfter}, with the runtime's own timers. */
export function reportAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, runtime.setTimeout, runtime.clearTimeout)
}

/** Like {@link reportAfter}, but does not keep the process alive. */
export function reportIdlyAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, (...args) => unref(runtime.setTimeout(...args)), runtime.clearTimeout)
}

/** Calls `work` after the current turn of the event loop. */
export function afterThisTurn(work: () => void): void {
  if (runtime.setImmediate) runtime.setImmediate(work)
  else runtime.setTimeout(work, 0)
}

function schedule<Timer>(
  ms: number,
  work: () => void,
  set: (work: () => void, ms: number) => Timer,
  clear: (timer: Timer) => void,
): () => void {
  if (ms > MAX_MS) return () => {}
  let isOver = false
  const timer = set(() => {
    if (!isOver) work()
  }, ms)
  return () => {
    isOver = true
    try {
      clear(timer)
    } catch {
      // A test has replaced the timers since. The timer fires, and does nothing.
    }
  }
}

/** Lets the process end before a timer fires. The timers of browsers have no `unref()`. */
function unref(timer: unknown): unknown {
  ;(timer as { unref?(): void }).unref?.()
  return timer
}
