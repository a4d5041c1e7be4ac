/**
 * Time and timers.
 *
 * Reports, deadlocks and the ages in them follow the runtime's own clock: a test runner that puts fake
 * timers in place changes nothing of them. A request's `timeoutMs` is the program's own time limit, and
 * follows the timers that the program sees.
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
 * The runtime's own functions, captured when this file is loaded. Only this project's tests replace
 * them. A browser's timers throw when they are called as methods of another object.
 */
export const runtime: Runtime = {
  setTimeout: (work, ms) => setTimer(work, ms),
  clearTimeout: (timer) => clearTimer(timer),
  setImmediate: original('setImmediate') as Runtime['setImmediate'],
  queueMicrotask: (work) => queue(work),
  now: (original('Date') as typeof Date).now,
}

/** Timers take at most this many milliseconds. */
const MAX_MS = 2 ** 31 - 1
/** A reading of the coarse clock is used for this long. */
const COARSE_MS = 10

/** A reading that was used for longer than this is remembered. */
const STALE_MS = 30
/** This many are. */
const MAX_STALE = 100

let coarse = 0
let isFresh = false
/** Readings that were used for too long, because the event loop was blocked: until when. */
const usedUntil = new Map<number, number>()

/**
 * Milliseconds since 1970, to within 10 ms, and to within the time for which the event loop was
 * blocked ({@link latestOf}). Cheap: to ask for the exact time costs as much as a request's queues.
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

/** The latest time, in milliseconds since 1970, that a reading of the coarse clock can stand for. */
export function latestOf(reading: number): number {
  return usedUntil.get(reading) ?? reading
}

/** Milliseconds since 1970. */
export function now(): number {
  return runtime.now()
}

/**
 * Calls `work` after this many milliseconds of the program's timers, which a test may have replaced.
 * Returns a function that cancels it and throws nothing. Never calls `work` beyond 2^31 − 1.
 */
export function callAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, setTimeout, clearTimeout)
}

/** The same by the runtime's own timers. */
export function reportAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, runtime.setTimeout, runtime.clearTimeout)
}

/** The same; the process need not stay alive for it. */
export function reportIdlyAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, (...args) => unref(runtime.setTimeout(...args)), runtime.clearTimeout)
}

/** Calls `work` when the running turn of the event loop is over. */
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
      // A test has replaced the timers since. The timer comes, and does nothing.
    }
  }
}

/** Lets the process end before a timer is due. Timers of browsers have no such method. */
function unref(timer: unknown): unknown {
  ;(timer as { unref?(): void }).unref?.()
  return timer
}
