/** Reports of what lasts too long: holdings, waits, and guards that nothing can release any more. */

import type { LockLabel } from './names.ts'
import type {
  GuardCycleMember,
  RequestedLock,
  RootHolder,
  ThreadHolder,
  Versioned,
} from './report-parts.ts'

/** A holding, or a wait for a lock, that lasts too long. */
export type SlowReport = SlowHoldingReport | SlowWaitReport

interface SlowRequest extends Versioned {
  readonly kind: 'slow'
  /** The label of the request; for a wait: of the oldest waiter. */
  readonly label: string
  /** The locks of that request, in order. */
  readonly names: readonly string[]
  /** The time for which it has waited, or held, in milliseconds. */
  readonly lastsMs: number
  /** The innermost line of the program that made the request; absent if it was not kept. */
  readonly callSite?: string
  /**
   * The `callSite` of another request for a lock of the same class, if the request's own was not kept; absent
   * if none was kept.
   */
  readonly similarCallSite?: string
}

/** A holding that lasts longer than its `warnAfterMs`. */
export interface SlowHoldingReport extends SlowRequest {
  readonly state: 'holding'
}

/**
 * A lock for which a request has waited longer than its `warnAfterMs` or the manager's `longWaitMs`. A lock
 * is reported once, not once for each waiter. If several locks have the same holders and the same
 * oldest waiter, only one is reported.
 */
export interface SlowWaitReport extends SlowRequest {
  readonly state: 'waiting'
  /** The number of the request in its manager, from 1 in the order of requests. */
  readonly id: number
  /** The lock that the request waits for. */
  readonly lock: LockLabel
  /** The number of requests that wait for `lock`. */
  readonly waiters: number
  /** The root holders that block the request at `lock`, at most ten, in the order of the backend. */
  readonly holders: readonly RootHolder[]
  /**
   * Guards that could form a cycle with waiting requests and keep this request waiting. They were requested
   * outside of callbacks, or have an owner that a waiting request does not name. The cycle is only suspected,
   * because it is not known which task will release them. One member: a task that may wait for its own guard.
   * Empty if there are none, or if another lock's report gave the cycle.
   */
  readonly guardCycle: readonly GuardCycleMember[]
  /** The other lock whose report gave the cycle, while the cycle still exists; `null` if there is none. */
  readonly guardCycleReportedFor: LockLabel | null
}

/** A guard that was garbage-collected without `release()`: its locks stay held. */
export interface LeakedReport extends Versioned {
  readonly kind: 'leaked'
  /** The label of the request that got the guard. */
  readonly label: string
  /** Its locks, in order. */
  readonly names: readonly string[]
  /** The time at which it got the locks, in milliseconds since 1970, to within 10 ms. */
  readonly sinceMs: number
  /** The time for which it had held them when the report was made, in milliseconds. */
  readonly heldMs: number
  /** The innermost line of the program that requested the guard; absent if it was not kept. */
  readonly callSite?: string
  /**
   * The `callSite` of another request for a lock of the same class, if the guard's own was not kept; absent
   * if none was kept.
   */
  readonly similarCallSite?: string
  /** The number of requests that wait for these locks. */
  readonly waiters: number
}

/** A wait in shared memory that has lasted for `longWaitMs` or longer. The wait goes on. */
export type LongWaitReport = LongLockWaitReport | LongSlotWaitReport

interface LongWait extends Versioned {
  readonly kind: 'long-wait'
  /** The label of the waiting thread or asynchronous holding. */
  readonly label: string
  /** The number of its thread in the table. */
  readonly thread: number
  /** The time at which the wait began, in milliseconds since 1970. */
  readonly sinceMs: number
  /** The time for which it has lasted, in milliseconds. */
  readonly waitedMs: number
  /** Whether the thread is blocked, so that its event loop does not run. */
  readonly isBlocked: boolean
  /** Whether it is the process's main thread, whose event loop all other threads need. */
  readonly isMainThread: boolean
  /**
   * The call stack at which it waits: a line for each call, innermost first, no heading. Absent if it was not
   * kept.
   */
  readonly waitsAt?: string
  /** The holders that block it, at most ten. */
  readonly holders: readonly ThreadHolder[]
  /** The number of all holders that block it. */
  readonly holderCount: number
}

/** A long wait for a lock. */
export interface LongLockWaitReport extends LongWait {
  readonly resource: 'lock'
  readonly waitsFor: RequestedLock
  /** The number of threads and asynchronous holdings that wait for this lock. */
  readonly waiters: number
}

/** A long wait of a `holdAsync` for a free owner slot. Its `holders` are the first owners of the table. */
export interface LongSlotWaitReport extends LongWait {
  readonly resource: 'owner'
}
