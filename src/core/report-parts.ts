/** The parts of reports: locks as they are held and asked for, holders, and waits. */

import type { LockMode } from './modes.ts'
import type { LockLabel } from './names.ts'

/** The base of all reports. */
export interface Versioned {
  /** The version of the shape of all reports: it grows when a property is removed or changes its meaning. */
  readonly version: 1
}

/** A lock as a request asks for it. */
export interface RequestedLock {
  readonly name: LockLabel
  readonly mode: LockMode
  /** The number of units of the lock; 1 where it is not a counted one. */
  readonly units: number
}

/** A lock that is held. */
export interface HeldLock extends RequestedLock {
  /** The label of the holder: a request, a thread, or an asynchronous holding in shared memory. */
  readonly label: string
  /**
   * The time at which the holder got the lock, in milliseconds since 1970, to within 10 ms. Absent where it
   * is not known: threads take free locks without recording when.
   */
  readonly sinceMs?: number
  /** The time for which it had held the lock when the report was made, in milliseconds; as `sinceMs`. */
  readonly heldMs?: number
  /** The innermost line of the program that asked for the lock; absent where that was not kept. */
  readonly callSite?: string
  /**
   * Where `callSite` was not kept: that of another request for a lock of the same class; absent where none
   * was kept either.
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
 * A request that is in the way of another: the holder at which the chain of waiting requests ends, not
 * the next waiter in the queue.
 */
export interface RootHolder extends LockHolder {
  /** The lock that the other request waits for: another than `name` where requests in between want both. */
  readonly waitsFor: RequestedLock
  /** The number of requests that hold the lock; more than 1 where it is held shared. */
  readonly holders: number
  /** The number of requests that wait for the lock. */
  readonly waiters: number
  /** Whether the other request was made in this holder's callback, or by its owner. */
  readonly isAround: boolean
  /** A nested request of this holder that waits, and that somebody waits for; `null` where none does. */
  readonly nested: NestedWait | null
}

/** A nested request for which its holder waits, or may wait. */
export interface NestedWait {
  readonly label: string
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The innermost line of the program that made the request; absent where that was not kept. */
  readonly callSite?: string
  /** The labels of its own root holders. */
  readonly behind: readonly string[]
}

/** One side of a suspected cycle: a request that waits, and a guard that its task may hold. */
export interface GuardCycleMember {
  /** The label of the request that waits. */
  readonly label: string
  /** The lock that it waits for; the next member's guard, or the first one's, is in its way. */
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The innermost line of the program that made the request; absent where that was not kept. */
  readonly callSite?: string
  /** The guard that its task may hold; it is in the way of the member before. */
  readonly mayHold: LockHolder
  /** Whether the guard is known to be this task's: both have one owner, or one callback around them. */
  readonly isCertain: boolean
  /** Which of the two has an owner: where only one has, perhaps the other lacks it by mistake. */
  readonly withOwner: 'guard' | 'request' | 'both' | 'neither'
}

/** A thread, or an asynchronous holding of one, that is in the way of a wait in shared memory. */
export interface ThreadHolder {
  /** The label it was opened with; that of an asynchronous holding: the label of its thread, and a number. */
  readonly label: string
  /** The number of the thread in the table. */
  readonly thread: number
  readonly mode: LockMode
  /**
   * The time for which it has held the lock, in milliseconds: for an asynchronous holding since it got its
   * locks; for a thread since when every look of the waiter has found it as the holder, for threads take
   * free locks without recording when. Absent where neither is known.
   */
  readonly heldMs?: number
  /** Whether `heldMs` is what the waiter has seen: the holder can have it longer, or anew between looks. */
  readonly isSeen: boolean
  /** The call stack at which an asynchronous holding asked for its locks; absent where it was not kept. */
  readonly heldAt?: string
  /** The label of the ended thread that left the lock, where this holder's `onOwnerDied` repairs it. */
  readonly repairs?: string
  /** Its own wait; `null` where it does not wait. */
  readonly waits: ThreadWait | null
}

/** The wait that may keep a holder, as it was published. */
export interface ThreadWait {
  /**
   * The waiter: the holder itself; its thread, which blocks meanwhile; or an asynchronous holding that was
   * asked for inside the holder, which may or may not wait for it.
   */
  readonly waiter: 'itself' | 'its thread' | 'inside'
  readonly waitsFor: RequestedLock
  /** The time for which it has waited, in milliseconds. */
  readonly waitedMs: number
  /** The call stack at which it waits; absent where it was not kept: it is under order `'free'` only. */
  readonly waitsAt?: string
  /** The holders of that lock; empty where they are in the report already. */
  readonly holders: readonly ThreadHolder[]
}

/** The locks that a thread left that ended while it held them. */
export interface AbandonedLocks {
  /** The thread's number: its owner number in the table. */
  readonly thread: number
  /** The label it was opened with. */
  readonly label: string
  /** All the locks it held, its asynchronous holdings' too, lowest first. */
  readonly locks: readonly number[]
}
