/** The wait of a `holdAsync` for one of the table's owners, where all are in use. */

import { elapsedMs, nowMs } from '../../core/clock.ts'
import { LockTimeoutError, LockUsageError } from '../../core/errors.ts'
import { noticeEndOf } from './deaths.ts'
import { describeHolders, holdersText } from './holders.ts'
import { THREAD_SLOT } from './layout.ts'
import { WaitWatch } from './long-waits.ts'
import { kindOf, leaderOf, type Owner, ownersIn } from './owners.ts'
import type { Table } from './table.ts'
import type { Terms } from './wait.ts'

/** Whether the threads that are owners have ended is asked this often. */
const NOTICE_MS = 100

/** One such wait, from its making on. */
export class OwnerWait {
  readonly #table: Table
  readonly #thread: Owner
  readonly #terms: Terms
  readonly #watch: WaitWatch
  #noticedMs = Number.NEGATIVE_INFINITY

  constructor(table: Table, thread: Owner, terms: Terms) {
    this.#table = table
    this.#thread = thread
    this.#terms = terms
    this.#watch = new WaitWatch(table, thread, nowMs())
  }

  /**
   * Looks after the wait, before each pause.
   *
   * @throws LockUsageError where no owner can come free, LockTimeoutError when the time is over.
   */
  look(): void {
    const isNoticed = this.#noticeEnds()
    const owners = ownersIn(this.#table)
    const { layout } = this.#table
    if (owners.length < layout.owners) return
    if (isNoticed && owners.every((id) => kindOf(this.#table, id) === THREAD_SLOT)) {
      throw new LockUsageError(
        `holdAsync of ${this.#thread.label} can never begin: ${this.#inUse(owners)}. They are threads, ` +
          'which stay until they close the table, and an asynchronous holding is an owner of its own: ' +
          'create the table with more owners, one for each thread and each holdAsync at a time',
      )
    }
    const { untilMs, timeoutMs } = this.#terms
    if (untilMs !== undefined && elapsedMs() >= untilMs) {
      throw new LockTimeoutError(
        `holdAsync of ${this.#thread.label} waited ${timeoutMs} ms for one of the table's owners: ` +
          `${this.#inUse(owners)}. Create the table with more owners, or hold locks for shorter`,
      )
    }
    this.#watch.look('exclusive', () => this.#terms.stack ?? '')
  }

  end(): void {
    this.#watch.end()
  }

  /** Clears up after threads that have ended; true if it looked. */
  #noticeEnds(): boolean {
    const at = elapsedMs()
    if (at - this.#noticedMs < NOTICE_MS) return false
    this.#noticedMs = at
    for (const id of ownersIn(this.#table)) {
      if (leaderOf(this.#table, id) !== this.#thread.id) noticeEndOf(this.#table, this.#thread, id)
    }
    return true
  }

  #inUse(owners: readonly number[]): string {
    const used = describeHolders(this.#table, undefined, owners)
    const all = owners.length === 1 ? 'its one owner is' : `all its ${owners.length} owners are`
    return `${all} in use: ${holdersText(used, owners.length)}`
  }
}
