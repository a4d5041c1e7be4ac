/**
 * Takes the locks of a plan for one thread, all or none: for `hold`, `tryHold` and `lockShared`, and for
 * other calls after the kernel could not take the locks at once. The callers have checked the lock numbers.
 *
 * Steps     For each lock, in the plan's order: try the kernel; check whether this thread may request the
 *           lock (refusals.ts); try once without waiting; then wait as in acquire.ts. A thread that meets
 *           busy locks too often releases all locks of the plan, backs off, and starts again.
 * Invariant If a call throws, the thread holds none of the plan's locks.
 */

import { type Caller, LockUsageError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { takeAtOnce } from './acquire.ts'
import { beginningAbove } from './caller-stack.ts'
import { lastTaken } from './held-list.ts'
import { HolderChecks } from './holder-checks.ts'
import { ALL_DONE, HIGH_BUSY, type Kernel } from './kernel.ts'
import { LINK_OFFSET } from './layout.ts'
import type { Owed } from './owed-releases.ts'
import type { Owner } from './owners.ts'
import { type LockPlan, modeIn, planFor, planForPair, planForShared } from './plan.ts'
import { waitsForOf } from './published-wait.ts'
import type { ReentrantReads } from './reentrant-reads.ts'
import { holdsExclusively, mustNotBlock, refuse, refuseOwnThread } from './refusals.ts'
import type { Releaser } from './release.ts'
import type { Repairs } from './running-repairs.ts'
import { addressOf, lockOf, numberOf, type Table } from './table.ts'
import type { Tasks } from './tasks.ts'
import { mayBlock, type ThreadWaiter } from './thread-waiter.ts'
import type { Terms } from './wait.ts'

/**
 * A thread that has taken more locks of a plan than this does not release them to back off: that costs more
 * than it saves.
 */
const MAX_GIVEN_BACK = 64

/** The parts that a {@link PlanAcquirer} works with. */
export interface PlanAcquirerParts {
  readonly table: Table
  readonly owner: Owner
  readonly kernel: Kernel
  readonly tasks: Tasks
  readonly waiter: ThreadWaiter
  readonly releaser: Releaser
  /** Set only in a re-entrant table. */
  readonly reads: ReentrantReads | undefined
  readonly repairs: Repairs
}

/** The acquisitions of one thread. */
export class PlanAcquirer {
  readonly #table: Table
  readonly #owner: Owner
  readonly #kernel: Kernel
  readonly #tasks: Tasks
  readonly #waiter: ThreadWaiter
  readonly #releaser: Releaser
  readonly #reads: ReentrantReads | undefined
  readonly #repairs: Repairs
  readonly #holderChecks: HolderChecks

  constructor(parts: PlanAcquirerParts) {
    this.#table = parts.table
    this.#owner = parts.owner
    this.#kernel = parts.kernel
    this.#tasks = parts.tasks
    this.#waiter = parts.waiter
    this.#releaser = parts.releaser
    this.#reads = parts.reads
    this.#repairs = parts.repairs
    this.#holderChecks = new HolderChecks(parts.table, parts.owner)
  }

  /**
   * Takes a plan's locks and waits for each busy one. The thread already holds the first `done` locks.
   * Returns true.
   */
  takeAll(plan: LockPlan, terms: Terms, done = 0): true {
    const { locks } = plan
    let taken = done
    try {
      while (taken < locks.length) {
        if (this.#takeOne(locks[taken] as number, plan, taken, terms)) taken++
        else {
          this.#releaser.releaseAll(plan, taken)
          taken = 0
          this.#waiter.backOff()
        }
      }
      return true
    } catch (error) {
      const releaser = this.#releaser
      const release: Owed = () => releaser.releaseAll(plan, taken)
      release.before = releaser.last
      releaser.last = release
      throw this.#beginningAt(releaser.releaseAfter(error), terms.caller)
    }
  }

  /** Takes the lock of one record. */
  take(record: number, mode: LockMode, caller: Caller): void {
    const lock = lockOf(this.#table, record)
    this.takeAll(mode === 'shared' ? planForShared(lock) : planFor(lock), { caller })
  }

  /** Takes the locks of two records, after the kernel's `lock2` returned `answer`. */
  takePair(a: number, b: number, answer: number, caller: Caller): void {
    this.takeAll(planForPair(this.#table, a, b), { caller }, answer === HIGH_BUSY ? 1 : 0)
  }

  /**
   * Takes every lock of the table. The kernel has taken the locks before `busy`, but not that one. Returns
   * true.
   */
  takeEvery(busy: number, caller: Caller): true {
    let taken = busy
    try {
      for (;;) {
        if (this.#takeOne(taken, planFor(taken), taken, { caller })) taken++
        else {
          this.#releaser.releaseDownFrom(taken - 1)
          taken = 0
          this.#waiter.backOff()
        }
        if (taken === this.#table.layout.lockCount) return true
        const next = this.#kernel.lockAll(taken)
        if (next === ALL_DONE) return true
        taken = next
      }
    } catch (error) {
      const releaser = this.#releaser
      const release: Owed = () => releaser.releaseDownFrom(taken - 1)
      release.before = releaser.last
      releaser.last = release
      throw this.#beginningAt(releaser.releaseAfter(error), caller)
    }
  }

  /** Takes a plan's locks if none of them needs a wait; otherwise takes none and returns false. */
  tryTakeAll(plan: LockPlan, caller: Caller): boolean {
    let taken = 0
    try {
      while (taken < plan.locks.length && this.#tryOne(plan, taken, { caller })) taken++
    } catch (error) {
      const releaser = this.#releaser
      const release: Owed = () => releaser.releaseAll(plan, taken)
      release.before = releaser.last
      releaser.last = release
      throw this.#beginningAt(releaser.releaseAfter(error), caller)
    }
    if (taken === plan.locks.length) return true
    this.#releaser.releaseAll(plan, taken)
    return false
  }

  /** Throws while this thread waits for a lock (as in `onLongWait`) or runs `onOwnerDied`. */
  refuseIfBusy(caller: Caller): void {
    const word = waitsForOf(this.#table, this.#owner.id)
    if (word !== 0) {
      throw new LockUsageError(
        `close: ${this.#owner.label} waits for lock ${numberOf(this.#table, word)}; close the table ` +
          'when that call has returned, not in onLongWait',
        caller,
      )
    }
    this.#repairs.refuseIfRunning(caller)
  }

  /**
   * Takes one lock of a plan, however long that takes. The thread holds `taken` other locks of the plan.
   * Returns false if the thread should release the whole plan and back off.
   *
   * @throws if the thread must not request the lock or wait for it, on a deadlock, when the time limit is
   * over, or if the lock is abandoned and not repaired.
   */
  #takeOne(lock: number, plan: LockPlan, taken: number, terms: Terms): boolean {
    const mode = modeIn(plan, lock)
    if (this.#takeFree(lock, mode)) return true
    this.#releaser.release()
    refuse(this.#table, this.#owner, lock, plan, terms)
    for (;;) {
      const seen = this.#wordOf(lock)
      if (takeAtOnce(this.#table, this.#owner, lock, mode, seen)) return true
      if (this.#repairs.repairIfLeft(lock, seen)) continue
      if (!mayBlock) throw mustNotBlock(this.#table, this.#owner, lock)
      this.#repairs.refuseToWait(lock)
      this.#tasks.refuseToBlock(lock)
      refuseOwnThread(this.#table, this.#owner, lock, seen)
      if (this.#waiter.metBusyLock() && this.#holdsOnly(taken)) return false
      if (this.#waiter.take(lock, mode, terms)) return true
    }
  }

  #tryOne(plan: LockPlan, index: number, terms: Terms): boolean {
    const lock = plan.locks[index] as number
    const mode = modeIn(plan, lock)
    if (this.#takeFree(lock, mode)) return true
    if (this.#holds(lock)) return false
    refuse(this.#table, this.#owner, lock, plan, terms)
    const seen = this.#wordOf(lock)
    if (takeAtOnce(this.#table, this.#owner, lock, mode, seen)) return true
    if (!this.#repairs.repairIfLeft(lock, seen)) {
      this.#holderChecks.check(lock, seen)
      return false
    }
    return takeAtOnce(this.#table, this.#owner, lock, mode, this.#wordOf(lock))
  }

  /**
   * Takes a free lock exclusively by the kernel. In a re-entrant table, also takes a lock again that this
   * thread holds exclusively or in this mode.
   */
  #takeFree(lock: number, mode: LockMode): boolean {
    if (mode === 'shared') {
      if (!this.#reads || !this.#holds(lock)) return false
      if (!this.#reads.takeAgain(lock)) return true
    }
    return this.#kernel.lock(lock) === 0
  }

  /**
   * Makes the stack of an error of ours begin at the caller of the public method. Errors that `onOwnerDied`
   * threw stay unchanged.
   */
  #beginningAt(error: unknown, caller: Caller | undefined): unknown {
    return this.#repairs.hasThrown(error) ? error : beginningAbove(error, caller)
  }

  #wordOf(lock: number): number {
    return Atomics.load(this.#table.words, addressOf(this.#table, lock) >> 2)
  }

  /** Whether this thread holds a lock, in either mode. */
  #holds(lock: number): boolean {
    return this.#owner.shared.has(lock) || holdsExclusively(this.#table, this.#owner, lock)
  }

  /** Whether this thread holds the first `taken` locks of a plan and no others. */
  #holdsOnly(taken: number): boolean {
    if (taken > MAX_GIVEN_BACK || this.#owner.shared.size > 0) return false
    let word = lastTaken(this.#table, this.#owner)
    for (let i = 0; i < taken; i++) word = this.#table.words[(word + LINK_OFFSET) >> 2] as number
    return word === 0
  }
}
