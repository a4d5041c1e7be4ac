/** The exceptions of Web IDL and Web Locks, as we throw them. */

import { visible } from '../core/format.ts'

/** A plain TypeError, as Web IDL throws it, with our code. */
export function webTypeError(message: string): TypeError {
  return Object.assign(new TypeError(visible(message)), { code: 'LOCK_USAGE' })
}

/** An exception of Web Locks for what cannot be asked for. */
export function notSupported(message: string): DOMException {
  return new DOMException(message, 'NotSupportedError')
}
