/**
 * The waits of one thread's `holdAsync` calls for one of the table's owners, where all are in use.
 *
 * Steps     1. First come, first served: a slot that this thread gives back goes to its first waiter at once.
 *           2. For slots that others give back, one poller looks each RETRY_MS. It also ends the waits whose
 *              time is over, and each NOTICE_MS looks for threads that have ended and reports long waits.
 * Cost      a look tries all slots for the first waiter and reads the time limits of the others: what
 *           asks the system or describes owners is done once for all of them.
 * Limits    Between threads there is no order. One that always has waiters keeps the slots that it has.
 */

import { elapsedMs, nowMs, pauseFor } from '../../core/clock.ts'
import { LockTimeoutError, LockUsageError } from '../../core/errors.ts'
import { WaitWatch } from './long-waits.ts'
import { comesFree, describeLeft, type InUse, inUse, noticeEnds } from './owner-slots.ts'
import { type Owner, ownersIn } from './owners.ts'
import { onFreed } from './register-owner.ts'
import type { Table } from './table.ts'
import type { Terms } from './wait.ts'

/** The poller looks for a free slot this often. */
const RETRY_MS = 10
/** Whether the threads that are owners have ended is asked this often. */
const NOTICE_MS = 100

/** One such wait. */
interface Waiter {
  readonly terms: Terms
  readonly watch: WaitWatch
  readonly resolve: (owner: Owner) => void
  readonly reject: (error: unknown) => void
}

/** All of them, the first one first. */
export class OwnerQueue {
  readonly #table: Table
  readonly #thread: Owner
  readonly #register: () => Owner | undefined
  readonly #waiters = new Set<Waiter>()
  #noticedMs = Number.NEGATIVE_INFINITY
  #isPolled = false

  /** `register` registers the owner of a waiting `holdAsync`, if a slot is free. */
  constructor(table: Table, thread: Owner, register: () => Owner | undefined) {
    this.#table = table
    this.#thread = thread
    this.#register = register
    onFreed(table, () => this.#serveFirst())
  }

  /** An owner, if one is free and nobody waits. */
  tryTake(): Owner | undefined {
    return this.#waiters.size === 0 ? this.#register() : undefined
  }

  /** An owner, after those that wait already. */
  wait(terms: Terms): Promise<Owner> {
    return new Promise((resolve, reject) => {
      const isFirst = this.#waiters.size === 0
      const watch = new WaitWatch(this.#table, this.#thread, nowMs())
      const waiter = { terms, watch, resolve, reject }
      this.#waiters.add(waiter)
      if (isFirst) this.#look(true)
      else if (isLate(waiter, elapsedMs())) this.#refuseLate(waiter, this.#inUse())
      if (!this.#isPolled && this.#waiters.size > 0) void this.#poll()
    })
  }

  async #poll(): Promise<void> {
    this.#isPolled = true
    while (this.#waiters.size > 0) {
      await pauseFor(RETRY_MS)
      this.#look(elapsedMs() - this.#noticedMs >= NOTICE_MS)
    }
    this.#isPolled = false
  }

  /** Looks after all waits. `isDue`: also at the threads that are owners, and how long each wait lasts. */
  #look(isDue: boolean): void {
    try {
      if (isDue) this.#noticeEnds()
      while (this.#serveFirst());
      if (isDue) this.#refuseNever()
      this.#lookAtEach(isDue)
    } catch (error) {
      // The table is damaged.
      for (const waiter of this.#waiters) this.#refuse(waiter, error)
    }
  }

  /** Gives the first waiter an owner; false if there is none, or no waiter. */
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

  /** Refuses all where no owner can come free. */
  #refuseNever(): void {
    if (this.#waiters.size === 0) return
    const owners = ownersIn(this.#table)
    const isFull = owners.length === this.#table.layout.owners
    if (!isFull || owners.some((id) => comesFree(this.#table, id))) return
    const left = describeLeft(this.#table, this.#thread)
    const text =
      `holdAsync of ${this.#thread.label} can never begin: ${this.#inUse().text}. Threads ` +
      'stay until they close the table, and an asynchronous holding is an owner of its own: create ' +
      'the table with more owners, one for each thread and each holdAsync at a time' +
      (left && `. ${left}`)
    for (const waiter of this.#waiters) this.#refuse(waiter, new LockUsageError(text))
  }

  #lookAtEach(isDue: boolean): void {
    const at = elapsedMs()
    const [first] = this.#waiters
    let used: InUse | undefined
    for (const waiter of this.#waiters) {
      if (isLate(waiter, at)) {
        used ??= this.#inUse()
        this.#refuseLate(waiter, used)
      } else if (isDue || waiter === first) {
        waiter.watch.look('exclusive', () => waiter.terms.stack ?? '')
      }
    }
  }

  #refuseLate(waiter: Waiter, { text, holders }: InUse): void {
    const message =
      `holdAsync of ${this.#thread.label} waited ${waiter.terms.timeoutMs} ms for one of the table's owners: ` +
      `${text}. Create the table with more owners, or hold locks for shorter`
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
