/** Writes reports that have no listener as warnings. */

import { emitWarning } from '../core/emit-warning.ts'
import type { Report } from '../core/report.ts'
import { reportText } from '../core/report-text.ts'

/** Writes a report as a warning. `count`: how many reports of its kind there were; 0 if no warning is due. */
export function warn(report: Report, count = 1): void {
  if (count === 0) return
  const more =
    count > 1
      ? `\nThere were ${count} such reports so far; the next is written at ${count * 10}.`
      : ''
  emitWarning(reportText(report) + more)
}
