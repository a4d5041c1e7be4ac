/** The callback of a blocking call: what it may return, and how its locks are released. */

import { LockUsageError } from '../../core/errors.ts'

/**
 * The result that the callback of a blocking call may return: no promise, for the locks are released before
 * that settles. Generic code that passes a callback on has it return `Settled<Result>`.
 */
export type Settled<Result> =
  Result extends PromiseLike<unknown>
    ? 'an async callback needs holdAsync: these locks are released before its promise settles'
    : Result

/** The result of a blocking callback; a promise is refused, for the locks are released before it settles. */
export function settled<Result>(result: Settled<Result>): Result {
  if (typeof result === 'object') mustNotBePromise(result)
  return result as Result
}

/** Calls a blocking call's function, and releases its locks. If both throw, the function's error is thrown. */
export function called<Result>(fn: () => Settled<Result>, release: () => void): Result {
  let result: Result
  try {
    result = settled(fn())
  } catch (error) {
    throw releaseAfter(error, release)
  }
  release()
  return result
}

function mustNotBePromise(result: object | null): void {
  if (typeof (result as { then?: unknown } | null)?.then !== 'function') return
  // The caller gets an error instead of it, and cannot hear of its rejection.
  Promise.resolve(result).catch(() => {})
  throw new LockUsageError(
    'the callback returned a promise, but its locks are freed as soon as it returns: use holdAsync',
  )
}

/** Releases locks after a callback threw; returns its error, which hides one that the release throws. */
export function releaseAfter(error: unknown, release: () => void): unknown {
  try {
    release()
  } catch {
    // The cause is in the callback's error; this one would hide it.
  }
  return error
}
