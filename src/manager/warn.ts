/** Reports what nobody listens to: as a warning of the process where there is one, else on the console. */

import type {
  DeadlockReport,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'
import { deadlockText } from '../explain/deadlock-text.ts'
import { leakedText, possibleDeadlockText, slowText } from '../explain/text.ts'
import { original } from './clock.ts'

interface Process {
  emitWarning?(text: string, options: { readonly type: string }): void
  nextTick?: unknown
}

const { process } = globalThis as { readonly process?: Process }
/** A fake clock may stand in its place when a warning is written, and nothing comes of that. */
const nextTick = process && original('nextTick', process)

/** Writes a report as a warning; `count` says how many there were of its kind. */
export function warn(
  report: DeadlockReport | PossibleDeadlockReport | SlowReport | LeakedReport,
  count = 1,
): void {
  const more =
    count > 1
      ? `\nThere were ${count} of these lines so far; the next is written at ${count * 10}.`
      : ''
  emitWarning(textOf(report) + more)
}

/** Writes a warning, whatever fake clock is in place. Throws nothing. */
export function emitWarning(text: string): void {
  try {
    if (process?.emitWarning) {
      emitByProcess(process, text)
      return
    }
  } catch {
    // Node reads `Error.stackTraceLimit`, which may be an accessor of the program's that throws.
  }
  try {
    console.warn(`LockwiseWarning: ${text}`)
  } catch {
    // No request may fail because a report cannot be written.
  }
}

function emitByProcess(process: Process, text: string): void {
  const current = process.nextTick
  const isReplaced = current !== nextTick && isFake(current)
  try {
    if (isReplaced) process.nextTick = nextTick
    process.emitWarning?.(text, { type: 'LockwiseWarning' })
  } finally {
    if (isReplaced) process.nextTick = current
  }
}

/** Whether a function is one of a fake clock, not one that an instrumentation put in place. */
function isFake(method: unknown): boolean {
  return (method as { readonly clock?: unknown } | undefined)?.clock !== undefined
}

function textOf(
  report: DeadlockReport | PossibleDeadlockReport | SlowReport | LeakedReport,
): string {
  switch (report.kind) {
    case 'slow':
      return slowText(report)
    case 'leaked':
      return leakedText(report)
    case 'deadlock':
      return deadlockText(report)
    default:
      return possibleDeadlockText(report)
  }
}
