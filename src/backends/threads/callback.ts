/** The callback of a blocking call: what it may return, and how its locks are released. */

import { stackBeginningAt } from '../../core/call-site.ts'
import { LockUsageError, LockwiseError } from '../../core/errors.ts'
import { stackAt } from './caller-stack.ts'
import type { Owed, OwedReleases } from './owed-releases.ts'

/**
 * The result that the callback of a blocking call may return: no promise, because the locks are released
 * before it settles. Generic code that forwards a callback declares its result as `Settled<Result>`.
 */
export type Settled<Result> =
  Result extends PromiseLike<unknown>
    ? 'an async callback needs holdAsync: these locks are released before its promise settles'
    : Result

/**
 * Returns the result of a blocking callback; refuses a promise, because the locks are released before it
 * settles.
 */
export function settled<Result>(result: Settled<Result>): Result {
  if (typeof result === 'object' || typeof result === 'function') mustNotBePromise(result)
  return result as Result
}

/**
 * Takes locks, calls the function of a blocking call, and releases the locks. If the function and the
 * release both throw, throws the function's error. If `take` returns false, calls nothing and returns
 * `undefined`.
 *
 * Calls `take` and `release` at the same stack depth. `take` needs at least as much of the call stack, so a
 * call stack that is too short makes `take` fail, not `release`.
 */
export function called<Result>(
  owed: OwedReleases,
  take: () => boolean,
  fn: () => Settled<Result>,
  release: Owed,
): Result | undefined {
  if (!take()) return undefined
  let result: Result
  try {
    result = settled(fn())
  } catch (error) {
    release.before = owed.last
    owed.last = release
    throw owed.releaseAfter(error)
  }
  try {
    owed.release()
    release()
  } catch (error) {
    // An error of ours names the locks that were not held: all others are released.
    if (error instanceof LockwiseError) throw error
    release.before = owed.last
    owed.last = release
    throw error
  }
  return result
}

function mustNotBePromise(result: object | null): void {
  if (typeof (result as { then?: unknown } | null)?.then !== 'function') return
  // The caller gets an error instead of the promise, and cannot handle its rejection.
  Promise.resolve(result).catch(() => {})
  const error = new LockUsageError(
    'the callback returned a promise, but its locks are released as soon as it returns: use holdAsync',
  )
  error.stack = stackBeginningAt(error, stackAt(undefined))
  throw error
}
