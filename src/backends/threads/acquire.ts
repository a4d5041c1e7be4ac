/**
 * The contended path: how an owner gets a busy lock. The owner is a thread that blocks (thread-waiter.ts) or
 * an asynchronous task (task-waiter.ts). The acquisition is a generator: it yields what to sleep on. One of
 * the two files drives it: the driver sleeps and reports how the sleep ended.
 *
 * Source    the three-state futex mutex of U. Drepper, "Futexes are tricky" (2004), with the owner in
 *           the word.
 * Steps     1. Spin (threads only): check the word SPINS times, which outlasts a short hold. A task does not
 *              spin, because its thread has other work.
 *           2. Park: publish the wait, set WAITER in the word, raise the sleep count, look for a deadlock,
 *              and sleep while the word is unchanged. Once awake, take the lock with the waiter bits set,
 *              because others may still sleep. The first sleep is short (FIRST_SLEEP_MS, wait.ts). A later
 *              sleep may be long only if the previous one timed out and the waiter bits were still set after
 *              it. It does not matter which owner the word carries, or which waiter set the bits.
 *           3. Drain: an owner that takes a lock with readers is at first only its pending writer. It
 *              sleeps on the lock's row until they have left (readers.ts).
 * Tasks     A task sets WAKE_ALL beside WAITER: its thread may be busy when the lock is released. A wake-up
 *           for that task only would then leave others asleep beside a free lock. Where several tasks of
 *           one thread wait for one lock, only the first sets the waiter bits and sleeps on the lock's word
 *           (task-queue.ts). Readers set WAKE_ALL too, because they are to enter together.
 * Invariant A thread or task sleeps on a lock's word only after it saw or set WAITER there, and then raised
 *           the sleep count. The thread that releases the lock sees one of the two, and wakes it.
 *
 *           On x86 there is an exception: the releasing thread read both earlier, and its store is still in
 *           its store buffer (kernel.wat). That store erases bits that the releasing thread did not see.
 *
 *           A thread in a long sleep relies on the bits in the word. So the rule is: while a pending store
 *           can still erase bits, a thread that set them is awake or in a short sleep.
 *           - A store that erases such bits was issued before the waiter raised the sleep count. If it came
 *             later, the releasing thread would read the raised count after its store, and wake all. So when
 *             a short sleep that began after the raise times out, the store has landed.
 *           - A waiter can rely on bits that it sees after such a sleep. If another thread set them
 *             meanwhile, that thread makes a short sleep of its own and checks them. It makes no difference
 *             if the owner released the lock meanwhile and took it again.
 *           - An owner that had to wait sets the waiter bits in the operation that takes the lock. So its
 *             own thread sees them when it releases the lock. Only the owner in a word can have a pending
 *             store to that word.
 *           - A spurious wake-up proves nothing about stores: the next sleep is short again.
 *           - Erased bits have three outcomes. A waiter sets them again, and its next sleep is short; or it
 *             takes the lock with them; or it gives up and wakes the others (wait.ts). A reader cannot set
 *             them in a word that is SHARED, and wakes all when it enters. A deadlock's victim need not wake
 *             the others: the lock's owner waits too, and drained its store buffer when it published its
 *             wait.
 *           - If a task's bits are erased, threads that rely on its WAKE_ALL may oversleep, by at most
 *             MAX_SLEEP_MS: the task's thread may be busy, and check late. When the task takes the
 *             lock, it sets both bits.
 *           - Only atomic operations change rows and SHARED words. None of them leaves a store in the store
 *             buffer: on x86, `Atomics.store` is a locked exchange, or a fence follows it. So a pending
 *             writer's sleep on a row is long from the start.
 *           The rule is the same on all processors and for both kernels. It costs a wait of more than a
 *           millisecond one more sleep, and nothing else. test/interleavings explores it.
 *
 *           Every lock taken in this file goes on its owner's list; a shared lock does so through the owner's
 *           node (readers.ts). A sweep looks for a dead owner's locks there (deaths.ts).
 * Cost      a park and a wake-up take tens of microseconds, about as long as a thousand acquisitions and
 *           releases of free locks. A thread that gets the lock at once or by spinning makes no generator; a
 *           task always makes one.
 */

import type { LockMode } from '../../core/modes.ts'
import { isLeft } from './abandoned.ts'
import { intend, pushHeld } from './held-list.ts'
import { SHARED, WAITER, WAKE_ALL } from './layout.ts'
import { isProofWanted, type Owner } from './owners.ts'
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
import { MAX_SLEEP_MS, type SleepEnd, type Terms, Wait } from './wait.ts'

/** The number of checks of a word before a thread sleeps; together some hundred nanoseconds. */
const SPINS = 40

const { pause } = Atomics as { pause?: () => void }

