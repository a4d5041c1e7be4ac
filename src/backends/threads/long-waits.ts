/**
 * Reports waits that last too long, as one thread sees them: one report for each stuck lock, not for each
 * waiter. More reports follow at growing intervals, while any wait in the thread for that lock lasts too
 * long.
 *
 * Every waiter checks this when it wakes, within MAX_SLEEP_MS (wait.ts). A blocked thread writes to stderr
 * itself: a warning of the process would appear only after the thread no longer blocks.
 *
 * Cost: nothing until a wait sleeps; then one reading of a clock and of the lock's word for each sleep.
 */

import { builtin } from '../../core/builtin.ts'
import { nowMs } from '../../core/clock.ts'
import { emitWarning, writeWarning } from '../../core/emit-warning.ts'
import type { LockMode } from '../../core/modes.ts'
import type { LongWaitReport } from '../../core/report.ts'
import { longWaitText } from '../../core/report-text.ts'
import { describeHolders, holdersOf, type Seen, waitersOf } from './holders.ts'
import { TASK_SLOT } from './layout.ts'
import { kindOf, leaderOf, type Owner, ownersIn } from './owners.ts'
import { addressOf, ownerIn, type Table } from './table.ts'

/** Default time after which a wait is reported. */
export const LONG_WAIT_MS = 10_000

/** Receives the report of a wait that has lasted too long. */
export type OnLongWait = (report: LongWaitReport) => void

/** Used instead of a lock's number for a wait for a free owner slot. */
const NO_LOCK = -1

/** A lock for which a wait in this thread lasts too long. */
interface Stuck {
  waits: number
  /** When the next report is due, in milliseconds since 1970. */
  nextMs: number
}

/** The long waits of one thread in one table. */
class LongWaits {
  readonly limitMs: number
  readonly #onLongWait: OnLongWait | undefined
  readonly #stuck = new Map<number, Stuck>()

  constructor(limitMs: number, onLongWait: OnLongWait | undefined) {
    this.limitMs = limitMs
    this.#onLongWait = onLongWait
  }

  /** Counts one more wait for a lock that lasts too long. */
  begun(lock: number): void {
    const stuck = this.#stuck.get(lock)
    if (stuck) stuck.waits++
    else this.#stuck.set(lock, { waits: 1, nextMs: 0 })
  }

  ended(lock: number): void {
    const stuck = this.#stuck.get(lock)
    if (stuck && --stuck.waits === 0) this.#stuck.delete(lock)
  }

  /** Whether a report of a long wait for a lock is due at this time. */
  isDue(lock: number, at: number): boolean {
    const stuck = this.#stuck.get(lock)
    return stuck !== undefined && at >= stuck.nextMs
  }

  /** Notes the report of a wait that has lasted `waitedMs`: the next is due after as long again. */
  reported(lock: number, at: number, waitedMs: number): void {
    const stuck = this.#stuck.get(lock)
    if (stuck) stuck.nextMs = at + Math.max(waitedMs, this.limitMs)
  }

  report(report: LongWaitReport): void {
    if (this.#onLongWait) callListener(this.#onLongWait, report)
    else if (report.isBlocked) writeWarning(longWaitText(report))
    else emitWarning(longWaitText(report))
  }
}

const settings = new WeakMap<Table, LongWaits>()

/** Makes this thread report its long waits in a table. */
export function reportLongWaits(
  table: Table,
  limitMs: number,
  onLongWait: OnLongWait | undefined,
): void {
  if (limitMs !== Number.POSITIVE_INFINITY) settings.set(table, new LongWaits(limitMs, onLongWait))
}

/** Watches one wait: since when its lock has had its holder, and whether the wait lasts too long. */
export class WaitWatch {
  readonly #table: Table
  readonly #owner: Owner
  /** The lock's number, or NO_LOCK. */
  readonly #lock: number
  readonly #sinceMs: number
  readonly #longWaits: LongWaits | undefined
  #isLong = false
  #seen: Seen = { id: 0, sinceMs: 0 }
  /**
   * The earliest time of this wait's next report, in milliseconds since 1970. Kept here too, because
   * `Stuck.nextMs` is forgotten whenever no long wait for the lock is counted.
   */
  #nextMs = 0

  constructor(table: Table, owner: Owner, sinceMs: number, lock: number = NO_LOCK) {
    this.#table = table
    this.#owner = owner
    this.#lock = lock
    this.#sinceMs = sinceMs
    this.#longWaits = settings.get(table)
    this.#noteHolder(sinceMs)
  }

  /** The holder, and since when each check has found it. */
  get seen(): Seen {
    return this.#seen
  }

  /** Checks the wait after each sleep. `mode` and `stack` are those of the wait. */
  check(mode: LockMode, stack: () => string): void {
    const at = nowMs()
    this.#noteHolder(at)
    const waitedMs = at - this.#sinceMs
    const longWaits = this.#longWaits
    if (longWaits === undefined || waitedMs < longWaits.limitMs) return
    if (!this.#isLong) {
      this.#isLong = true
      longWaits.begun(this.#lock)
    }
    if (at < this.#nextMs || !longWaits.isDue(this.#lock, at)) return
    const report = this.#reportOf(mode, stack(), waitedMs)
    // The lock was just released: if the wait goes on, the next check finds another holder.
    if (report.resource === 'lock' && report.holderCount === 0) return
    longWaits.reported(this.#lock, at, waitedMs)
    this.#nextMs = at + Math.max(waitedMs, longWaits.limitMs)
    longWaits.report(report)
  }

  /** Ends the watch: the wait has ended, or is not published for a moment. */
  end(): void {
    if (!this.#isLong) return
    this.#isLong = false
    this.#longWaits?.ended(this.#lock)
  }

  #noteHolder(at: number): void {
    if (this.#lock === NO_LOCK) return
    const { words } = this.#table
    const id = ownerIn(Atomics.load(words, addressOf(this.#table, this.#lock) >> 2))
    if (id !== this.#seen.id) this.#seen = { id, sinceMs: at }
  }

  #reportOf(mode: LockMode, stack: string, waitedMs: number): LongWaitReport {
    const table = this.#table
    const { id, label } = this.#owner
    const lock = this.#lock === NO_LOCK ? undefined : this.#lock
    const ids = lock === undefined ? ownersIn(table) : holdersOf(table, lock, id)
    const wait = {
      version: 1,
      kind: 'long-wait',
      label,
      thread: leaderOf(table, id),
      sinceMs: this.#sinceMs,
      waitedMs,
      isBlocked: lock !== undefined && kindOf(table, id) !== TASK_SLOT,
      isMainThread: isMainThread(),
      ...(stack !== '' && { waitsAt: stack }),
      holders: describeHolders(table, lock, ids, this.#seen, id),
      holderCount: ids.length,
    } as const
    if (lock === undefined) return { ...wait, resource: 'owner' }
    const waitsFor = { name: lock, mode, units: 1 }
    return { ...wait, resource: 'lock', waitsFor, waiters: waitersOf(table, lock) }
  }
}

/** Whether this thread is the main thread of Node, whose event loop all other threads need. */
export function isMainThread(): boolean {
  const threads = builtin<{ readonly isMainThread: boolean }>('node:worker_threads')
  return threads?.isMainThread === true
}

/**
 * Calls a listener. An error of the listener does not reach the waiter: it is rethrown outside of any call.
 */
function callListener(listener: OnLongWait, report: LongWaitReport): void {
  try {
    listener(report)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
