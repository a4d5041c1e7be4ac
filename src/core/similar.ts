/** Counts reports that are alike, so that few of them are written. */

/** The number of reports of each kind. */
export class SimilarReports {
  readonly #counts = new Map<string, number>()
  readonly #maxKinds: number

  /** Of more kinds than this, each report counts as the first of its kind. */
  constructor(maxKinds: number) {
    this.#maxKinds = maxKinds
  }

  /** Counts one more report of a kind. Returns the number of those before it. */
  add(kind: string): number {
    const before = this.#counts.get(kind) ?? 0
    if (before > 0 || this.#counts.size < this.#maxKinds) this.#counts.set(kind, before + 1)
    return before
  }
}

/** Whether a number is 10, 100, 1,000 and so on. */
export function isPowerOfTen(count: number): boolean {
  return count > 1 && /^10+$/.test(String(count))
}
