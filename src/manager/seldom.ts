/**
 * Limits warnings that would repeat for one line of code. Writes the first one, then the 10th, the 100th, the
 * 1,000th and so on.
 */

import { firstCall } from '../core/call-site.ts'
import { classOf } from '../core/names.ts'
import type { DeadlockReport, LeakedReport, SlowHoldingReport } from '../core/report.ts'
import { isPowerOfTen, SimilarReports } from '../core/similar.ts'

/** Counts the reports of one kind by the lines and lock classes in them. */
export class SeldomWarned {
  readonly #similar = new SimilarReports(1024)

  /** The number of suspected deadlocks like this one, or 0 if no warning is due. */
  suspected({ cycle }: DeadlockReport): number {
    const lines = cycle.map(({ waitsAt = '' }) => firstCall(waitsAt))
    return this.#count(
      lines,
      cycle.map(({ waitsFor }) => String(waitsFor.name)),
    )
  }

  /** The number of holdings like this one, or 0 if no warning is due. */
  holding({ callSite, similarCallSite, names }: LeakedReport | SlowHoldingReport): number {
    return this.#count([callSite ?? similarCallSite ?? 'unknown'], names)
  }

  #count(lines: readonly string[], names: readonly string[]): number {
    const classes = names.map(classOf)
    const count = this.#similar.add(setText(lines), setText(classes)) + 1
    return count === 1 || isPowerOfTen(count) ? count : 0
  }
}

/** The distinct texts, sorted and joined. */
function setText(texts: readonly string[]): string {
  return [...new Set(texts)].sort().join('\n')
}
