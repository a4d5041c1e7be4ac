/**
 * The contended path: what an owner does to get a busy lock, be it a thread that blocks (thread-waiter.ts) or
 * an asynchronous task (task-waiter.ts). A generator: it yields what to sleep on, and its driver, one of the
 * two, sleeps and reports how the sleep ended.
 *
 * Source    the three-state futex mutex of U. Drepper, "Futexes are tricky" (2004), with the owner in
 *           the word.
 * Steps     1. Spin (threads only): look SPINS times, which outlasts a holder that is running. A task does
 *              not spin: its thread has other work.
 *           2. Park: publish the wait, set WAITER in the word, raise the sleep count, look for a
 *              deadlock, and sleep while the word is unchanged. Awake, take the lock with the bits set,
 *              for others may sleep behind. The first sleep is short, FIRST_SLEEP_MS (wait.ts). It may
 *              be long only if the sleep before it ended by time and the waiter bits then stood in the
 *              word, whichever owner it carries and whichever waiter set them.
 *           3. Drain: an owner that takes a lock which is open to readers is only its pending writer. It
 *              sleeps on the lock's row until they have left (readers.ts).
 * Tasks     A task sets WAKE_ALL beside WAITER: its thread may be busy when the lock is released, and a wake-up
 *           spent on it alone would leave others asleep beside a free lock. Where several tasks of one thread
 *           wait for one lock, only the first sleeps on its word and announces that (task-queue.ts). Readers
 *           set WAKE_ALL too, because they are to come in together.
 * Invariant A thread or task sleeps only on a word in which it has seen WAITER, after raising the sleep
 *           count: the thread that releases the lock sees one of the two, and wakes; or, on x86, it looked
 *           before, and its store is still in its store buffer (kernel.wat) and wipes the bits out
 *           unseen. A thread that sleeps long relies on the bits in the word, so this must hold: while
 *           such a store can be on its way to bits, a thread that has set them is awake or in a short
 *           sleep.
 *           - A store that wipes out bits unseen was issued before the sleep count was raised for
 *             them: otherwise the releasing thread reads the raised count after its store, and wakes all.
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
 *           - Where a task's bits were wiped out, others that rely on WAKE_ALL may sleep on: it takes the
 *             lock with both bits. A busy thread looks again late, so that a thread which came after and
 *             relies on the task's bits can sleep LONGEST_SLEEP_MS, and no longer.
 *           - Rows, and words that are SHARED, are changed by read-modify-writes alone, which leave no store
 *             behind: a pending writer's sleep on a row is long from the beginning.
 *           The rule is the same on all processors and for both kernels: it costs a wait of more than a
 *           millisecond one more sleep, and nothing else. test/interleavings explores it.
 *
 *           A lock that was taken here stands on its owner's list: nothing else pushes a contended lock there.
 * Cost      a park and a wake-up take tens of microseconds, a thousand uncontended transfers. Without a park
 *           there is no generator.
 */

import type { LockMode } from '../../core/modes.ts'
import { isLeft } from './abandoned.ts'
import { intend, pushHeld } from './held-list.ts'
import { SHARED, WAITER, WAKE_ALL, WANTED } from './layout.ts'
import { type Owner, proofOf } from './owners.ts'
import {
  admitWriter,
  isOpen,
  readersOf,
  rowOf,
  tryEnter,
  wakeMissed,
  withdrawWriter,
} from './readers.ts'
import { addressOf, type Table } from './table.ts'
import { enterQueue, isFirst, leaveQueue, ownWordOf, wakeQueue } from './task-queue.ts'
import { LONGEST_SLEEP_MS, type SleepEnd, type Terms, Wait } from './wait.ts'

/** How often a thread looks at a word before it sleeps: some hundred nanoseconds. */
const SPINS = 40

const { pause } = Atomics as { pause?: () => void }

