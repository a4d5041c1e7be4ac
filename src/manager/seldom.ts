/**
 * Warnings that would come again and again from one line of code: written the first time, and then when
 * there are 10, 100, 1,000 of them and so on.
 */

import { classOf } from '../core/names.ts'
import type { DeadlockReport } from '../core/report.ts'

/** So many lines of code are told apart. */
const MAX_KEYS = 1024

/** Counts suspected deadlocks by the lines and lock classes in them. */
export class SeldomSuspected {
  readonly #counts = new Map<string, number>()

  /** The number of reports like this one, or 0 if no warning is due. */
  count({ cycle }: DeadlockReport): number {
    const key = cycle
      .map(({ stack, waitsFor }) => `${stack.split('\n', 1)[0]} ${classOf(String(waitsFor))}`)
      .sort()
      .join('\n')
    const count = (this.#counts.get(key) ?? 0) + 1
    if (this.#counts.has(key) || this.#counts.size < MAX_KEYS) this.#counts.set(key, count)
    return /^10*$/.test(String(count)) ? count : 0
  }
}
