/** The default manager of a program. */

import { emitWarning } from '../core/emit-warning.ts'
import { visible } from '../core/format.ts'
import { LockManager } from './lock-manager.ts'

/** The major version of this package. Copies with the same major version share `locks`. */
const MAJOR = 0

/**
 * The manager of a thread, like `navigator.locks` of a web page, but limited to the thread. Two libraries
 * that use the same name share the lock, even with different installed copies of this package, if the major
 * versions are the same. Other threads, processes and major versions have their own `locks`: the same name
 * there is another lock. A `new LockManager()` has its own names, too.
 *
 * If another copy was loaded first, this is the manager of that copy. Then `locks instanceof LockManager` is
 * false, and so is `error instanceof DeadlockError` for its errors. Compare `error.code`, or use
 * `isLockwiseError(error)`.
 */
export const locks: LockManager = sharedLocks()

/** The manager of this thread, made by the copy of the package that is loaded first. */
function sharedLocks(): LockManager {
  const key = Symbol.for(`lockwise.locks@${MAJOR}`)
  let found: unknown
  try {
    found = (globalThis as { [key: symbol]: unknown })[key]
    if (isUsable(found)) return found
  } catch (error) {
    found = error
  }
  const own = new LockManager()
  if (found === undefined) share(key, own)
  else {
    emitWarning(
      visible(
        `globalThis[${String(key)}] is not a lock manager that this copy of lockwise can use: this copy has ` +
          'its own locks and does not share those of another installed copy. Install one version only, and ' +
          'set that property nowhere else',
      ),
    )
  }
  return own
}

/** Whether a value has every method of this copy's managers. */
function isUsable(found: unknown): found is LockManager {
  if (typeof found !== 'object' || found === null) return false
  const { prototype } = LockManager
  const methods = Object.getOwnPropertyNames(prototype) as (keyof LockManager)[]
  return methods.every((name) => typeof found[name as never] === typeof prototype[name])
}

/**
 * Stores the manager as a non-enumerable property of `globalThis`. If that is frozen, every copy has its own.
 */
function share(key: symbol, own: LockManager): void {
  try {
    Object.defineProperty(globalThis, key, { value: own, configurable: true })
  } catch {
    // No copy can store anything there, and so none finds anything.
  }
}