/** A request to sleep until the word at index `at` is woken or no longer `value`, and `mostMs` at most. */
export interface Sleep {
  readonly at: number
  readonly value: number
  readonly mostMs: number
}

/** The steps of an acquisition: what to sleep on, and then how that ended. */
export type Steps<Result> = Generator<Sleep, Result, SleepEnd>

/** Takes a lock whose word was `seen`, if that needs no waiting. */
export function takeAtOnce(
  table: Table,
  owner: Owner,
  lock: number,
  mode: LockMode,
  seen: number,
): boolean {
  intend(table, owner, lock)
  if (!isOpen(seen)) return false
  if (mode === 'shared') return tryEnter(table, owner, lock)
  if (seen === SHARED && hasReaders(table, lock)) return false
  if (!tryTake(table, owner, lock, seen, 0)) return false
  if (seen === SHARED) {
    if (hasReaders(table, lock)) {
      withdrawWriter(table, lock)
      return false
    }
    admitWriter(table, lock)
  }
  pushHeld(table, owner, addressOf(table, lock))
  return true
}

/** Takes a lock if it becomes free while a thread looks at it SPINS times; {@link takeAtOnce} failed before. */
export function spin(table: Table, owner: Owner, lock: number, mode: LockMode): boolean {
  for (let look = 0; look < SPINS; look++) {
    const seen = wordOf(table, lock)
    if (mode === 'shared') {
      if (isOpen(seen) && tryEnter(table, owner, lock)) return true
    } else {
      // Readers have to be waited for.
      if (seen === SHARED) return false
      if (seen === 0 && tryTake(table, owner, lock, seen, 0)) {
        pushHeld(table, owner, addressOf(table, lock))
        return true
      }
    }
    pause?.()
  }
  return false
}

/** A lock that an owner acquires. */
export interface Acquired {
  readonly table: Table
  readonly owner: Owner
  readonly lock: number
  readonly mode: LockMode
  readonly terms: Terms
  /** Only for a task: publishes which of the code around it waits for it. Called whenever a proof is wanted. */
  readonly prove?: () => void
}

/**
 * Takes a lock, however long that takes; false if it turns out to be abandoned, and no thread repairs it.
 *
 * @throws DeadlockError, LockTimeoutError; then it is not taken.
 */
export function acquire(acquired: Acquired): Steps<boolean> {
  return new Acquisition(acquired).steps()
}

class Acquisition {
  readonly #table: Table
  readonly #owner: Owner
  readonly #lock: number
  readonly #mode: LockMode
  readonly #terms: Terms
  readonly #prove: (() => void) | undefined
  /** The waiter bits that it sets. */
  readonly #bits: number
  /** Published from the first time on that the lock is found busy. */
  #wait: Wait | undefined
  /** Whether the last sleep on the lock's word ended by a wake-up. */
  #isWoken = false

  constructor({ table, owner, lock, mode, terms, prove }: Acquired) {
    this.#table = table
    this.#owner = owner
    this.#lock = lock
    this.#mode = mode
    this.#terms = terms
    this.#prove = prove
    this.#bits = prove || mode === 'shared' ? WAITER | WAKE_ALL : WAITER
  }

