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
 *              for others may sleep behind. The first sleep is short, FIRST_SLEEP_MS (wait.ts). It may
 *              be long only if the sleep before it ended by time and the waiter bits then stood in the
 *              word, whoever its owner and whoever set them.
 *           4. Drain: a lock that was open to readers is only claimed by that. Sleep on its row until
 *              they have left (readers.ts).
 * Invariant A thread sleeps only on a word in which it has seen WAITER, after raising the sleep count:
 *           the thread that frees the lock sees one of the two, and wakes; or, on x86, it looked
 *           before, and its store is still in its store buffer (kernel.wat) and wipes the bits out
 *           unseen. A thread that sleeps long relies on the bits in the word, so this must hold: while
 *           such a store can be on its way to bits, a thread that has set them is awake or in a short
 *           sleep.
 *           - A store that wipes out bits unseen was issued before the sleep count was raised for
 *             them: otherwise the freeing thread reads the raised count after its store, and wakes all.
 *             So it has landed when a short sleep ends by time that began after that.
 *           - Bits that stand then are safe, or another thread has set them since, and is the one that
 *             looks again. That the same owner may have the lock once more makes no difference.
 *           - A taker that slept sets WAITER by the operation that takes the lock: its own thread
 *             cannot overlook it. Only the owner in the word can have a store on its way to it.
 *           - A spurious wake-up proves nothing about stores: the next sleep is short again.
 *           - Bits that are gone are set anew, which begins with a short sleep; or the lock is taken
 *             with them; or the waiter gives up, and wakes the others (wait.ts). A reader has no place
 *             for them in a word that is SHARED, and wakes all when it enters. A deadlock's victim need
 *             not: the owner waits too, and published that by an operation that empties its buffer.
 *           - Rows and claims are changed by read-modify-writes alone, which leave no store behind: a
 *             claimer's sleep on a row is long from the beginning.
 *           The rule is the same on all processors and for both kernels: it costs a wait of more than a
 *           millisecond one more sleep, and nothing else. test/interleavings explores it.
 * Fairness  A woken waiter needs some 50 µs to come, and can find the lock taken again. So a thread that
 *           wakes others again and again stands back itself, once in FAIR_MS, when it holds nothing
 *           (eventual fairness, as in Rust's parking_lot). A nap is bounded, and a thread that has
 *           napped is no longer hot, so nobody stands back twice for one lock.
 * Cost      a park and a wake-up take tens of microseconds, a thousand uncontended transfers.
 */

import { elapsedMs } from '../../core/clock.ts'
import type { LockMode } from '../../core/modes.ts'
import { isLeft } from './deaths.ts'
import { SHARED, SLOT, WAITER, WAKE_ALL } from './layout.ts'
import type { Owner } from './owners.ts'
import { endClaim, giveUpClaim, isOpen, readersOf, rowOf, tryEnter, wakeMissed } from './readers.ts'
import { addressOf, type Table } from './table.ts'
import { LONGEST_SLEEP_MS, type Terms, Wait } from './wait.ts'

/** How often a waiter looks at the word before it sleeps: some hundred nanoseconds. */
const SPINS = 40
/** Two busy locks within this time are one more degree of heat; every such time without, one less. */
const HEAT_WINDOW_MS = 0.002
/** A thread this hot stands back. */
const HOT = 3
const NAP_MS = 0.2
/** A thread that wakes others lets them go first once in this time. */
const FAIR_MS = 0.1

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
    const now = elapsedMs()
    const windows = (now - this.#lastBusyMs) / HEAT_WINDOW_MS
    this.#heat = windows < 1 ? this.#heat + 1 : Math.max(0, this.#heat - windows)
    this.#lastBusyMs = now
    return this.#heat >= HOT
  }

  /** Stands back for a moment. Only for a thread that holds nothing: others would wait for it. */
  backOff(): void {
    this.sleeps++
    this.#heat = 0
    Atomics.wait(this.#table.words, (this.#owner.slot + SLOT.nap) >> 2, 0, NAP_MS)
  }

  /** Someone was woken: is it time to let him go first? Only for a thread that holds nothing. */
  letWokenGoFirst(): void {
    const now = elapsedMs()
    if (now - this.#lastFairMs < FAIR_MS || !mayBlock) return
    this.backOff()
    this.#lastFairMs = elapsedMs()
  }

  /**
   * Takes a lock, however long that takes; false if it turns out to be abandoned, with nobody at work
   * on it.
   *
   * @throws DeadlockError, LockTimeoutError; then it is not taken.
   */
  take(lock: number, mode: LockMode, terms: Terms): boolean {
    for (let spin = 0; spin < SPINS; spin++) {
      const seen = this.#wordOf(lock)
      if (isOpen(seen) && this.#tryTake(lock, mode, seen, 0)) {
        if (mustDrain(mode, seen)) this.#drain(lock, terms, undefined)
        return true
      }
      pause?.()
    }
    return this.#park(lock, mode, terms)
  }

  /** Takes a lock if that needs no waiting, as its word was `seen`. */
  takeAtOnce(lock: number, mode: LockMode, seen: number): boolean {
    if (!isOpen(seen)) return false
    if (!mustDrain(mode, seen)) return this.#tryTake(lock, mode, seen, 0)
    if (this.#hasReaders(lock) || !this.#tryTake(lock, mode, seen, 0)) return false
    const isMine = !this.#hasReaders(lock)
    if (isMine) endClaim(this.#table, lock)
    else giveUpClaim(this.#table, lock)
    return isMine
  }

  #hasReaders(lock: number): boolean {
    return readersOf(this.#table, lock).next().done !== true
  }

  /** One try for a lock whose word is `seen`, which is open; then also with these waiter bits. */
  #tryTake(lock: number, mode: LockMode, seen: number, bits: number): boolean {
    if (mode === 'shared') return tryEnter(this.#table, this.#owner, lock)
    const at = addressOf(this.#table, lock) >> 2
    return (
      Atomics.compareExchange(this.#table.words, at, seen, this.#owner.me | bits | seen) === seen
    )
  }

  #park(lock: number, mode: LockMode, terms: Terms): boolean {
    // The readers that sleep are to come in together, so each of them asks that all be woken.
    const bits = mode === 'shared' ? WAITER | WAKE_ALL : WAITER
    const wait = new Wait(this.#table, this.#owner, lock, mode, terms)
    try {
      for (;;) {
        const seen = this.#wordOf(lock)
        if (isLeft(this.#table, seen)) {
          wait.end()
          return false
        }
        if (isOpen(seen)) {
          // A reader's bit passes for a holding, so no wait may be published beside it.
          if (mode === 'shared') wait.end()
          if (this.#tryTake(lock, mode, seen, WAITER)) {
            if (mode === 'shared') wakeMissed(this.#table, lock)
            if (mustDrain(mode, seen)) this.#drain(lock, terms, wait)
            if (mode === 'exclusive') wait.end()
            return true
          }
          if (mode === 'shared') wait.publish()
          continue
        }
        const at = addressOf(this.#table, lock) >> 2
        const longestMs = wait.announce(at, seen, bits)
        // The heir that this waits for may have gone before it was announced: then nobody wakes us.
        if (longestMs > 0 && !isLeft(this.#table, seen)) {
          wait.refuseDeadlock()
          this.#sleep(at, seen | bits, wait, longestMs)
          wait.refuseLate()
        }
      }
    } catch (error) {
      // Whatever the error: a wait that is given up must not stay published.
      wait.end()
      throw error
    }
  }

  /** Waits until the readers of a lock that this thread has claimed have left: then it is held. */
  #drain(lock: number, terms: Terms, parked: Wait | undefined): void {
    let wait = parked
    let spins = 0
    wait?.change()
    try {
      for (const row of rowOf(this.#table, lock)) {
        for (;;) {
          const readers = Atomics.load(this.#table.words, row)
          if (readers === 0) break
          if (++spins <= SPINS) pause?.()
          else {
            wait ??= new Wait(this.#table, this.#owner, lock, 'exclusive', terms)
            wait.refuseDeadlock()
            this.#sleep(row, readers, wait, LONGEST_SLEEP_MS)
            wait.refuseLate()
          }
        }
      }
    } catch (error) {
      wait?.end()
      giveUpClaim(this.#table, lock)
      throw error
    }
    endClaim(this.#table, lock)
    if (!parked) wait?.end()
  }

  #sleep(at: number, value: number, wait: Wait, longestMs: number): void {
    const end = Atomics.wait(this.#table.words, at, value, wait.sleepMs(longestMs))
    if (end !== 'not-equal') this.sleeps++
    wait.slept(end !== 'timed-out')
  }

  #wordOf(lock: number): number {
    return Atomics.load(this.#table.words, addressOf(this.#table, lock) >> 2)
  }
}

/** Whether who took a lock whose word was `seen` has only claimed it. */
function mustDrain(mode: LockMode, seen: number): boolean {
  return mode === 'exclusive' && seen === SHARED
}
