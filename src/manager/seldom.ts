/**
 * Warnings that would come again and again from one line of code: written the first time, and then when
 * there are 10, 100, 1,000 of them and so on.
 */

import { firstCall } from '../core/call-site.ts'
import { classOf } from '../core/names.ts'
import type { DeadlockReport } from '../core/report.ts'
import { isPowerOfTen, SimilarReports } from '../core/similar.ts'

/** Counts suspected deadlocks by the lines and lock classes in them. */
export class SeldomSuspected {
  readonly #similar = new SimilarReports(1024)

  /** The number of reports like this one, or 0 if no warning is due. */
  count({ cycle }: DeadlockReport): number {
    const kind = cycle
      .map(
        ({ waitsAt = '', waitsFor }) => `${firstCall(waitsAt)} ${classOf(String(waitsFor.name))}`,
      )
      .sort()
      .join('\n')
    const count = this.#similar.add(kind) + 1
    return count === 1 || isPowerOfTen(count) ? count : 0
  }
}
