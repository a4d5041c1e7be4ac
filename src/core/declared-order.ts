/**
 * A declared order: classes of locks, in the order in which requests must take them.
 *
 * A holder may request only locks of higher rank, so requests can never wait for each other in a cycle. Several
 * locks of one rank must be requested together.
 */

import { LockUsageError } from './errors.ts'
import { brief, quoted, show } from './format.ts'
import { classOf, compareNames } from './names.ts'

/** The number of classes of an order that a message shows. */
const MAX_SHOWN = 10

/** The order of lock classes, lowest rank first. */
export class DeclaredOrder {
  readonly classes: readonly string[]
  readonly #ranks: ReadonlyMap<string, number>

  /** @throws LockUsageError if there is no class, a class appears twice, or a class contains `:`. */
  constructor(given: readonly string[]) {
    if (!isArray(given)) {
      throw new LockUsageError(`a declared order must be an array of classes, not ${show(given)}`)
    }
    const classes = [...given]
    if (classes.length === 0)
      throw new LockUsageError('a declared order is empty: it needs at least one class')
    const ranks = new Map<string, number>()
    for (const [rank, cls] of classes.entries()) {
      if (typeof cls !== 'string' || cls.includes(':')) {
        throw new LockUsageError(
          `a class of a declared order must be the part of a name before its ':', not ${show(cls)}`,
        )
      }
      if (ranks.has(cls)) {
        throw new LockUsageError(
          `${show(cls)} occurs twice in the declared order: name each class once`,
        )
      }
      ranks.set(cls, rank)
    }
    this.classes = classes
    this.#ranks = ranks
  }

  /** The order as messages show it. */
  get text(): string {
    const shown = this.classes.slice(0, MAX_SHOWN).map(brief).join(' < ')
    const { length } = this.classes
    return length > MAX_SHOWN ? `${shown} < … (${length} classes)` : shown
  }

  /**
   * The rank of a name, from 0.
   *
   * @throws LockUsageError if the name's class was not declared.
   */
  rankOf(name: string): number {
    const rank = this.#ranks.get(classOf(name))
    if (rank !== undefined) return rank
    throw new LockUsageError(
      `the class of ${quoted(name)} is not in the declared order (${this.text}): add it there, or use a manager ` +
        'without that order',
    )
  }

  /** Negative if `a` is taken before `b`: by rank, then by code unit. */
  compare(a: string, b: string): number {
    return this.rankOf(a) - this.rankOf(b) || compareNames(a, b)
  }
}

/** `Array.isArray` throws for a revoked proxy. */
function isArray(value: unknown): boolean {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}
