/**
 * The contended path of one thread: stand back, spin, then sleep until the lock is free.
 *
 * Source    the three-state futex mutex of U. Drepper, "Futexes are tricky" (2004), with the owner in
 *           the word; standing back from a hot lock after D. Dice, "Malthusian locks" (2015).
 * Steps     1. Hot? Where a thread meets busy locks every few microseconds, two threads that run at
 *              once mostly pass cache lines to and fro. One that holds nothing then naps for some
 *              200 µs and leaves the locks to whoever runs.
 *           2. Spin: look SPINS times, which outlasts a holder that is running.
 *           3. Park: publish the wait, set WAITER in the word, raise the sleep count, look for a
 *              deadlock, and sleep while the word is unchanged. Awake, take the lock with WAITER set,
 *              for others may sleep behind.
 * Invariant A thread sleeps only on a word in which it has seen WAITER, after raising the sleep count:
 *           whoever frees the lock sees one of the two, and wakes. (On x86 the freeing store may come
 *           some hundred nanoseconds after the freeing thread looked, kernel.wat: so nobody sleeps
 *           longer than LONGEST_SLEEP_MS without looking again.)
 * Fairness  A woken waiter needs some 50 µs to come, and can find the lock taken again. So a thread that
 *           wakes others again and again stands back itself, once in FAIR_MS, when it holds nothing
 *           (eventual fairness, as in Rust's parking_lot). A nap is bounded, and a thread that has
 *           napped is no longer hot, so nobody stands back twice for one lock.
 * Cost      a park and a wake-up take tens of microseconds, a thousand uncontended transfers.
 */

import { type Caller, DeadlockError } from '../../core/errors.ts'
import { findDeadlock } from './deadlock.ts'
import { isLeft, noticeEndOf } from './deaths.ts'
import { damaged, FREE_SLOT, HEADER, SLOT, WAITER, WAKE_ALL } from './layout.ts'
import { endWait, kindOf, type Owner, publishWait } from './owners.ts'
import { ownerIn, type Table } from './table.ts'

/** How often a waiter looks at the word before it sleeps: some hundred nanoseconds. */
const SPINS = 40
/** Two busy locks within this time are one more degree of heat; every such time without, one less. */
const HEAT_WINDOW_MS = 0.002
/** A thread this hot stands back. */
const HOT = 3
const NAP_MS = 0.2
/** A thread that wakes others lets them go first once in this time. */
const FAIR_MS = 0.1
/** Nobody sleeps longer than this without looking at the lock again, and whether its owner lives. */
export const LONGEST_SLEEP_MS = 100

const { pause } = Atomics as { pause?: () => void }

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
export class Waiter {
  readonly #table: Table
  readonly #owner: Owner
  #heat = 0
  #lastBusyMs = 0
  #lastFairMs = 0

  /** How often this thread slept because a lock was busy: parked, or stood back. */
  sleeps = 0

  constructor(table: Table, owner: Owner) {
    this.#table = table
    this.#owner = owner
  }

