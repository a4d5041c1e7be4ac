/**
 * The waits of one thread's `holdAsync` calls for a free owner slot.
 *
 * Steps     1. First come, first served: a slot that this thread gives back goes to its first waiter at once.
 *           2. For slots that other threads give back, one poller checks every RETRY_MS. It also ends waits
 *              whose time limit has passed. Every NOTICE_MS it looks for ended threads and for waits that
 *              last too long. It checks the first waiter's wait each time.
 * Cost      a check tries all slots for the first waiter and reads the time limits of the others. System
 *           calls and descriptions of owners are made once for all waiters.
 * Limits    Between threads there is no order. A thread that always has waiters keeps its slots.
 */

import { elapsedMs, nowMs, pauseFor } from '../../core/clock.ts'
import { LockTimeoutError, LockUsageError } from '../../core/errors.ts'
import { WaitWatch } from './long-waits.ts'
import { comesFree, describeLeft, type InUse, inUse, noticeEnds } from './owner-slots.ts'
import { type Owner, ownersIn } from './owners.ts'
import { onReleased } from './register-owner.ts'
import type { Table } from './table.ts'
import type { Terms } from './wait.ts'

/** The poller looks for a free slot this often. */
const RETRY_MS = 10
/** The poller checks this often whether threads that are owners have ended. */
const NOTICE_MS = 100

/** One waiting `holdAsync`. */
interface Waiter {
  readonly terms: Terms
  readonly watch: WaitWatch
  readonly resolve: (owner: Owner) => void
  readonly reject: (error: unknown) => void
}

/** The waiting `holdAsync` calls of one thread, in order of arrival. */
export class OwnerQueue {
  readonly #table: Table
  readonly #thread: Owner
  readonly #register: () => Owner | undefined
  readonly #waiters = new Set<Waiter>()
  #noticedMs = Number.NEGATIVE_INFINITY
  #isPolled = false

  /** `register` registers the owner of a waiting `holdAsync` if a slot is free. */
  constructor(table: Table, thread: Owner, register: () => Owner | undefined) {
    this.#table = table
    this.#thread = thread
    this.#register = register
    onReleased(table, () => this.#serveFirst())
  }

  /** Returns an owner if a slot is free and nobody waits. */
  tryTake(): Owner | undefined {
    return this.#waiters.size === 0 ? this.#register() : undefined
  }

  /** Waits for a free slot, behind the calls that already wait. */
  wait(terms: Terms): Promise<Owner> {
    return new Promise((resolve, reject) => {
      const isFirst = this.#waiters.size === 0
      const watch = new WaitWatch(this.#table, this.#thread, nowMs())
      const waiter = { terms, watch, resolve, reject }
      this.#waiters.add(waiter)
      if (isFirst) this.#check(true)
      else if (isLate(waiter, elapsedMs())) this.#refuseLate(waiter, this.#inUse())
      if (!this.#isPolled && this.#waiters.size > 0) void this.#poll()
    })
  }

  async #poll(): Promise<void> {
    this.#isPolled = true
    while (this.#waiters.size > 0) {
      await pauseFor(RETRY_MS)
      this.#check(elapsedMs() - this.#noticedMs >= NOTICE_MS)
    }
    this.#isPolled = false
  }

  /** Checks all waits. If `isDue`, also checks for ended threads and for waits that last too long. */
  #check(isDue: boolean): void {
    try {
      if (isDue) this.#noticeEnds()
      while (this.#serveFirst());
      if (isDue) this.#refuseNever()
      this.#checkEach(isDue)
    } catch (error) {
      // The table is damaged.
      for (const waiter of this.#waiters) this.#refuse(waiter, error)
    }
  }

  /** Gives the first waiter an owner; returns false if there is no free slot or no waiter. */
  #serveFirst(): boolean {
    const [waiter] = this.#waiters
    const owner = waiter && this.#register()
    if (!owner) return false
    this.#end(waiter)
    waiter.resolve(owner)
    return true
  }

  #noticeEnds(): void {
    this.#noticedMs = elapsedMs()
    noticeEnds(this.#table, this.#thread)
  }

  /** Refuses all waits if no slot will ever become free. */
  #refuseNever(): void {
    if (this.#waiters.size === 0) return
    const owners = ownersIn(this.#table)
    const isFull = owners.length === this.#table.layout.owners
    if (!isFull || owners.some((id) => comesFree(this.#table, id))) return
    const left = describeLeft(this.#table, this.#thread)
    const text =
      `holdAsync of ${this.#thread.label} can never begin: ${this.#inUse().text}. A thread keeps ` +
      'its slot until it closes the table, and each holdAsync needs a slot of its own. Create the table ' +
      'with more owners: one for each thread, and one for each holdAsync that runs at the same time' +
      (left && `. ${left}`)
    for (const waiter of this.#waiters) this.#refuse(waiter, new LockUsageError(text))
  }

  #checkEach(isDue: boolean): void {
    const at = elapsedMs()
    const [first] = this.#waiters
    let used: InUse | undefined
    for (const waiter of this.#waiters) {
      if (isLate(waiter, at)) {
        used ??= this.#inUse()
        this.#refuseLate(waiter, used)
      } else if (isDue || waiter === first) {
        waiter.watch.check('exclusive', () => waiter.terms.stack ?? '')
      }
    }
  }

  #refuseLate(waiter: Waiter, { text, holders }: InUse): void {
    const message =
      `holdAsync of ${this.#thread.label} could not begin within ${waiter.terms.timeoutMs} ms: ` +
      `${text}. Create the table with more owners, set a longer timeoutMs, or hold locks for a shorter time`
    this.#refuse(waiter, new LockTimeoutError(message, undefined, holders))
  }

  #refuse(waiter: Waiter, error: unknown): void {
    this.#end(waiter)
    waiter.reject(error)
  }

  #end(waiter: Waiter): void {
    this.#waiters.delete(waiter)
    waiter.watch.end()
  }

  #inUse(): InUse {
    return inUse(this.#table, ownersIn(this.#table))
  }
}

function isLate({ terms: { untilMs } }: Waiter, at: number): boolean {
  return untilMs !== undefined && at >= untilMs
}
