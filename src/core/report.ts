/**
 * Reports: the findings of detectors, as plain data. One place makes each kind; report-text.ts turns all of
 * them into text.
 *
 * A report can be cloned, sent between threads and written as JSON without a change. Its `kind` and `version`
 * are always there. A property is absent only where its value is not known; `null` means that there is none.
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

/** A thread, a holding or a request that waits. */
export type Waiter =
  | {
      readonly kind: 'thread'
      /** The thread's number: its owner number in the table, from 1 in the order of opening. */
      readonly id: number
      /** The label it was opened with. */
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
      /** The number of the request in its manager, from 1 in the order of asking. */
      readonly id: number
      /** The request's label, or the nearest holder's around it. */
      readonly label: string
    }

/** A lock that a member of a deadlock holds. */
export interface DeadlockHeldLock extends HeldLock {
  /**
   * The call stack at which it was asked for. It is kept only of the lock that the member before waits for;
   * absent where it was not kept.
   */
  readonly heldAt?: string
  /**
   * Where `heldAt` was not kept: the call stack at which another lock of the same class was asked for, the
   * last that was kept; absent where none was.
   */
  readonly similarHeldAt?: string
}

/** One waiter of the cycle, as it stood when the deadlock was found. */
export interface DeadlockMember {
  readonly waiter: Waiter
  /**
   * The locks that it holds: those of a thread lowest first; those of a task its innermost holder's first.
   * With those of the holders, or threads, that cannot go on before it does.
   */
  readonly holds: readonly DeadlockHeldLock[]
  /** The lock that it waits for; the next member of the cycle holds it. */
  readonly waitsFor: RequestedLock
  /**
   * The numbers of the holders of that lock: first the next member's, as the `id` of its waiter; then those of
   * others who hold it too, at most ten in all.
   */
  readonly blockers: readonly number[]
  /** The time for which it had waited, in milliseconds. */
  readonly waitedMs: number
  /**
   * The call stack at which it waits: a line for each call, the innermost first, no heading. Absent where it
   * was not kept.
   */
  readonly waitsAt?: string
  /**
   * The functions that wait for this request, a line each, from the innermost to the callback that must end
   * first. Absent where they are not known: the runtime does not show them, or a thread waits.
   */
  readonly awaitChain?: string
  /** Whether it is proved that the holder that the member before waits for waits for this member. */
  readonly isProved: boolean
}

/** A deadlock that really happened: a cycle in the wait-for graph. */
export interface DeadlockReport extends Versioned {
  readonly kind: 'deadlock'
  /** Threads on shared memory, with their asynchronous holdings; or tasks of asynchronous code. */
  readonly between: 'threads' | 'tasks'
  /**
   * `suspected` where it is not proved of every member that its holder waits for it (see
   * {@link DeadlockMember.isProved}). Nothing is rejected then, unless `deadlockVictims` is `'likely'`.
   */
  readonly confidence: 'proved' | 'suspected'
  /** Whether the victim is rejected. */
  readonly hasVictim: boolean
  /** The time at which it was found, in milliseconds since 1970. */
  readonly detectedAtMs: number
  /** The `id` of the waiter that is rejected so that the others go on; without a victim, that would be. */
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
  /** The label of the request. */
  readonly label: string
  /** The call stack at which `heldAs` was asked for; absent where it was not kept. */
  readonly heldAt?: string
  /**
   * Where `heldAt` was not kept: that of another lock of the same class, the last that was kept; absent where
   * none was.
   */
  readonly similarHeldAt?: string
  /** The call stack at which `wantedAs` was asked for; absent where it was not kept. */
  readonly wantedAt?: string
}

/** A deadlock that can happen: a cycle in the order graph, whether or not anything hung. */
export interface PossibleDeadlockReport extends Versioned {
  readonly kind: 'possible-deadlock'
  /** Each edge wants what the next one holds, the last what the first one holds. */
  readonly cycle: readonly PossibleDeadlockEdge[]
  /**
   * The number of further cycles of the same call sites and classes since the first report of them; of call
   * sites that meet many classes: of the same call sites. They are reported only when there are 10, 100, 1,000
   * and so on; 0 in the first report.
   */
  readonly similar: number
}

/** The same report with its locks called by other names, for tables whose numbers mean something. */
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
