/**
 * What a deadlock was, as plain data: made by whoever detects it, turned into text by `explain/`.
 *
 * Everything here can be cloned, sent between threads and written as JSON.
 */

import type { LockMode } from './modes.ts'
import type { LockLabel } from './names.ts'

/** One thread or task of the cycle, as it stood when the deadlock was found. */
export interface DeadlockMember {
  /**
   * The thread's number: its owner number in the table, from 1 in the order of opening. Of a task of
   * asynchronous code: the number of the request with which it waits.
   */
  readonly thread: number
  /** The label it was opened with; of a task: its request's, or the nearest holder's around it. */
  readonly label: string
  /** The locks it holds: of a thread lowest first; of a task those of its innermost holder first. */
  readonly holds: readonly LockLabel[]
  /** Those of `holds` that it holds shared; absent where it holds all of them alone. */
  readonly holdsShared?: readonly LockLabel[]
  /** The lock it waits for; the next member of the cycle holds it. */
  readonly waitsFor: LockLabel
  /** In which mode it wants that lock; absent for `exclusive`. */
  readonly mode?: LockMode
  /** The number of the thread that holds that lock. */
  readonly blocker: number
  /** For how long it had waited, in milliseconds. */
  readonly waitedMs: number
  /** The call stack at which it waits: a line for each call, the innermost first, no heading. */
  readonly stack: string
  /**
   * Whether it is proved that this request is waited for by the holder that the member before it waits for.
   * Absent for threads, whose waits are certain.
   */
  readonly proved?: boolean
  /**
   * The functions that wait for this request, a line each, from the innermost to the callback that must end
   * first. Absent for threads, and where the runtime does not show them.
   */
  readonly awaitChain?: string
  /**
   * Of tasks: the call stack at which it asked for the lock that the member before it waits for; absent
   * where that was not kept.
   */
  readonly heldAt?: string
  /**
   * Where `heldAt` was not kept: the call stack at which another lock of the same class was asked for;
   * the last that was kept.
   */
  readonly similarHeldAt?: string
  /**
   * For a task: the request that took each lock of `holds`, in the same order. Its label is its own, and
   * can differ from the member's.
   */
  readonly heldBy?: readonly LockHolder[]
}

/** A request that holds a lock. */
export interface LockHolder {
  /** The lock that it holds. */
  readonly lock: LockLabel
  /** The label of the request. */
  readonly label: string
  /** The mode in which it holds the lock. */
  readonly mode: LockMode
  /** The time at which it got the lock, in milliseconds since 1970, to within 10 ms. */
  readonly since: number
  /** The time for which it had held the lock when the report was made, in milliseconds. */
  readonly heldMs: number
  /** The innermost line of the program that asked for it; absent where that was not kept. */
  readonly callSite?: string
  /** Where `callSite` was not kept: that of another request for a lock of the same class. */
  readonly similarCallSite?: string
}

/**
 * A request that is in the way of another: the holder at which the chain of waiting requests ends, not
 * the next waiter in the queue.
 */
export interface RootHolder extends LockHolder {
  /** The lock that the other request waits for: another than `lock` where requests in between want both. */
  readonly waitsFor: LockLabel
  /** The mode in which the other request wants `waitsFor`. */
  readonly wanted: LockMode
  /** The number of requests that hold `lock`; more than 1 where it is held shared. */
  readonly holders: number
  /** The number of requests that wait for `lock`. */
  readonly waiters: number
  /** True where the other request was made in this holder's callback, or by its owner. */
  readonly isAround?: boolean
  /** A nested request of this holder that waits; absent where none does. */
  readonly nested?: NestedWait
}

/** A nested request for which its holder waits, or may wait. */
export interface NestedWait {
  /** The lock that it waits for. */
  readonly lock: LockLabel
  /** The mode in which it wants the lock. */
  readonly mode: LockMode
  readonly label: string
  readonly waitedMs: number
  readonly callSite?: string
  /** The labels of its own root holders. */
  readonly behind: readonly string[]
}

