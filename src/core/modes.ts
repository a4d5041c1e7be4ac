/** Modes: whether a request holds a lock exclusively, or shared with other readers. */

import type { LockLabel } from './names.ts'

/** `exclusive`: one holder. `shared`: any number of holders, all of them shared. */
export type LockMode = 'exclusive' | 'shared'

/** A lock with the requested mode; {@link shared} and {@link exclusive} make it. */
export interface WantedLock<Name extends LockLabel = LockLabel> {
  readonly name: Name
  readonly mode: LockMode
}

/** A lock in shared mode, for reading the data that it guards: `hold([3, shared(7)], …)`. */
export function shared<const Name extends LockLabel>(name: Name): WantedLock<Name> {
  return { name, mode: 'shared' }
}

/** A lock in exclusive mode, which is the default for a name or number without a mode. */
export function exclusive<const Name extends LockLabel>(name: Name): WantedLock<Name> {
  return { name, mode: 'exclusive' }
}
