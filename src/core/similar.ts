/**
 * Counts similar reports, so that only a few of them are written.
 *
 * Reports are of one kind, and similar, if they come from the same lines and concern the same lock classes. A
 * name without `:` is a class of its own, so one line can produce any number of kinds. Therefore only the
 * first few kinds are distinguished for the same lines. All further ones count as similar. The total number
 * of kinds is limited too: all further ones count as similar.
 */

/** The maximum number of distinguished kinds: for the same lines, and for reports of unknown lines. */
const [MAX_OF_LINES, MAX_OF_UNKNOWN_LINES] = [4, 100]
/** The number of UTF-16 code units of the classes that are compared. */
const MAX_CLASSES_LENGTH = 1000

/** The number of reports of each kind. */
export class SimilarReports {
  readonly #counts = new Map<string, number>()
  /** For each set of lines: the number of distinguished kinds plus the number of reports of other kinds. */
  readonly #ofLines = new Map<string, number>()
  readonly #maxKinds: number
  #others = 0

  constructor(maxKinds: number) {
    this.#maxKinds = maxKinds
  }

  /**
   * Counts one more report. `lines` is `''` if they are not known. Returns the number of similar reports
   * before it. If too many kinds come from the same lines, this is the number of the distinguished kinds plus
   * the number of reports of other kinds.
   */
  add(lines: string, classes: string): number {
    const kind = JSON.stringify([lines, classes.slice(0, MAX_CLASSES_LENGTH)])
    const before = this.#counts.get(kind)
    if (before !== undefined) {
      this.#counts.set(kind, before + 1)
      return before
    }
    const ofLines = this.#ofLines.get(lines) ?? 0
    const isDistinguished = ofLines < (lines === '' ? MAX_OF_UNKNOWN_LINES : MAX_OF_LINES)
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