/** A request to sleep at index `at` until woken, while the word there is `value`, for at most `mostMs`. */
export interface Sleep {
  readonly at: number
  readonly value: number
  readonly mostMs: number
}

/** The steps of an acquisition: each yields what to sleep on, and receives how the sleep ended. */
export type Steps<Result> = Generator<Sleep, Result, SleepEnd>

/** Takes a lock whose word was `seen`, if that needs no wait. */
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

/** Takes a lock that becomes free during SPINS checks, after {@link takeAtOnce} failed. */
export function spin(table: Table, owner: Owner, lock: number, mode: LockMode): boolean {
  for (let check = 0; check < SPINS; check++) {
    const seen = wordOf(table, lock)
    if (mode === 'shared') {
      if (isOpen(seen) && tryEnter(table, owner, lock)) return true
    } else {
      // A writer has to wait for the readers.
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

/** A lock to acquire: for which owner, in which mode, on which terms. */
export interface Acquired {
  readonly table: Table
  readonly owner: Owner
  readonly lock: number
  readonly mode: LockMode
  readonly terms: Terms
  /**
   * Publishes which holdings around a task wait for it. Called whenever a proof is requested. Set exactly if
   * the owner is a task.
   */
  readonly prove?: () => void
}

/**
 * Takes a lock, however long that takes. Returns false if the lock is abandoned and no owner repairs it. The
 * caller can then repair it.
 *
 * @throws DeadlockError, LockTimeoutError; LockUsageError if the table is damaged. The lock is then not
 * taken.
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
  /** The waiter bits that this acquisition sets. */
  readonly #bits: number
  /** Made and published when the lock is first found busy. */
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
      // Also after an error: a wait that was given up must not stay published.
      this.#wait?.end()
      if (this.#prove) leaveQueue(table, this.#owner, this.#lock)
    }
  }

  /** Enters an open lock as one more reader. */
  #enter(): boolean {
    // A reader's bit counts as a hold, so no wait may be published beside it.
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

  /** Sleeps on a busy lock whose word was `seen`, or in the queue of the tasks that wait for the lock. */
  *#park(seen: number): Steps<void> {
    const [table, owner, bits] = [this.#table, this.#owner, this.#bits]
    const wait = this.#waiting()
    if (this.#prove) {
      enterQueue(table, owner, this.#lock)
      if (!isFirst(table, owner, this.#lock)) {
        yield* this.#sleep(ownWordOf(owner), 0, MAX_SLEEP_MS)
        wait.distrustBits()
        return
      }
      // Wake the queued tasks in two cases. If this task was woken: the thread that woke it may have
      // requested a proof from one of them. If the waiter bits are not set: an owner that saw none has not
      // searched for a deadlock through these tasks, so they must search.
      const mayDeadlock = table.layout.order === 'free'
      if (mayDeadlock && (this.#isWoken || (seen & bits) !== bits)) wakeQueue(table, this.#lock)
    }
    const at = addressOf(table, this.#lock) >> 2
    const mostMs = wait.announce(at, seen, bits)
    this.#isWoken = false
    // If the recovering owner gave up before the waiter bits were set, nothing wakes this waiter.
    if (mostMs > 0 && !isLeft(table, seen)) {
      this.#isWoken = (yield* this.#sleep(at, seen | bits, mostMs)) === 'woken'
    }
  }

  /** Waits, as the lock's pending writer, until its readers have left. */
  *#drain(): Steps<void> {
    const table = this.#table
    // The next task in the queue now sleeps on the word, and waits for this task.
    if (this.#prove) leaveQueue(table, this.#owner, this.#lock)
    this.#wait?.change()
    let spins = this.#prove ? 0 : SPINS
    try {
      for (const row of rowOf(table, this.#lock)) {
        for (;;) {
          const readers = Atomics.load(table.words, row)
          if (readers === 0) break
          if (spins-- > 0) pause?.()
          else yield* this.#sleep(row, readers, MAX_SLEEP_MS)
        }
      }
    } catch (error) {
      this.#wait?.end()
      withdrawWriter(table, this.#lock)
      throw error
    }
    admitWriter(table, this.#lock)
  }

  /** Looks for a deadlock, sleeps, gives a proof if one is requested, and checks the time limit. */
  *#sleep(at: number, value: number, longestMs: number): Steps<SleepEnd> {
    const wait = this.#waiting()
    wait.refuseDeadlock()
    const end = yield { at, value, mostMs: wait.sleepMs(longestMs) }
    wait.slept(end)
    if (this.#prove && isProofWanted(this.#table, this.#owner)) this.#prove()
    wait.refuseLate()
    return end
  }

  #waiting(): Wait {
    this.#wait ??= new Wait(this.#table, this.#owner, this.#lock, this.#mode, this.#terms)
    return this.#wait
  }
}

/** Tries once to write this owner and `bits` into a lock's open word, which was `seen`. */
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