  /** Another busy lock was met: are there so many that this thread should stand back? */
  metBusyLock(): boolean {
    const now = performance.now()
    const windows = (now - this.#lastBusyMs) / HEAT_WINDOW_MS
    this.#heat = windows < 1 ? this.#heat + 1 : Math.max(0, this.#heat - windows)
    this.#lastBusyMs = now
    return this.#heat >= HOT
  }

  /** Stands back for a moment. Only for a thread that holds nothing: others would wait for it. */
  nap(): void {
    this.sleeps++
    this.#heat = 0
    Atomics.wait(this.#table.words, (this.#owner.slot + SLOT.nap) >> 2, 0, NAP_MS)
  }

  /** Someone was woken: is it time to let him go first? Only for a thread that holds nothing. */
  letWokenGoFirst(): void {
    const now = performance.now()
    if (now - this.#lastFairMs < FAIR_MS || !mayBlock) return
    this.nap()
    this.#lastFairMs = performance.now()
  }

  /**
   * Takes the lock at `word`, however long that takes; false if it turns out to be abandoned, with
   * nobody at work on it. `caller` is left out of the published stack.
   */
  take(word: number, caller: Caller): boolean {
    const { words } = this.#table
    const at = word >> 2
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(words, at) === 0) {
        if (Atomics.compareExchange(words, at, 0, this.#owner.me) === 0) return true
      }
      pause?.()
    }
    return this.#park(word, caller)
  }

  #park(word: number, caller: Caller): boolean {
    const table = this.#table
    const { words, layout } = table
    const at = word >> 2
    const mayDeadlock = layout.order === 'free'
    publishWait(table, this.#owner, word, mayDeadlock ? stackAt(caller) : '')
    let checked = !mayDeadlock
    let taken = false
    while (!taken) {
      const seen = Atomics.load(words, at)
      if (seen === 0) {
        taken = Atomics.compareExchange(words, at, 0, this.#owner.me | WAITER) === 0
      } else if (isLeft(table, seen)) break
      else if (announceSleep(words, at, seen, WAITER)) {
        if (!checked) {
          checked = true
          const report = findDeadlock(table, this.#owner)
          if (report) throw new DeadlockError(report, caller)
        }
        const end = Atomics.wait(words, at, seen | WAITER, LONGEST_SLEEP_MS)
        if (end !== 'not-equal') this.sleeps++
        if (end === 'timed-out') lookAfter(table, this.#owner, at)
      }
    }
    endWait(table, this.#owner)
    return taken
  }
}

/**
 * Sets waiter bits in the word at index `at`, which was read as `seen`, and raises the sleep count:
 * true when the caller may now sleep on `seen | bits`.
 */
export function announceSleep(words: Int32Array, at: number, seen: number, bits: number): boolean {
  if ((seen & bits) !== bits && Atomics.compareExchange(words, at, seen, seen | bits) !== seen) {
    return false
  }
  Atomics.add(words, HEADER.sleepCount >> 2, 1)
  return true
}

/** After a long sleep on the word at index `at`: does its owner live, is there such an owner at all? */
export function lookAfter(table: Table, owner: Owner, at: number): void {
  const seen = Atomics.load(table.words, at)
  const holder = ownerIn(seen)
  if (holder === 0) return
  const isNobody = (): boolean => kindOf(table, holder) === FREE_SLOT
  if (!isNobody()) noticeEndOf(table, owner, holder)
  // Twice: its place may be another's by now, and the lock too.
  else if (Atomics.load(table.words, at) === seen && isNobody()) {
    throw damaged(`owner ${holder} holds a lock, and is nobody`)
  }
}

/** Wakes those who sleep on a lock that was just freed, as its waiter bits ask for: were there any? */
export function wake(words: Int32Array, word: number, bits: number): boolean {
  const most = (bits & WAKE_ALL) !== 0 ? Number.POSITIVE_INFINITY : 1
  return Atomics.notify(words, word >> 2, most) > 0
}

/** Where these locks' own code lies. */
const FOLDER = new URL('.', import.meta.url).href

/** The call stack above `caller`, a line a call, innermost first, without heading, our own and Node's calls. */
export function stackAt(caller: Caller): string {
  const holder: { stack?: string } = {}
  if (Error.captureStackTrace) Error.captureStackTrace(holder, caller)
  else holder.stack = new Error().stack ?? ''
  return textOf(holder.stack)
    .split('\n')
    .filter(
      (line) => line.includes(':') && !line.includes('node:internal') && !line.includes(FOLDER),
    )
    .map((line) => line.trim())
    .join('\n')
}

/** A stack as text, also where a program's own `Error.prepareStackTrace` makes something else of it. */
function textOf(stack: unknown): string {
  if (Array.isArray(stack)) return stack.map((call) => `at ${String(call)}`).join('\n')
  return String(stack ?? '')
}
