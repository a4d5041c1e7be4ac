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
export type { OnOwnerDied } from './deaths.ts'
export type { LockOrder } from './layout.ts'
export type { OnLongWait } from './long-waits.ts'
export type { Wanted, WantedLocks } from './plan.ts'
export {
  type HoldOptions,
  type OpenOptions,
  type Settled,
  SharedLocks,
  type SharedLocksOptions,
} from './shared-locks.ts'
export type { RecordView, SharedLocksHandle } from './table.ts'
