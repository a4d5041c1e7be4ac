/** The parts of reports: held and requested locks, holders, and waits. */

import type { LockMode } from './modes.ts'
import type { LockLabel } from './names.ts'

/** The base of all reports. */
export interface Versioned {
  /** The version of the shape of all reports. It grows when a property is removed or changes its meaning. */
  readonly version: 1
}

/** A lock as a request names it. */
export interface RequestedLock {
  readonly name: LockLabel
  readonly mode: LockMode
  /** The number of units of the lock; 1 if it is not a counted lock. */
  readonly units: number
}

/** A lock that is held. */
export interface HeldLock extends RequestedLock {
  /** The label of the holder: a request, a thread, or an asynchronous holding in shared memory. */
  readonly label: string
  /**
   * The time at which the holder got the lock, in milliseconds since 1970, to within 10 ms. Absent if not
   * known: threads take free locks without recording the time.
   */
  readonly sinceMs?: number
  /**
   * The time for which it had held the lock when the report was made, in milliseconds; absent like `sinceMs`.
   */
  readonly heldMs?: number
  /** The innermost line of the program that requested the lock; absent if it was not kept. */
  readonly callSite?: string
  /**
   * The `callSite` of another request for a lock of the same class, if the holder's own was not kept; absent
   * if none was kept.
   */
  readonly similarCallSite?: string
}

/** A request that holds a lock. */
export interface LockHolder extends HeldLock {
  /** The time at which it got the lock, in milliseconds since 1970, to within 10 ms. */
  readonly sinceMs: number
  /** The time for which it had held the lock when the report was made, in milliseconds. */
  readonly heldMs: number
}

/**
 * A request that blocks another: the holder at the end of the chain of waiting requests, not the next waiter
 * in the queue.
 */
export interface RootHolder extends LockHolder {
  /** The number of the request in its manager, from 1 in the order of requests; absent for another manager's. */
  readonly id?: number
  /** The lock that the other request waits for. It differs from `name` only if requests wait in between. */
  readonly waitsFor: RequestedLock
  /** The number of requests that hold the lock; more than 1 only if it is held shared. */
  readonly holders: number
  /** The number of requests that wait for the lock. */
  readonly waiters: number
  /** Whether the other request was made in this holder's callback, at any depth. False for a guard. */
  readonly isAround: boolean
  /**
   * A waiting nested request of this holder that some code awaits; `null` if there is none, or if it is the
   * blocked request itself.
   */
  readonly nested: NestedWait | null
}

/** A nested request that its holder waits for, or may wait for. */
export interface NestedWait {
  readonly label: string
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The innermost line of the program that made the request; absent if it was not kept. */
  readonly callSite?: string
  /** The labels of its own root holders. */
  readonly behind: readonly string[]
}

/** One member of a suspected cycle: a waiting request, and a guard that its task may hold. */
export interface GuardCycleMember {
  /** The label of the waiting request. */
  readonly label: string
  /** The lock that it waits for. The guard of the next member (for the last: of the first) blocks it. */
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The innermost line of the program that made the request; absent if it was not kept. */
  readonly callSite?: string
  /**
   * The guard that its task may hold; it blocks the previous member. If the request was made in the callback
   * that holds the lock, this is the callback's request, not a guard.
   */
  readonly mayHold: LockHolder
  /**
   * Whether `mayHold` is known to be this task's: both have the same owner, or the same callback around them;
   * or the request was made in the callback of `mayHold`.
   */
  readonly isCertain: boolean
  /** Which of the two has an owner. If only one has, the other may lack it by mistake. */
  readonly withOwner: 'guard' | 'request' | 'both' | 'neither'
}

/** A thread, or an asynchronous holding of one, that blocks a wait in shared memory. */
export interface ThreadHolder {
  /** The label with which the thread opened the table; for an asynchronous holding, followed by a number. */
  readonly label: string
  /** The number of the thread in the table. */
  readonly thread: number
  readonly mode: LockMode
  /**
   * The time for which it has held the lock, in milliseconds. For an asynchronous holding, it counts from
   * when it got its locks. For a thread, it is the time over which every check of the waiter found it
   * as the holder, because threads take free locks without recording the time. Absent if not known.
   */
  readonly heldMs?: number
  /**
   * Whether the waiter measured `heldMs` by its checks. The holder may have held the lock for longer, or may
   * have released and retaken it between two checks.
   */
  readonly isSeen: boolean
  /** The call stack at which an asynchronous holding requested its locks; absent if it was not kept. */
  readonly heldAt?: string
  /** The label of the ended thread that left the lock, if this holder's `onOwnerDied` is repairing it. */
  readonly repairs?: string
  /** The holder's own wait; `null` if it does not wait. */
  readonly waits: ThreadWait | null
}

/** The wait that may block a holder, as the waiter published it. */
export interface ThreadWait {
  /**
   * The waiter: the holder itself; its thread, which blocks meanwhile; or an asynchronous holding requested
   * inside the holder, which may or may not wait for it.
   */
  readonly waiter: 'itself' | 'its thread' | 'inside'
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The call stack at which it waits; absent if it was not kept. It is kept under order `'free'` only. */
  readonly waitsAt?: string
  /** The holders of that lock; empty if they are already in the report. */
  readonly holders: readonly ThreadHolder[]
}

/** The locks of a thread that ended while it held them. */
export interface AbandonedLocks {
  /** The thread's number: its owner number in the table. */
  readonly thread: number
  /** The label with which it opened the table. */
  readonly label: string
  /** All locks that it held, with those of its asynchronous holdings, lowest first. */
  readonly locks: readonly number[]
}
