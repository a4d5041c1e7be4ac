/** The wait of a `holdAsync` for one of the table's owners, where all are in use. */

import { elapsedMs, nowMs } from '../../core/clock.ts'
import { LockTimeoutError, LockUsageError } from '../../core/errors.ts'
import { WaitWatch } from './long-waits.ts'
import { comesFree, describeLeft, inUse, noticeEnds } from './owner-slots.ts'
import { type Owner, ownersIn } from './owners.ts'
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
    if (isNoticed && !owners.some((id) => comesFree(this.#table, id))) {
      const left = describeLeft(this.#table, this.#thread)
      throw new LockUsageError(
        `holdAsync of ${this.#thread.label} can never begin: ${inUse(this.#table, owners)}. Threads ` +
          'stay until they close the table, and an asynchronous holding is an owner of its own: create ' +
          'the table with more owners, one for each thread and each holdAsync at a time' +
          (left && `. ${left}`),
      )
    }
    const { untilMs, timeoutMs } = this.#terms
    if (untilMs !== undefined && elapsedMs() >= untilMs) {
      throw new LockTimeoutError(
        `holdAsync of ${this.#thread.label} waited ${timeoutMs} ms for one of the table's owners: ` +
          `${inUse(this.#table, owners)}. Create the table with more owners, or hold locks for shorter`,
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
    noticeEnds(this.#table, this.#thread)
    return true
  }
}
