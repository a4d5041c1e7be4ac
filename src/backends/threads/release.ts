/**
 * Releases locks where the kernel needs help: where it leaves waiters to wake, where a lock is not the one
 * that was taken last, and for whole plans. The callers have checked the lock numbers.
 *
 * Steps     The kernel releases; its answer says whether threads may sleep on the lock. Wake as many as the
 *           waiter bits ask for. If the lock is not the one taken last, first remove it from the owner's
 *           list, then release it.
 * Fairness  After a release that woke others, a thread that holds nothing lets them go first now and then
 *           (thread-waiter.ts).
 */

import type { Caller } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { intend, lastTaken, removeHeld } from './held-list.ts'
import { ALL_DONE, type Kernel, NOT_ON_TOP, notOnTop } from './kernel.ts'
import { WAKE_ALL } from './layout.ts'
import { type Owed, OwedReleases } from './owed-releases.ts'
import type { Owner } from './owners.ts'
import { type LockPlan, modeIn, planForPair } from './plan.ts'
import { leave } from './readers.ts'
import type { ReentrantReads } from './reentrant-reads.ts'
import { holdsExclusively, notHeld } from './refusals.ts'
import { addressOf, type Table } from './table.ts'
import type { Tasks } from './tasks.ts'
import type { ThreadWaiter } from './thread-waiter.ts'
import { wake } from './wait.ts'

/** Whether V8 has compiled `releasePairAfter` in this thread. */
let isCompiled = false

/** The releases of one thread. */
export class Releaser extends OwedReleases {
  readonly #table: Table
  readonly #owner: Owner
  readonly #kernel: Kernel
  readonly #tasks: Tasks
  readonly #waiter: ThreadWaiter
  /** Set only in a re-entrant table. */
  readonly #reads: ReentrantReads | undefined
  #hasWoken = false

  constructor(
    table: Table,
    owner: Owner,
    kernel: Kernel,
    tasks: Tasks,
    waiter: ThreadWaiter,
    reads: ReentrantReads | undefined,
  ) {
    super()
    this.#table = table
    this.#owner = owner
    this.#kernel = kernel
    this.#tasks = tasks
    this.#waiter = waiter
    this.#reads = reads
    // Compile the code that releases for `holdPair`: later the call stack may have no room for that. This
    // thread holds nothing yet, so neither call changes anything.
    kernel.unlock2(0, 0)
    if (isCompiled) return
    isCompiled = true
    this.releasePairAfter(undefined, 0, 0)
  }

