/** `lockwise`: the words that every part of the library shares. */

export {
  DeadlockError,
  type LockErrorCode,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  LockwiseError,
  OwnerDiedError,
} from './core/errors.ts'
export {
  type AbandonedLocks,
  type DeadlockMember,
  type DeadlockReport,
  type LockLabel,
  relabelLocks,
} from './core/report.ts'
