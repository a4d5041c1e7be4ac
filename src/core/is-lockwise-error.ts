/** Recognises this library's errors wherever they come from. */

import { ERROR_NAMES, type LockErrorCode, type LockErrorData, LockwiseError } from './errors.ts'

/**
 * Whether a value is an error of lockwise: of this copy of the package or another one, what `toJSON()` made
 * of one (cloned, posted or parsed), or its `structuredClone`. Such a clone is a plain `Error` that lost its
 * name and code: it is known by its stack, and gets both back here; its `report` is lost. (Where stacks do not
 * begin with a name, in Firefox and Safari, no clone is known.)
 *
 * The exceptions that Web Locks defines are none of them. A stolen request's `AbortError` has one as its
 * `cause`: `isLockwiseError(error.cause)`. Errors: none, whatever the value. Cost: a few reads.
 */
export function isLockwiseError(value: unknown): value is LockErrorData {
  if (typeof value !== 'object' || value === null) return false
  try {
    if (value instanceof LockwiseError) return true
    const { code, name, message } = value as Partial<LockErrorData>
    if (code === undefined) return restoreClone(value)
    return isCode(code) && ERROR_NAMES[code] === name && typeof message === 'string'
  } catch {
    // A proxy, or a getter, that throws.
    return false
  }
}

function isCode(code: unknown): code is LockErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_NAMES, code)
}

/** Gives a clone its name and code back; whether it is one. */
function restoreClone(value: object): boolean {
  if (!(value instanceof Error) || value.name !== 'Error') return false
  const { stack = '', message } = value
  for (const [code, name] of Object.entries(ERROR_NAMES)) {
    if (!stack.startsWith(message === '' ? name : `${name}: ${message}`)) continue
    // As clones have their message: writable, and not listed.
    const rest = { configurable: true, writable: true }
    Object.defineProperties(value, {
      name: { value: name, ...rest },
      code: { value: code, ...rest },
    })
    return true
  }
  return false
}
