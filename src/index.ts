/**
 * `lockwise`: named locks for asynchronous code, and the types and errors that all parts of the library
 * share.
 */

export {
  DeadlockError,
  type LockErrorCode,
  type LockErrorData,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  LockwiseError,
  OwnerDiedError,
} from './core/errors.ts'
export { isLockwiseError } from './core/is-lockwise-error.ts'
export { exclusive, type LockMode, shared, type WantedLock } from './core/modes.ts'
export type { LockLabel } from './core/names.ts'
export {
  type AbandonedLocks,
  type DeadlockHeldLock,
  type DeadlockMember,
  type DeadlockReport,
  type GuardCycleMember,
  type HeldLock,
  type LeakedReport,
  type LockHolder,
  type LongLockWaitReport,
  type LongSlotWaitReport,
  type LongWaitReport,
  type NestedWait,
  type PossibleDeadlockEdge,
  type PossibleDeadlockReport,
  type Report,
  type RequestedLock,
  type RootHolder,
  relabelLocks,
  type SlowHoldingReport,
  type SlowReport,
  type SlowWaitReport,
  type ThreadHolder,
  type ThreadWait,
  type Waiter,
} from './core/report.ts'
export type { LockInfo, LockManagerSnapshot } from './core/snapshot.ts'
export type { KeepCallSites } from './manager/call-sites.ts'
export {
  defineOrder,
  type NameOf,
  type OrderedLockManager,
  type OrderedRequests,
} from './manager/define-order.ts'
export type { DeadlockVictims } from './manager/found-cycles.ts'
export { Guard } from './manager/guard.ts'
export type { LockEvents } from './manager/listeners.ts'
export { Lock } from './manager/lock.ts'
export { LockManager } from './manager/lock-manager.ts'
export { locks } from './manager/locks.ts'
export type { LockManagerOptions } from './manager/manager-options.ts'
export type { AcquireOptions, Names, RequestOptions, TryAcquireOptions } from './manager/options.ts'
export { Scope } from './manager/scope.ts'
