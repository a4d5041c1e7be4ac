/** The manager that a program has without making one. */

import { emitWarning } from '../core/emit-warning.ts'
import { visible } from '../core/format.ts'
import { LockManager } from './lock-manager.ts'

/** The major version of this package: copies of one major version share `locks`. */
const MAJOR = 0

/**
 * The manager of a thread: `navigator.locks` of a web page, but not beyond the thread. Two libraries that
 * use the same name share the lock, also where each has installed its own copy of this package, if the
 * major versions are the same. Other threads, processes and major versions have a `locks` of their own: the
 * same name there is another lock. A `new LockManager()` has names of its own.
 *
 * Where another copy came first, this is that copy's: `locks instanceof LockManager` is false then, and so is
 * `error instanceof DeadlockError` of its errors. Compare `error.code`, or ask `isLockwiseError(error)`.
 */
export const locks: LockManager = sharedLocks()

/** The manager of this thread, made by the first copy of the package that is loaded. */
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
        `globalThis[${String(key)}] is no lock manager that this copy of lockwise can use: its locks ` +
          'are its own, and not those of another installed copy',
      ),
    )
  }
  return own
}

/** Whether a manager has every method that ours have. */
function isUsable(found: unknown): found is LockManager {
  if (typeof found !== 'object' || found === null) return false
  const { prototype } = LockManager
  const methods = Object.getOwnPropertyNames(prototype) as (keyof LockManager)[]
  return methods.every((name) => typeof found[name as never] === typeof prototype[name])
}

/** Not listed among the properties of `globalThis`; where that is frozen, every copy has its own. */
function share(key: symbol, own: LockManager): void {
  try {
    Object.defineProperty(globalThis, key, { value: own, configurable: true })
  } catch {
    // Nobody can leave anything there: nor find anything.
  }
}
