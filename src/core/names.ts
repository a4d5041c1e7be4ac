/**
 * Names: what a lock is called.
 *
 * Names are compared by UTF-16 code unit, never by locale: `''`, NUL and lone surrogates are names like
 * any other, and the order of two names is the same on every machine.
 */

/** A lock as its table calls it: a number in shared memory, a name everywhere else. */
export type LockLabel = string | number

/** The class of a name: what stands before its first `:`, or the whole name where there is none. */
export function classOf(name: string): string {
  const end = name.indexOf(':')
  return end < 0 ? name : name.slice(0, end)
}

/** Negative where `a` comes before `b`, by code unit. */
export function compareNames(a: string, b: string): number {
  // Most names differ at once; to compare which one is less costs more.
  return a === b ? 0 : a < b ? -1 : 1
}
