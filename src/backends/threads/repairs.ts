/** The repairs of one thread: it calls `onOwnerDied` where it meets a lock whose owner died. */

import { LockUsageError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { isLeft } from './abandoned.ts'
import type { Owner } from './owners.ts'
import { inherit, type OnOwnerDied } from './recovery.ts'
import { refuseRepaired } from './refusals.ts'
import type { Table } from './table.ts'

/** The repairs of one thread. Its tasks make theirs by themselves (tasks.ts). */
export class Repairs {
  readonly #table: Table
  readonly #owner: Owner
  readonly #onOwnerDied: OnOwnerDied | undefined
  #running = 0
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
      if (this.#running > 0) refuseRepaired(this.#table, this.#owner, lock, seen)
      return false
    }
    this.#running++
    try {
      inherit(this.#table, this.#owner, lock, this.#onOwnerDied)
    } finally {
      this.#running--
    }
    return true
  }

  /** Throws while `onOwnerDied` runs in this thread. */
  refuseIfRunning(): void {
    if (this.#running === 0) return
    throw new LockUsageError(
      'close: onOwnerDied is repairing what another thread left; close the table when it has returned',
    )
  }

  /** Whether an error is the program's own: `onOwnerDied` has thrown it. */
  hasThrown(error: unknown): boolean {
    return error === this.#lastError
  }

  #call(onOwnerDied: OnOwnerDied, abandoned: AbandonedLocks): unknown {
    try {
      return onOwnerDied(abandoned)
    } catch (error) {
      this.#lastError = error
      throw error
    }
  }
}
