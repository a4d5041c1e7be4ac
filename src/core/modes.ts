/** Modes: how a lock is wanted, alone or together with others who only look. */

import type { LockLabel } from './names.ts'

/** `exclusive`: one holder. `shared`: any number of holders who all hold it shared. */
export type LockMode = 'exclusive' | 'shared'

/** A lock in the mode in which it is wanted; {@link shared} and {@link exclusive} make it. */
export interface WantedLock<Name extends LockLabel = LockLabel> {
  readonly name: Name
  readonly mode: LockMode
}

/** A lock wanted together with others who only look at what it guards: `hold([3, shared(7)], …)`. */
export function shared<const Name extends LockLabel>(name: Name): WantedLock<Name> {
  return { name, mode: 'shared' }
}

/** A lock wanted alone, which is what a name or number without a mode means too. */
export function exclusive<const Name extends LockLabel>(name: Name): WantedLock<Name> {
  return { name, mode: 'exclusive' }
}
