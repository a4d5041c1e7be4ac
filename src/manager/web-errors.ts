/** The exceptions of Web IDL and Web Locks that this library throws. */

import { visible } from '../core/format.ts'

/** A plain TypeError, as Web IDL throws it, with this library's error code. */
export function webTypeError(message: string): TypeError {
  return Object.assign(new TypeError(visible(message)), { code: 'LOCK_USAGE' })
}

/** The exception of Web Locks for a request that is not supported. */
export function notSupported(message: string): DOMException {
  return new DOMException(visible(message), 'NotSupportedError')
}
