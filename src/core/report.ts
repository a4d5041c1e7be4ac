/**
 * What a deadlock was, as plain data: made by whoever detects it, turned into text by `explain/`.
 *
 * Everything here can be cloned, sent between threads and written as JSON.
 */

import type { LockMode } from './modes.ts'
import type { LockLabel } from './names.ts'

/** One thread or task of the circle, as it stood when the deadlock was found. */
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
  /** The lock it waits for; the next member of the circle holds it. */
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
   * Of tasks: whether it is proved that the code which holds what the member before it waits for waits
   * for this request. Absent for threads, which cannot do anything else.
   */
  readonly proved?: boolean
  /**
   * Of tasks: the functions that wait for this request, from the innermost to the callback that must end
   * first; a line for each. Absent where the runtime does not show them.
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
}

/** A deadlock that really happened: a circle in the wait-for graph. */
export interface DeadlockReport {
  readonly kind: 'deadlock'
  /** Who waits: threads on shared memory, or tasks of asynchronous code. Absent: threads. */
  readonly between?: 'threads' | 'tasks'
  /**
   * True where it is not proved of every member that its holder waits for it (see
   * {@link DeadlockMember.proved}). Nothing is rejected then, unless `deadlockVictims` is `'likely'`.
   */
  readonly suspected?: boolean
  /** When it was found, in milliseconds since 1970. */
  readonly detectedAtMs: number
  /**
   * The number of the thread, or of the task's request, that is rejected so that the others go on; where
   * a deadlock is only suspected, that would be.
   */
  readonly victim: number
  /** The circle: each member waits for the next, the last for the first. The victim is first. */
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

/** A deadlock that can happen: a circle in the order graph, whether or not anything hung. */
export interface PossibleDeadlockReport {
  readonly kind: 'possible-deadlock'
  /** Each edge wants what the next one holds, the last what the first one holds. */
  readonly cycle: readonly PossibleDeadlockEdge[]
}

/** A wait or a holding that lasts longer than its `warnAfterMs`. */
export interface SlowReport {
  readonly kind: 'slow'
  /** Whether it still waits, or holds. */
  readonly state: 'waiting' | 'holding'
  readonly label: string
  /** The locks of the request, in order. */
  readonly names: readonly string[]
  /** For how long, in milliseconds. */
  readonly lastsMs: number
  /** Who is in its way: the labels of the nearest holders and waiters. Empty when it holds. */
  readonly blockers: readonly string[]
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
    waitsFor: label(member.waitsFor),
  }))
  return { ...report, cycle }
}
