/**
 * Re-entrancy in shared mode: counts how often an owner of a re-entrant table holds a lock shared beyond the
 * first time. reentrant-kernel.ts counts the exclusive holdings.
 *
 * The counts stand beside the locks, not in shared memory: no other thread needs them.
 */

import type { Owner } from './owners.ts'

/** The counts of one owner. */
export class ReentrantReads {
  readonly #owner: Owner
  /** How often more than once each lock is held shared. */
  readonly #again = new Map<number, number>()
  /** How often a lock that is held exclusively was asked for shared: each time holds it exclusively once more. */
  readonly #inExclusive = new Map<number, number>()

  constructor(owner: Owner) {
    this.#owner = owner
  }

  /**
   * Counts one more shared request for a lock that the owner holds. Answers whether the caller has to take it
   * exclusively once more, because that is how the owner holds it.
   */
  takeAgain(lock: number): boolean {
    const isExclusive = !this.#owner.shared.has(lock)
    const counts = isExclusive ? this.#inExclusive : this.#again
    counts.set(lock, (counts.get(lock) ?? 0) + 1)
    return isExclusive
  }

  /** Counts one release of a lock that the owner holds shared; false if it is the last one. */
  releaseAgain(lock: number): boolean {
    return countDown(this.#again, lock)
  }

  /** Counts one release of a lock that was asked for shared inside an exclusive holding; false if it was not. */
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
