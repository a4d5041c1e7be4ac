/**
 * What a deadlock was, as plain data: made by whoever detects it, turned into text by `explain/`.
 *
 * Everything here can be cloned, sent between threads and written as JSON.
 */

import type { LockMode } from './modes.ts'
import type { LockLabel } from './names.ts'

/** One thread of the circle, as it stood when the deadlock was found. */
export interface DeadlockMember {
  /** The thread's number: its owner number in the table, from 1 in the order of opening. */
  readonly thread: number
  /** The label it was opened with. */
  readonly label: string
  /** The locks it holds, lowest first. */
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
}

/** A deadlock that really happened: a circle in the wait-for graph. */
export interface DeadlockReport {
  readonly kind: 'deadlock'
  /** When it was found, in milliseconds since 1970. */
  readonly detectedAtMs: number
  /** The number of the thread whose request was rejected so that the others go on. */
  readonly victim: number
  /** The circle: each member waits for the next, the last for the first. The victim is first. */
  readonly cycle: readonly DeadlockMember[]
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
