/**
 * Waits for locks on behalf of one thread: it backs off, spins, or blocks. The blocking driver of acquire.ts.
 *
 * Source    backing off from a contended lock after D. Dice, "Malthusian locks" (2015).
 * Steps     1. Back off: where a thread meets busy locks every few microseconds, two running threads mostly
 *              move cache lines back and forth. A thread that holds nothing then sleeps for some 200 µs and
 *              leaves the locks to the threads that run.
 *           2. Spin, then park: acquire.ts.
 * Fairness  A woken waiter needs some 50 µs to run, and can find the lock taken again. So a thread that
 *           repeatedly wakes others backs off itself, once in FAIR_MS, when it holds nothing (eventual
 *           fairness, as in Rust's parking_lot). This sleep is bounded. A thread that has backed off counts
 *           contention from 0 again, so it does not back off at the next busy lock.
 */

import { elapsedMs } from '../../core/clock.ts'
import type { LockMode } from '../../core/modes.ts'
import { acquire, type Sleep, type Steps, spin } from './acquire.ts'
import { SLOT } from './layout.ts'
import type { Owner } from './owners.ts'
import type { Table } from './table.ts'
import type { SleepEnd, Terms } from './wait.ts'

/**
 * A busy lock that follows another one within this time raises the contention by one. Each period of this
 * length without a busy lock lowers it by one.
 */
const CONTENTION_WINDOW_MS = 0.002
/** A thread that meets this much contention backs off. */
const CONTENDED = 3
const BACK_OFF_MS = 0.2
/** A thread that wakes others lets them go first once in this time. */
const FAIR_MS = 0.1

/** Whether this thread may sleep; a browser's main thread may not. */
export const mayBlock: boolean = canWait()

function canWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0)
    return true
  } catch {
    return false
  }
}

/** Waits for locks on behalf of one thread. */
export class ThreadWaiter {
  readonly #table: Table
  readonly #owner: Owner
  #contention = 0
  #lastBusyMs = 0
  #lastFairMs = 0

  /** How often this thread parked or backed off; includes the sleeps that let woken threads go first. */
  sleeps = 0

  constructor(table: Table, owner: Owner) {
    this.#table = table
    this.#owner = owner
  }

  /** Counts another busy lock; returns whether the thread meets so many that it should back off. */
  metBusyLock(): boolean {
    const now = elapsedMs()
    const windows = (now - this.#lastBusyMs) / CONTENTION_WINDOW_MS
    this.#contention = windows < 1 ? this.#contention + 1 : Math.max(0, this.#contention - windows)
    this.#lastBusyMs = now
    return this.#contention >= CONTENDED
  }

  /** Sleeps briefly. Only for a thread that holds nothing: others would wait for its locks. */
  backOff(): void {
    this.sleeps++
    this.#contention = 0
    Atomics.wait(this.#table.words, (this.#owner.slot + SLOT.backOff) >> 2, 0, BACK_OFF_MS)
  }

  /** Lets a waiter that was just woken go first, if that is due. Only for a thread that holds nothing. */
  letWokenGoFirst(): void {
    const now = elapsedMs()
    if (now - this.#lastFairMs < FAIR_MS || !mayBlock) return
    this.backOff()
    this.#lastFairMs = elapsedMs()
  }

  /**
   * Takes a lock after {@link takeAtOnce} failed, however long that takes. Returns false if the lock turns
   * out to be abandoned and no owner repairs it.
   *
   * @throws DeadlockError, LockTimeoutError; the lock is then not taken.
   */
  take(lock: number, mode: LockMode, terms: Terms): boolean {
    const [table, owner] = [this.#table, this.#owner]
    return (
      spin(table, owner, lock, mode) || this.#block(acquire({ table, owner, lock, mode, terms }))
    )
  }

  /** Runs an acquisition; sleeps by `Atomics.wait`. */
  #block(steps: Steps<boolean>): boolean {
    let step = steps.next()
    while (!step.done) {
      try {
        step = steps.next(this.#sleep(step.value))
      } catch (error) {
        step = steps.throw(error)
      }
    }
    return step.value
  }

  #sleep({ at, value, mostMs }: Sleep): SleepEnd {
    const end = Atomics.wait(this.#table.words, at, value, mostMs)
    if (end !== 'not-equal') this.sleeps++
    return end === 'timed-out' ? 'timed-out' : 'woken'
  }
}
