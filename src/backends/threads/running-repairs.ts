/**
 * The repairs of one thread and its tasks: calls `onOwnerDied` when one of them meets a lock whose owner
 * died.
 *
 * Invariant While `onOwnerDied` runs, all locks that the dead thread left count as held by this thread,
 *           although they are not on its lists. So it must not wait for one of them, nor (order 'ascending')
 *           for a lock below the highest.
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
  /** The repairs that are running: a repair can meet the locks of another dead thread. */
  readonly #running: AbandonedLocks[] = []
  #lastError: unknown

  constructor(table: Table, owner: Owner, onOwnerDied: OnOwnerDied | undefined) {
    this.#table = table
    this.#owner = owner
    this.#onOwnerDied = onOwnerDied && ((abandoned) => this.#call(onOwnerDied, abandoned))
  }

  /**
   * Repairs what the owner of a lock left, if that owner died and no owner repairs it yet. Returns false for
   * any other lock. `seen` is the lock's word.
   *
   * @throws OwnerDiedError without `onOwnerDied`; any error that `onOwnerDied` throws; LockUsageError if it
   *   requests `lock`.
   */
  repairIfLeft(lock: number, seen: number): boolean {
    if (!isLeft(this.#table, seen)) {
      if (this.#running.length > 0) refuseRepaired(this.#table, this.#owner, lock, seen)
      return false
    }
    this.repair(this.#owner, lock)
    return true
  }

  /** Repairs an abandoned lock for this thread or one of its tasks, unless another owner repairs it. */
  repair(owner: Owner, lock: number): void {
    inherit(this.#table, owner, lock, this.#onOwnerDied)
  }

  /**
   * Throws if `onOwnerDied` would wait for a lock below one that it repairs: the holder of the lower lock may
   * itself wait for the repaired one. `onOwnerDied` may take a lower lock that is free, because that needs no
   * wait.
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

  /** Whether an error comes from the program: `onOwnerDied` threw it. */
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
