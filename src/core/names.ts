/**
 * The names of locks.
 *
 * Names are compared by UTF-16 code unit, never by locale. So `''`, NUL and lone surrogates are ordinary
 * names, and the order of two names is the same on every machine.
 */

/** A lock's identifier in its table: a number in shared memory, a name everywhere else. */
export type LockLabel = string | number

/** The class of a name: the part before its first `:`, or the whole name if it has none. */
export function classOf(name: string): string {
  const end = name.indexOf(':')
  return end < 0 ? name : name.slice(0, end)
}

/** Negative if `a` comes before `b`, by code unit. */
export function compareNames(a: string, b: string): number {
  // Equality is tested first: most names differ at once, and a less-than comparison costs more.
  return a === b ? 0 : a < b ? -1 : 1
}
