/**
 * Re-entrancy in shared mode: counts how often an owner of a re-entrant table holds a lock shared beyond the
 * first time. reentrant-kernel.ts counts the exclusive holds.
 *
 * The counts are not in shared memory: no other thread needs them.
 */

import type { Owner } from './owners.ts'

/** The counts of one owner. */
export class ReentrantReads {
  readonly #owner: Owner
  /** How often each lock is held shared beyond the first time. */
  readonly #again = new Map<number, number>()
  /**
   * How often a lock held exclusively was requested shared: each such request holds it exclusively once more.
   */
  readonly #inExclusive = new Map<number, number>()

  constructor(owner: Owner) {
    this.#owner = owner
  }

  /**
   * Counts one more shared request for a lock that the owner holds. Returns whether the owner holds it
   * exclusively; the caller then has to take it exclusively once more.
   */
  takeAgain(lock: number): boolean {
    const isExclusive = !this.#owner.shared.has(lock)
    const counts = isExclusive ? this.#inExclusive : this.#again
    counts.set(lock, (counts.get(lock) ?? 0) + 1)
    return isExclusive
  }

  /** Counts one release of a lock that the owner holds shared; returns false if it is the last one. */
  releaseAgain(lock: number): boolean {
    return countDown(this.#again, lock)
  }

  /** Counts one release of a shared request inside an exclusive hold; returns false if there is none. */
  releaseInExclusive(lock: number): boolean {
    return countDown(this.#inExclusive, lock)
  }
}

function countDown(counts: Map<number, number>, lock: number): boolean {
  const times = counts.get(lock) ?? 0
  if (times === 0) return false
  counts.set(lock, times - 1)
  return true
}
