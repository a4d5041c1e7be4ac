/** Recognises this library's errors, also from other copies and threads. */

import { ERROR_NAMES, type LockErrorCode, type LockErrorData, LockwiseError } from './errors.ts'

/**
 * Whether a value is an error of lockwise: of this or another copy of the package, the `toJSON()` of one
 * (cloned, posted or parsed), or its `structuredClone`. Such a clone is a plain `Error` without name and
 * code. It is recognised by its stack, and gets both back here; its `report` is lost. In Firefox and Safari,
 * where stacks do not begin with a name, no clone is recognised.
 *
 * The exceptions that Web Locks defines are not errors of lockwise. A stolen request's `AbortError` has one
 * as its `cause`: `isLockwiseError(error.cause)`. Errors: none, for any value. Cost: a few property reads.
 */
export function isLockwiseError(value: unknown): value is LockErrorData {
  if (typeof value !== 'object' || value === null) return false
  try {
    if (value instanceof LockwiseError) return true
    const { code, name, message } = value as Partial<LockErrorData>
    if (code === undefined) return restoreClone(value)
    return isCode(code) && ERROR_NAMES[code] === name && typeof message === 'string'
  } catch {
    // A proxy or getter that throws.
    return false
  }
}

function isCode(code: unknown): code is LockErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_NAMES, code)
}

/** Gives a clone its name and code back. Returns whether the value is a clone. */
function restoreClone(value: object): boolean {
  if (!(value instanceof Error) || value.name !== 'Error') return false
  const { stack = '', message } = value
  for (const [code, name] of Object.entries(ERROR_NAMES)) {
    if (!stack.startsWith(message === '' ? name : `${name}: ${message}`)) continue
    // Like the clone's `message`: writable, and not enumerable.
    const rest = { configurable: true, writable: true }
    Object.defineProperties(value, {
      name: { value: name, ...rest },
      code: { value: code, ...rest },
    })
    return true
  }
  return false
}
