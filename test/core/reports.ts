/** Parts of reports, made by hand. */

import type {
  DeadlockHeldLock,
  LockHolder,
  LockLabel,
  LockMode,
  RequestedLock,
} from '../../src/index.ts'

/** A lock as it is asked for. */
export function wanted(name: LockLabel, mode: LockMode = 'exclusive'): RequestedLock {
  return { name, mode, units: 1 }
}

/** A lock that is held exclusively, unless the rest says otherwise. */
export function held(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): DeadlockHeldLock {
  return { ...wanted(name), label, ...rest }
}

/** A lock that a request holds, since a time that is known. */
export function holder(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): LockHolder {
  return { sinceMs: 0, heldMs: 1500, ...held(name, label, rest) }
}
