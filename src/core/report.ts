/**
 * Reports: the findings of detectors, as plain data. report-text.ts formats all of them as text.
 *
 * A report can be cloned, sent between threads and written as JSON unchanged. Its `kind` and `version` are
 * always present. A property is absent only if its value is not known; `null` means that there is none.
 */

import type { LockLabel } from './names.ts'
import type { HeldLock, RequestedLock, Versioned } from './report-parts.ts'
import type { LeakedReport, LongWaitReport, SlowReport } from './report-slow.ts'

export type {
  AbandonedLocks,
  GuardCycleMember,
  HeldLock,
  LockHolder,
  NestedWait,
  RequestedLock,
  RootHolder,
  ThreadHolder,
  ThreadWait,
} from './report-parts.ts'
export type {
  LeakedReport,
  LongLockWaitReport,
  LongSlotWaitReport,
  LongWaitReport,
  SlowHoldingReport,
  SlowReport,
  SlowWaitReport,
} from './report-slow.ts'

/** A report of any kind. */
export type Report =
  | DeadlockReport
  | PossibleDeadlockReport
  | SlowReport
  | LeakedReport
  | LongWaitReport

/** A waiting thread, asynchronous holding or request. */
export type Waiter =
  | {
      readonly kind: 'thread'
      /** The thread's number: its owner number in the table, from 1 in the order of opening. */
      readonly id: number
      /** The label with which it opened the table. */
      readonly label: string
    }
  | {
      readonly kind: 'task'
      /** The owner number of an asynchronous holding in the table. */
      readonly id: number
      /** The label of its thread, and a number. */
      readonly label: string
      /** The number of its thread in the table. */
      readonly thread: number
    }
  | {
      readonly kind: 'request'
      /** The number of the request in its manager, from 1 in the order of requests. */
      readonly id: number
      /** The label of the request, or of the nearest holder around it. */
      readonly label: string
    }

/** A lock that a member of a deadlock holds. */
export interface DeadlockHeldLock extends HeldLock {
  /**
   * The call stack at which the lock was requested. It is kept only for the lock that the previous member
   * waits for; absent if it was not kept.
   */
  readonly heldAt?: string
  /**
   * A kept call stack of another request for a lock of the same class, if `heldAt` was not kept; absent if
   * none was kept.
   */
  readonly similarHeldAt?: string
}

/** One waiter of the cycle, at the moment when the deadlock was found. */
export interface DeadlockMember {
  readonly waiter: Waiter
  /**
   * The locks that it holds, and the locks of every holder or thread that waits for it: an enclosing holder,
   * or the thread of an asynchronous holding. Lock numbers are listed lowest first. For requests, the locks
   * of the innermost holder come first.
   */
  readonly holds: readonly DeadlockHeldLock[]
  /** The lock that it waits for; the next member of the cycle holds it. */
  readonly waitsFor: RequestedLock
  /**
   * The numbers of the holders of that lock, at most ten: first the next member's, which is the `id` of its
   * waiter, then those of the other holders.
   */
  readonly blockers: readonly number[]
  /** The time for which it had waited, in milliseconds. */
  readonly waitedMs: number
  /**
   * The call stack at which it waits: a line for each call, innermost first, no heading. Absent if it was not
   * kept.
   */
  readonly waitsAt?: string
  /**
   * The functions that wait for this request, a line each, from the innermost to the callback that holds the
   * lock for which the previous member waits. Absent if not known: the runtime does not show them, or a
   * thread waits.
   */
  readonly awaitChain?: string
  /** Whether it is proved that the holder that blocks the previous member waits for this member. */
  readonly isProved: boolean
  /**
   * Whether the request that waits has the same `owner` as the holder for which the previous member waits:
   * both count as one task. Absent if not known: threads have no such owners.
   */
  readonly sharesOwner?: boolean
}

/** A real deadlock: a cycle in the wait-for graph. */
export interface DeadlockReport extends Versioned {
  readonly kind: 'deadlock'
  /** Threads on shared memory, with their asynchronous holdings; or tasks of asynchronous code. */
  readonly between: 'threads' | 'tasks'
  /**
   * `suspected` unless every member's holder is proved to wait for it (see {@link DeadlockMember.isProved}).
   * A suspected deadlock rejects nothing, unless `deadlockVictims` is `'likely'`.
   */
  readonly confidence: 'proved' | 'suspected'
  /** Whether the victim is rejected. */
  readonly hasVictim: boolean
  /** The time at which it was found, in milliseconds since 1970. */
  readonly detectedAtMs: number
  /**
   * The `id` of the waiter that is rejected so that the others can go on. If `hasVictim` is false: of the
   * waiter that would be rejected.
   */
  readonly victim: number
  /** The cycle: each member waits for the next, the last for the first. The victim is first. */
  readonly cycle: readonly DeadlockMember[]
}

/** A lock that was requested while another was held, as first seen. */
export interface PossibleDeadlockEdge {
  /** The class of the held lock; its name, if both locks are of one class. */
  readonly held: string
  /** The class of the requested lock; its name, if both locks are of one class. */
  readonly wanted: string
  /** The name of the held lock when this was first seen. */
  readonly heldAs: string
  /** The name of the requested lock when this was first seen. */
  readonly wantedAs: string
  /** The label of the request. */
  readonly label: string
  /** The call stack at which `heldAs` was requested; absent if it was not kept. */
  readonly heldAt?: string
  /**
   * A kept call stack of another request for a lock of the same class, if `heldAt` was not kept; absent if
   * none was kept.
   */
  readonly similarHeldAt?: string
  /** The call stack at which `wantedAs` was requested; absent if it was not kept. */
  readonly wantedAt?: string
}

/** A potential deadlock: a cycle in the order graph, whether or not anything hung. */
export interface PossibleDeadlockReport extends Versioned {
  readonly kind: 'possible-deadlock'
  /**
   * The cycle: each edge requests the lock that the next holds, and the last the lock that the first holds.
   */
  readonly cycle: readonly PossibleDeadlockEdge[]
  /**
   * The number of further cycles of the same call sites and classes since their first report. If the same
   * call sites use many classes, cycles of the further classes are counted together. Further cycles are
   * reported only when there are 10, 100, 1,000 and so on; 0 in the first report.
   */
  readonly similar: number
}

/** Renames the locks of a report, for tables whose lock numbers have a meaning. */
export function relabelLocks(
  report: DeadlockReport,
  label: (lock: LockLabel) => LockLabel,
): DeadlockReport {
  const relabel = <Lock extends RequestedLock>(lock: Lock): Lock => ({
    ...lock,
    name: label(lock.name),
  })
  const cycle = report.cycle.map((member) => ({
    ...member,
    holds: member.holds.map(relabel),
    waitsFor: relabel(member.waitsFor),
  }))
  return { ...report, cycle }
}