  /**
   * Releases the first `taken` locks of a plan, the last one taken first.
   *
   * @throws LockUsageError if some are no longer held, after it released all others.
   */
  releaseAll(plan: LockPlan, taken: number = plan.locks.length, caller?: Caller): void {
    let missing: number[] | undefined
    for (let i = taken - 1; i >= 0; i--) {
      const lock = plan.locks[i] as number
      if (this.#releaseOne(lock, modeIn(plan, lock))) continue
      missing = [lock, ...(missing ?? [])]
    }
    this.#letWokenGoFirst()
    if (missing) throw this.#notHeld(missing, caller)
  }

  /** Releases one lock that is held shared. */
  releaseShared(lock: number, caller: Caller): void {
    if (!this.#releaseOne(lock, 'shared')) throw this.#notHeld([lock], caller)
    this.#letWokenGoFirst()
  }

  /**
   * Releases every lock, after the kernel's `unlockAll` returned `answer`.
   *
   * @throws LockUsageError if some are no longer held, after it released all others.
   */
  releaseEvery(answer: number, caller: Caller): void {
    const missing = this.#releaseDown(answer)
    if (missing.length > 0) throw this.#notHeld(missing, caller)
  }

  /** Releases those locks from number `last` down to 0 that are held. */
  releaseDownFrom(last: number): void {
    this.#releaseDown(last < 0 ? ALL_DONE : this.#kernel.unlockAll(last))
  }

  /** Finishes the kernel's `unlock`: wakes waiters, or releases a lock that is deeper in the list. */
  finish(lock: number, answer: number, caller: Caller): void {
    this.release()
    if (!this.#finishOne(lock, answer)) throw this.#notHeld([lock], caller)
    this.#letWokenGoFirst()
  }

  /** Finishes the kernel's `unlock2` for the locks of two records. */
  finishPair(a: number, b: number, answer: number, caller: Caller): void {
    this.release()
    const plan = planForPair(this.#table, a, b)
    const [low, high] = plan.locks as readonly [low: number, high?: number]
    if (answer === NOT_ON_TOP) {
      this.releaseAll(plan, plan.locks.length, caller)
      return
    }
    if (high === undefined) this.#wake(low, answer)
    else {
      this.#wake(high, answer & 3)
      this.#wake(low, answer >> 2)
    }
    this.#letWokenGoFirst()
  }

  /** Releases the locks of two records after their callback threw; returns the error to throw. */
  releasePairAfter(error: unknown, a: number, b: number): unknown {
    const release: Owed = () => this.releaseAll(planForPair(this.#table, a, b))
    release.before = this.last
    this.last = release
    return this.releaseAfter(error)
  }

  /** Throws unless this thread holds the locks of both records. */
  mustHoldPair(a: number, b: number, caller: Caller): void {
    const { locks } = planForPair(this.#table, a, b)
    const isHeld = (lock: number): boolean => holdsExclusively(this.#table, this.#owner, lock)
    if (!locks.every(isHeld)) throw this.#notHeld(locks, caller)
  }

  /** Returns false, and changes nothing, if this thread does not hold the lock in this mode. */
  #releaseOne(lock: number, mode: LockMode): boolean {
    if (mode === 'shared') {
      if (this.#owner.shared.has(lock)) {
        if (!this.#reads?.releaseAgain(lock)) leave(this.#table, this.#owner, lock)
        return true
      }
      if (!this.#reads?.releaseInExclusive(lock)) return false
    }
    const answer = this.#kernel.unlock(lock)
    return answer === 0 || this.#finishOne(lock, answer)
  }

  /** Returns false, and changes nothing, if this thread does not hold the lock. */
  #finishOne(lock: number, answer: number): boolean {
    let bits = answer
    if (answer === NOT_ON_TOP) {
      if (!holdsExclusively(this.#table, this.#owner, lock)) return false
      const word = addressOf(this.#table, lock)
      intend(this.#table, this.#owner, lock)
      removeHeld(this.#table, this.#owner, word)
      bits = Atomics.exchange(this.#table.words, word >> 2, 0) ^ this.#owner.me
    }
    this.#wake(lock, bits)
    return true
  }

  /** Continues after the kernel's `unlockAll` returned `first`; returns the locks that are not held. */
  #releaseDown(first: number): number[] {
    const missing: number[] = []
    for (let answer = first; answer !== ALL_DONE; ) {
      const isReleased = answer >= 0
      const lock = isReleased ? answer : notOnTop(answer)
      if (isReleased) this.#wake(lock, WAKE_ALL)
      else if (!this.#finishOne(lock, NOT_ON_TOP)) missing.unshift(lock)
      answer = lock > 0 ? this.#kernel.unlockAll(lock - 1) : ALL_DONE
    }
    this.#letWokenGoFirst()
    return missing
  }

  /** Wakes the sleepers on a lock that was just released, as its waiter bits ask for. */
  #wake(lock: number, bits: number): void {
    if (bits === 0) return
    if (wake(this.#table.words, addressOf(this.#table, lock), bits)) this.#hasWoken = true
  }

  #letWokenGoFirst(): void {
    if (!this.#hasWoken || lastTaken(this.#table, this.#owner) !== 0) return
    this.#hasWoken = false
    this.#waiter.letWokenGoFirst()
  }

  #notHeld(locks: readonly number[], caller: Caller | undefined): Error {
    const isTasks = this.#tasks.holdsAny(locks)
    return notHeld(this.#table, this.#owner, locks, isTasks, caller)
  }
}
