/** `lockwise/threads`: locks in shared memory, for worker threads. */

export {
  DeadlockError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  LockwiseError,
  OwnerDiedError,
} from '../../core/errors.ts'
export { exclusive, type LockMode, shared, type WantedLock } from '../../core/modes.ts'
export type { LockLabel } from '../../core/names.ts'
export type {
  AbandonedLocks,
  DeadlockHeldLock,
  DeadlockMember,
  DeadlockReport,
  HeldLock,
  LongLockWaitReport,
  LongSlotWaitReport,
  LongWaitReport,
  RequestedLock,
  ThreadHolder,
  ThreadWait,
  Waiter,
} from '../../core/report.ts'
export type { Settled } from './callback.ts'
export type { HoldOptions } from './hold-arguments.ts'
export type { OnLongWait } from './long-waits.ts'
export type { Wanted, WantedLocks } from './plan.ts'
export type { OnOwnerDied } from './recovery.ts'
export { SharedLocks } from './shared-locks.ts'
export type { RecordView, SharedLocksHandle } from './table.ts'
export type { LockOrder } from './table-layout.ts'
export type { OpenOptions, SharedLocksOptions } from './table-options.ts'
