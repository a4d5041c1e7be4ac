/** Reports what nobody listens to, as warnings. */

import { emitWarning } from '../core/emit-warning.ts'
import type {
  DeadlockReport,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'
import { deadlockText } from '../explain/deadlock-text.ts'
import { leakedText, possibleDeadlockText, slowText } from '../explain/text.ts'

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