/** A deadlock that really happened: a cycle in the wait-for graph. */
export interface DeadlockReport {
  readonly kind: 'deadlock'
  /** Who waits: threads on shared memory, or tasks of asynchronous code. Absent: threads. */
  readonly between?: 'threads' | 'tasks'
  /**
   * True where it is not proved of every member that its holder waits for it (see
   * {@link DeadlockMember.proved}). Nothing is rejected then, unless `deadlockVictims` is `'likely'`.
   */
  readonly suspected?: boolean
  /** Whether the victim is rejected. Absent for threads, where it always is. */
  readonly hasVictim?: boolean
  /** When it was found, in milliseconds since 1970. */
  readonly detectedAtMs: number
  /**
   * The number of the thread, or of the task's request, that is rejected so that the others go on; where
   * a deadlock is only suspected, that would be.
   */
  readonly victim: number
  /** The cycle: each member waits for the next, the last for the first. The victim is first. */
  readonly cycle: readonly DeadlockMember[]
}

/** A lock that was wanted while another was held, as it was first seen. */
export interface PossibleDeadlockEdge {
  /** The class that was held; the name, where both are of one class. */
  readonly held: string
  /** The class that was wanted; the name, where both are of one class. */
  readonly wanted: string
  /** The name that was held when this was first seen. */
  readonly heldAs: string
  /** The name that was wanted then. */
  readonly wantedAs: string
  /** The label of whoever asked. */
  readonly label: string
  /** The call stack at which `heldAs` was asked for; `''` where it was not kept. */
  readonly heldAt: string
  /** Where `heldAt` was not kept: that of another lock of the same class, the last that was kept. */
  readonly similarHeldAt?: string
  /** The call stack at which `wantedAs` was asked for. */
  readonly wantedAt: string
}

/** A deadlock that can happen: a cycle in the order graph, whether or not anything hung. */
export interface PossibleDeadlockReport {
  readonly kind: 'possible-deadlock'
  /** Each edge wants what the next one holds, the last what the first one holds. */
  readonly cycle: readonly PossibleDeadlockEdge[]
  /**
   * The number of further cycles of the same call sites and classes since the first report of them. They
   * are reported only when there are 10, 100, 1,000 and so on. Absent in the first report.
   */
  readonly similar?: number
}

/**
 * A holding that lasts longer than its `warnAfterMs`; or a lock for which a request has waited longer than
 * its `warnAfterMs` or the manager's `longWaitMs`. A lock is reported once, not once for each waiter.
 */
export interface SlowReport {
  readonly kind: 'slow'
  /** Whether it still waits, or holds. */
  readonly state: 'waiting' | 'holding'
  /** The label of the request; of a lock that is waited for: of the oldest waiter. */
  readonly label: string
  /** The locks of that request, in order. */
  readonly names: readonly string[]
  /** The time for which it has waited, or held, in milliseconds. */
  readonly lastsMs: number
  /** The innermost line of the program that made the request; absent where that was not kept. */
  readonly callSite?: string
  /** Where `callSite` was not kept: that of another request for a lock of the same class. */
  readonly similarCallSite?: string
  /** The labels of the root holders. Empty when it holds. */
  readonly blockers: readonly string[]
  /** The lock that is waited for; absent when it holds. */
  readonly lock?: string
  /** The number of requests that wait for `lock`; absent when it holds. */
  readonly waiters?: number
  /** The first of the requests that hold `lock`, oldest first; absent when it holds. */
  readonly holders?: readonly RootHolder[]
  /**
   * Guards outside of callbacks, or with an owner that a wait does not name, that could form a cycle with the
   * waits and keep this request waiting: suspected, as nobody knows which task will release them. One member:
   * a task that may wait for its own guard. Absent where there are none, or the cycle was given in another
   * lock's report.
   */
  readonly guardCycle?: readonly GuardCycleMember[]
  /** The lock in whose report `guardCycle` was given, where that was another one and the cycle still stands. */
  readonly guardCycleReportedFor?: LockLabel
}

/** One side of a suspected cycle: a request that waits, and a guard that its task may hold. */
export interface GuardCycleMember {
  /** The label of the request that waits. */
  readonly label: string
  /** The lock that it waits for; the next member's guard, or the first one's, is in its way. */
  readonly waitsFor: LockLabel
  readonly waitedMs: number
  readonly callSite?: string
  /** The guard that its task may hold; it is in the way of the member before. */
  readonly mayHold: LockHolder
  /** True where the guard is known to be this task's: both have one owner, or one callback around them. */
  readonly isCertain?: boolean
  /** Which of the two has an owner, where only one has: perhaps the other lacks it by mistake. */
  readonly withOwner?: 'guard' | 'request'
}

