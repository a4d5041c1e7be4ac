/**
 * The repairs of one thread and its tasks: it calls `onOwnerDied` where one of them meets a lock whose owner died.
 *
 * Invariant While `onOwnerDied` runs, all locks that the dead thread left count as held by this thread, though they
 *           are on no list of its own: it must not wait for one of them, nor (order 'ascending') below the highest.
 */

import { type Caller, LockOrderError, LockUsageError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { isLeft } from './abandoned.ts'
import type { Owner } from './owners.ts'
import { inherit, type OnOwnerDied } from './recovery.ts'
import { refuseRepaired } from './refusals.ts'
import { describeLocks, stripesText, type Table } from './table.ts'

/** The repairs of one thread and its tasks. */
export class Repairs {
  readonly #table: Table
  readonly #owner: Owner
  readonly #onOwnerDied: OnOwnerDied | undefined
  /** What is being repaired: a repair can meet the locks of another dead thread. */
  readonly #running: AbandonedLocks[] = []
  #lastError: unknown

  constructor(table: Table, owner: Owner, onOwnerDied: OnOwnerDied | undefined) {
    this.#table = table
    this.#owner = owner
    this.#onOwnerDied = onOwnerDied && ((abandoned) => this.#call(onOwnerDied, abandoned))
  }

  /**
   * Repairs what the owner of a lock left, where that owner died and no other thread is at it; false for
   * any other lock. `seen` is the lock's word.
   *
   * @throws OwnerDiedError without `onOwnerDied`; what that throws; LockUsageError where it asks for `lock`.
   */
  repairIfLeft(lock: number, seen: number): boolean {
    if (!isLeft(this.#table, seen)) {
      if (this.#running.length > 0) refuseRepaired(this.#table, this.#owner, lock, seen)
      return false
    }
    this.repair(this.#owner, lock)
    return true
  }

  /** Repairs an abandoned lock for this thread or one of its tasks, unless another thread is at it. */
  repair(owner: Owner, lock: number): void {
    inherit(this.#table, owner, lock, this.#onOwnerDied)
  }

  /**
   * Throws where `onOwnerDied` would wait below a lock that it repairs: a thread that holds the wanted lock can
   * wait for that one. It may take a lower lock that is free: it waits for nothing then.
   */
  refuseToWait(wanted: number): void {
    if (this.#running.length === 0 || this.#table.layout.order === 'free') return
    for (const { label, locks } of this.#running) {
      const highest = locks.at(-1) ?? -1
      if (wanted > highest) continue
      throw new LockOrderError(
        `${this.#owner.label} would wait for lock ${wanted} while its onOwnerDied repairs ${describeLocks(locks)}, ` +
          `which ${label} left: this table takes locks in ascending order only${stripesText(this.#table)}. In ` +
          `onOwnerDied, wait only for locks above ${highest}, use tryHold, or create the table with order: 'free'`,
      )
    }
  }

  /** Throws while `onOwnerDied` runs in this thread. */
  refuseIfRunning(caller: Caller): void {
    if (this.#running.length === 0) return
    throw new LockUsageError(
      'close: onOwnerDied is repairing what another thread left; close the table when it has returned',
      caller,
    )
  }

  /** Whether an error is the program's own: `onOwnerDied` has thrown it. */
  hasThrown(error: unknown): boolean {
    return error === this.#lastError
  }

  #call(onOwnerDied: OnOwnerDied, abandoned: AbandonedLocks): unknown {
    this.#running.push(abandoned)
    try {
      return onOwnerDied(abandoned)
    } catch (error) {
      this.#lastError = error
      throw error
    } finally {
      this.#running.pop()
    }
  }
}
