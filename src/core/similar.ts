/**
 * Counts reports that are alike, so that few of them are written.
 *
 * Reports are alike that come from the same lines and tell of the same lock classes. Where names have no
 * classes, each name is a class of its own: so from the same lines only the first few kinds are distinguished,
 * and all further ones are alike. So are all beyond the greatest number of kinds.
 */

/** From the same lines so many kinds are distinguished; where the lines are not known, so many. */
const [MOST_OF_LINES, MOST_UNKNOWN] = [4, 100]
/** So much of the classes is compared, in UTF-16 code units. */
const LONGEST_CLASSES = 1000

/** The number of reports of each kind. */
export class SimilarReports {
  readonly #counts = new Map<string, number>()
  /** By the lines: the kinds that are distinguished, and all reports of others. */
  readonly #ofLines = new Map<string, number>()
  readonly #maxKinds: number
  #others = 0

  constructor(maxKinds: number) {
    this.#maxKinds = maxKinds
  }

  /**
   * Counts one more report of some lines, `''` if they are not known, and lock classes. Returns the number of
   * those like it before; of a report that is not distinguished: of those from the same lines, at least.
   */
  add(lines: string, classes: string): number {
    const kind = JSON.stringify([lines, classes.slice(0, LONGEST_CLASSES)])
    const before = this.#counts.get(kind)
    if (before !== undefined) {
      this.#counts.set(kind, before + 1)
      return before
    }
    const ofLines = this.#ofLines.get(lines) ?? 0
    const isDistinguished = ofLines < (lines === '' ? MOST_UNKNOWN : MOST_OF_LINES)
    if (isDistinguished && this.#counts.size >= this.#maxKinds) return this.#others++
    this.#ofLines.set(lines, ofLines + 1)
    if (!isDistinguished) return ofLines
    this.#counts.set(kind, 1)
    return 0
  }
}

/** Whether a number is 10, 100, 1,000 and so on. */
export function isPowerOfTen(count: number): boolean {
  return count > 1 && /^10+$/.test(String(count))
}
