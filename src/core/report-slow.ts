/** Reports of what lasts too long: holdings, waits, and guards that nobody can release any more. */

import type { LockLabel } from './names.ts'
import type {
  GuardCycleMember,
  RequestedLock,
  RootHolder,
  ThreadHolder,
  Versioned,
} from './report-parts.ts'

/** Something that lasts too long: a holding, or a lock that is waited for. */
export type SlowReport = SlowHoldingReport | SlowWaitReport

interface SlowRequest extends Versioned {
  readonly kind: 'slow'
  /** The label of the request; for a lock that is waited for: that of the oldest waiter. */
  readonly label: string
  /** The locks of that request, in order. */
  readonly names: readonly string[]
  /** The time for which it has waited, or held, in milliseconds. */
  readonly lastsMs: number
  /** The innermost line of the program that made the request; absent where that was not kept. */
  readonly callSite?: string
  /**
   * Where `callSite` was not kept: that of another request for a lock of the same class; absent where none
   * was kept either.
   */
  readonly similarCallSite?: string
}

/** A holding that lasts longer than its `warnAfterMs`. */
export interface SlowHoldingReport extends SlowRequest {
  readonly state: 'holding'
}

/**
 * A lock for which a request has waited longer than its `warnAfterMs` or the manager's `longWaitMs`. A lock
 * is reported once, not once for each waiter; and of locks with the same holders and the same oldest waiter only
 * one.
 */
export interface SlowWaitReport extends SlowRequest {
  readonly state: 'waiting'
  /** The lock that is waited for. */
  readonly lock: LockLabel
  /** The number of requests that wait for `lock`. */
  readonly waiters: number
  /** The first of the requests that hold `lock`, oldest first. */
  readonly holders: readonly RootHolder[]
  /**
   * Guards outside of callbacks, or with an owner that a wait does not name, that could form a cycle with the
   * waits and keep this request waiting: suspected, as nobody knows which task will release them. One member:
   * a task that may wait for its own guard. Empty where there are none, or where the cycle was given in another
   * lock's report.
   */
  readonly guardCycle: readonly GuardCycleMember[]
  /** The other lock in whose report the cycle was given, while it still stands; `null` where there is none. */
  readonly guardCycleReportedFor: LockLabel | null
}

/** A guard that was garbage-collected without `release()`: its locks stay held. */
export interface LeakedReport extends Versioned {
  readonly kind: 'leaked'
  /** The label of the request that got the guard. */
  readonly label: string
  /** Its locks, in order. */
  readonly names: readonly string[]
  /** The time at which it got them, in milliseconds since 1970, to within 10 ms. */
  readonly sinceMs: number
  /** The time for which it had held them when the report was made, in milliseconds. */
  readonly heldMs: number
  /** The innermost line of the program that asked for the guard; absent where that was not kept. */
  readonly callSite?: string
  /**
   * Where `callSite` was not kept: that of another request for a lock of the same class; absent where none
   * was kept either.
   */
  readonly similarCallSite?: string
  /** The number of requests that wait for these locks. */
  readonly waiters: number
}

/** A wait in shared memory that has lasted for `longWaitMs` or longer. Nothing is given up. */
export type LongWaitReport = LongLockWaitReport | LongSlotWaitReport

interface LongWait extends Versioned {
  readonly kind: 'long-wait'
  /** The label of the thread, or the asynchronous holding, that waits. */
  readonly label: string
  /** The number of its thread in the table. */
  readonly thread: number
  /** The time at which the wait began, in milliseconds since 1970. */
  readonly sinceMs: number
  /** The time for which it has lasted, in milliseconds. */
  readonly waitedMs: number
  /** Whether the thread is blocked, and its event loop stands still. */
  readonly isBlocked: boolean
  /** Whether the thread is the process's main thread, whose event loop all others need. */
  readonly isMainThread: boolean
  /**
   * The call stack of the call that waits: a line for each call, the innermost first, no heading. Absent where
   * it was not kept.
   */
  readonly waitsAt?: string
  /** The holders in its way, at most ten. */
  readonly holders: readonly ThreadHolder[]
  /** The number of all of them. */
  readonly holderCount: number
}

/** A long wait for a lock. */
export interface LongLockWaitReport extends LongWait {
  readonly resource: 'lock'
  readonly waitsFor: RequestedLock
  /** The number of threads and asynchronous holdings that wait for this lock. */
  readonly waiters: number
}

/** A long wait of a `holdAsync` for one of the table's owners. Its `holders` are all owners of the table. */
export interface LongSlotWaitReport extends LongWait {
  readonly resource: 'owner'
}
