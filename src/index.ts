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
export { exclusive, type LockMode, shared, type WantedLock } from './core/modes.ts'
export type { LockLabel } from './core/names.ts'
export {
  type AbandonedLocks,
  type DeadlockMember,
  type DeadlockReport,
  relabelLocks,
} from './core/report.ts'