  *steps(): Steps<boolean> {
    const table = this.#table
    intend(table, this.#owner, this.#lock)
    try {
      for (;;) {
        const seen = wordOf(table, this.#lock)
        if (isLeft(table, seen)) return false
        if (!isOpen(seen)) yield* this.#park(seen)
        else if (this.#mode === 'shared' ? this.#enter() : yield* this.#take(seen)) return true
      }
    } finally {
      // Also after an error: a wait that is given up must not stay published.
      this.#wait?.end()
      if (this.#prove) leaveQueue(table, this.#owner, this.#lock)
    }
  }

  /** Enters an open lock as one more reader. */
  #enter(): boolean {
    // A reader's bit passes for a holding, so no wait may be published beside it.
    this.#wait?.end()
    if (tryEnter(this.#table, this.#owner, this.#lock)) {
      if (this.#wait) wakeMissed(this.#table, this.#lock)
      return true
    }
    this.#wait?.publish()
    return false
  }

  /** Takes an open lock exclusively; false if its word is no longer `seen`. */
  *#take(seen: number): Steps<boolean> {
    const bits = this.#wait ? this.#bits : 0
    if (!tryTake(this.#table, this.#owner, this.#lock, seen, bits)) return false
    if (seen === SHARED) yield* this.#drain()
    this.#wait?.end()
    pushHeld(this.#table, this.#owner, addressOf(this.#table, this.#lock))
    return true
  }

  /** Sleeps on a busy lock, whose word was `seen`, or in the queue of the tasks that wait for it. */
  *#park(seen: number): Steps<void> {
    const [table, owner, bits] = [this.#table, this.#owner, this.#bits]
    const wait = this.#waiting()
    if (this.#prove) {
      enterQueue(table, owner, this.#lock)
      if (!isFirst(table, owner, this.#lock)) {
        yield* this.#sleep(ownWordOf(owner), 0, LONGEST_SLEEP_MS)
        wait.distrustBits()
        return
      }
      // An owner that saw no waiter bits did not look for deadlocks through the other tasks; and a thread that
      // woke this one may want a proof of theirs.
      const mayDeadlock = table.layout.order === 'free'
      if (mayDeadlock && (this.#isWoken || (seen & bits) !== bits)) wakeQueue(table, this.#lock)
    }
    const at = addressOf(table, this.#lock) >> 2
    const mostMs = wait.announce(at, seen, bits)
    this.#isWoken = false
    // The heir that this waits for may have gone before the wait was announced: then nothing wakes it.
    if (mostMs > 0 && !isLeft(table, seen)) {
      this.#isWoken = (yield* this.#sleep(at, seen | bits, mostMs)) === 'woken'
    }
  }

  /** Waits, as the lock's pending writer, until its readers have left. */
  *#drain(): Steps<void> {
    const table = this.#table
    // The next task in the queue waits for this one, and is to sleep on the word.
    if (this.#prove) leaveQueue(table, this.#owner, this.#lock)
    this.#wait?.change()
    let spins = this.#prove ? 0 : SPINS
    try {
      for (const row of rowOf(table, this.#lock)) {
        for (;;) {
          const readers = Atomics.load(table.words, row)
          if (readers === 0) break
          if (spins-- > 0) pause?.()
          else yield* this.#sleep(row, readers, LONGEST_SLEEP_MS)
        }
      }
    } catch (error) {
      this.#wait?.end()
      withdrawWriter(table, this.#lock)
      throw error
    }
    admitWriter(table, this.#lock)
  }

  /** Looks for a deadlock, sleeps, and then looks whether the time limit is over. */
  *#sleep(at: number, value: number, longestMs: number): Steps<SleepEnd> {
    const wait = this.#waiting()
    wait.refuseDeadlock()
    const end = yield { at, value, mostMs: wait.sleepMs(longestMs) }
    wait.slept(end)
    if (this.#prove && proofOf(this.#table, this.#owner.id) === WANTED) this.#prove()
    wait.refuseLate()
    return end
  }

  #waiting(): Wait {
    this.#wait ??= new Wait(this.#table, this.#owner, this.#lock, this.#mode, this.#terms)
    return this.#wait
  }
}

/** One try to take a lock whose word is `seen`, which is open; then also with these waiter bits. */
function tryTake(table: Table, owner: Owner, lock: number, seen: number, bits: number): boolean {
  const at = addressOf(table, lock) >> 2
  return Atomics.compareExchange(table.words, at, seen, owner.me | bits | seen) === seen
}

function hasReaders(table: Table, lock: number): boolean {
  return readersOf(table, lock).next().done !== true
}

function wordOf(table: Table, lock: number): number {
  return Atomics.load(table.words, addressOf(table, lock) >> 2)
}