/** A guard that was garbage-collected without `release()`: its locks stay held. */
export interface LeakedReport {
  readonly kind: 'leaked'
  /** The label of the request that got the guard. */
  readonly label: string
  /** Its locks, in order. */
  readonly names: readonly string[]
  /** The time at which it got them, in milliseconds since 1970, to within 10 ms. */
  readonly since: number
  /** The time for which it had held them when the report was made, in milliseconds. */
  readonly heldMs: number
  /** The innermost line of the program that asked for the guard; absent where that was not kept. */
  readonly callSite?: string
  /** Where `callSite` was not kept: that of another request for a lock of the same class. */
  readonly similarCallSite?: string
  /** The number of requests that wait for these locks. */
  readonly waiters: number
}

/** What a thread left that ended while it held locks. */
export interface AbandonedLocks {
  /** The thread's number: its owner number in the table. */
  readonly thread: number
  /** The label it was opened with. */
  readonly label: string
  /** All the locks it held, its asynchronous holdings' too, lowest first. */
  readonly locks: readonly number[]
}

/** The same report with its locks called by other names, for tables whose numbers mean something. */
export function relabelLocks(
  report: DeadlockReport,
  label: (lock: LockLabel) => LockLabel,
): DeadlockReport {
  const cycle = report.cycle.map((member) => ({
    ...member,
    holds: member.holds.map(label),
    ...(member.holdsShared && { holdsShared: member.holdsShared.map(label) }),
    ...(member.heldBy && {
      heldBy: member.heldBy.map((holder) => ({ ...holder, lock: label(holder.lock) })),
    }),
    waitsFor: label(member.waitsFor),
  }))
  return { ...report, cycle }
}

/** A thread, or an asynchronous holding of one, that is in the way of a wait in shared memory. */
export interface ThreadHolder {
  /** The label it was opened with; of an asynchronous holding: that of its thread, and a number. */
  readonly label: string
  /** The number of the thread in the table. */
  readonly thread: number
  readonly mode: LockMode
  /**
   * The time for which it has held the lock, in milliseconds. Of an asynchronous holding: since it got its
   * locks. Of a thread: since when every look of the waiter has found it as the holder, for threads take
   * free locks without writing down when. Absent where neither is known.
   */
  readonly heldMs?: number
  /** True where `heldMs` is what the waiter has seen: the holder can have it longer, or anew between looks. */
  readonly isSeen?: boolean
  /** The call stack at which an asynchronous holding asked for its locks: order `'free'` only. */
  readonly stack?: string
  /** Its own wait; absent where it does not wait. */
  readonly waits?: ThreadWait
}

/** The wait of a thread, or of an asynchronous holding, as it published it. */
export interface ThreadWait {
  /** The number of the lock. */
  readonly lock: number
  readonly mode: LockMode
  readonly waitedMs: number
  /** The call stack at which it waits: order `'free'` only. */
  readonly stack?: string
  /** The holders of that lock; empty where they are in the report already. */
  readonly holders: readonly ThreadHolder[]
}

/** A wait in shared memory that has lasted for `longWaitMs` or longer. Nothing is given up. */
export interface LongWaitReport {
  readonly kind: 'long-wait'
  /** The label of the thread, or the asynchronous holding, that waits. */
  readonly label: string
  /** The number of its thread in the table. */
  readonly thread: number
  /** The number of the lock; absent where a `holdAsync` waits for one of the table's owners. */
  readonly lock?: number
  readonly mode?: LockMode
  /** The time at which the wait began, in milliseconds since 1970. */
  readonly since: number
  readonly waitedMs: number
  /** Whether the thread is blocked, and its event loop stands still. */
  readonly isBlocked: boolean
  /** The call stack of the call that waits: a line for each call, the innermost first, no heading. */
  readonly stack: string
  /** The number of threads and asynchronous holdings that wait for this lock; absent without a lock. */
  readonly waiters?: number
  /** The holders in its way. Without a lock: all owners of the table. At most ten. */
  readonly holders: readonly ThreadHolder[]
  /** The number of all of them. */
  readonly holderCount: number
}
