/** Tells what nobody listens to: as a warning of the process where there is one, else on the console. */

import type { DeadlockReport, PossibleDeadlockReport, SlowReport } from '../core/report.ts'
import { deadlockText } from '../explain/deadlock-text.ts'
import { possibleDeadlockText, slowText } from '../explain/text.ts'

interface Runtime {
  readonly process?: { emitWarning?(text: string, options: { readonly type: string }): void }
}

/** Writes a report as a warning. */
export function warn(report: DeadlockReport | PossibleDeadlockReport | SlowReport): void {
  emitWarning(textOf(report))
}

/** Writes a text as a warning. */
export function emitWarning(text: string): void {
  const { process } = globalThis as Runtime
  if (process?.emitWarning) process.emitWarning(text, { type: 'LockwiseWarning' })
  else console.warn(`LockwiseWarning: ${text}`)
}

function textOf(report: DeadlockReport | PossibleDeadlockReport | SlowReport): string {
  if (report.kind === 'slow') return slowText(report)
  return report.kind === 'deadlock' ? deadlockText(report) : possibleDeadlockText(report)
}
