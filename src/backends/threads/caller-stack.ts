/** The call stack of a call into this package, as reports and errors show it. */

import { frameIn } from '../../core/await-chain.ts'
import { type Caller, LockwiseError } from '../../core/errors.ts'

/**
 * The folder of this package's own code, as call stacks write it. `undefined` in a bundle: there, one file
 * also holds other code, so no call is left out because of its file.
 */
const FOLDER = /([^\s(@]*\bbackends[\\/]threads[\\/])caller-stack\.[cm]?[jt]s\b/.exec(
  stackOf(),
)?.[1]

/**
 * The call stack above `caller`: one call a line, innermost first. Leaves out the heading, our own calls, and
 * Node's.
 */
export function stackAt(caller: Caller | undefined): string {
  return stackOf(caller)
    .split('\n')
    .filter((line) => line.includes(':') && !/(\(|at (async )?)node:/.test(line) && !isOwn(line))
    .map((line) => line.trim())
    .join('\n')
}

/**
 * Makes the stack of an error of ours begin above `caller`, which must still be on the call stack. Without
 * `caller`, changes nothing. Returns the error.
 */
export function beginningAbove(error: unknown, caller: Caller | undefined): unknown {
  if (caller === undefined || !(error instanceof LockwiseError)) return error
  const { stack } = error
  try {
    Error.captureStackTrace?.(error, caller)
  } catch {
    // The program may define `Error.prepareStackTrace`, and it may throw.
    if (stack !== undefined) error.stack = stack
  }
  return error
}

function isOwn(line: string): boolean {
  return frameIn(line) !== 0 || (FOLDER !== undefined && line.includes(FOLDER))
}

function stackOf(caller?: Caller): string {
  const holder: { stack?: string } = {}
  if (Error.captureStackTrace) Error.captureStackTrace(holder, caller)
  else holder.stack = new Error().stack ?? ''
  return textOf(holder.stack)
}

/** A stack as text, even if the program's `Error.prepareStackTrace` returned something else. */
function textOf(stack: unknown): string {
  if (Array.isArray(stack)) return stack.map((call) => `at ${String(call)}`).join('\n')
  return String(stack ?? '')
}
