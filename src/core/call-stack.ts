/** Call stacks of errors: where they begin. */

import { type Caller, LockwiseError } from './errors.ts'

/** The stack of an error as it is if it begins at these calls, a line each, the innermost first. */
export function stackBeginningAt(error: Error, calls: string): string {
  return [
    `${error.name}: ${error.message}`,
    ...calls.split('\n').map((call) => `    ${call}`),
  ].join('\n')
}

/** Lets the stack of an error of ours begin above a function that still runs, if there is one. Returns the error. */
export function beginningAbove(error: unknown, caller: Caller | undefined): unknown {
  if (caller === undefined || !(error instanceof LockwiseError)) return error
  const { stack } = error
  try {
    Error.captureStackTrace?.(error, caller)
  } catch {
    // `Error.prepareStackTrace` is the program's own, and may throw.
    if (stack !== undefined) error.stack = stack
  }
  return error
}
