/** The manager that a program has without making one. */

import { LockManager } from './lock-manager.ts'

/**
 * One manager for the whole program: what `navigator.locks` is to a web page. Two libraries that use
 * the same name share the lock; a `new LockManager()` has names of its own.
 */
export const locks: LockManager = new LockManager()
