/** The TypeErrors of Web IDL. */

import { visible } from '../core/format.ts'

/** A plain TypeError, as Web IDL throws it, with our code. */
export function webTypeError(message: string): TypeError {
  return Object.assign(new TypeError(visible(message)), { code: 'LOCK_USAGE' })
}
