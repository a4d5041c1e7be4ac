/**
 * A declared order: classes of locks, in the order in which they must be taken.
 *
 * With it, who holds locks may ask only for higher ranks: requests can never wait for each other in a
 * circle. Locks of one rank are taken in one request, or not together.
 */

import { LockUsageError } from './errors.ts'
import { classOf, compareNames } from './names.ts'

/** The order of lock classes, lowest rank first. */
export class DeclaredOrder {
  readonly classes: readonly string[]
  readonly #ranks: ReadonlyMap<string, number>

  /** @throws LockUsageError for no class, a class twice, or a class with a `:` in it. */
  constructor(classes: readonly string[]) {
    if (!Array.isArray(classes)) {
      throw new LockUsageError(`defineOrder: expected classes, not ${String(classes)}`)
    }
    if (classes.length === 0) throw new LockUsageError('defineOrder: expected at least one class')
    for (const [i, cls] of classes.entries()) {
      if (typeof cls !== 'string' || cls.includes(':')) {
        throw new LockUsageError(
          `defineOrder: a class is the part of a name before its ':', not ${String(cls)}`,
        )
      }
      if (classes.indexOf(cls) !== i) {
        throw new LockUsageError(`defineOrder: '${cls}' stands in the order twice`)
      }
    }
    this.classes = [...classes]
    this.#ranks = new Map(classes.map((cls, rank) => [cls, rank]))
  }

  /**
   * The rank of a name, from 0.
   *
   * @throws LockUsageError if its class was not declared.
   */
  rankOf(name: string): number {
    const rank = this.#ranks.get(classOf(name))
    if (rank !== undefined) return rank
    throw new LockUsageError(
      `'${name}' is of no class in the declared order (${this.classes.join(' < ')})`,
    )
  }

  /** Negative where `a` is taken before `b`: by rank, then by code unit. */
  compare(a: string, b: string): number {
    return this.rankOf(a) - this.rankOf(b) || compareNames(a, b)
  }
}
