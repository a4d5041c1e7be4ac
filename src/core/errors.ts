/**
 * The errors of lockwise: one base class, one subclass for each thing that can go wrong.
 *
 * Every error is made where it is thrown, so that its stack is the caller's, and carries a `code` that is
 * the same in every copy of this package. `structuredClone` and `postMessage` keep only `message` and
 * `stack` of it (and `cause` where there is one), in a plain `Error`. Send `error.toJSON()` to keep all;
 * `isLockwiseError()` recognises both.
 */

import { visible } from './format.ts'
import type { AbandonedLocks, DeadlockReport, ThreadHolder } from './report.ts'
import { deadlockMessage } from './report-text.ts'

/** What went wrong, as a word that programs can compare. */
export type LockErrorCode =
  | 'LOCK_DEADLOCK'
  | 'LOCK_ORDER'
  | 'LOCK_TIMEOUT'
  | 'LOCK_NOT_AVAILABLE'
  | 'LOCK_LOST'
  | 'LOCK_OWNER_DIED'
  | 'LOCK_USAGE'

/** An error as plain data: it can be cloned, sent between threads and written as JSON. */
export interface LockErrorData {
  readonly name: string
  readonly code: LockErrorCode
  readonly message: string
  readonly stack?: string
  /** The report of a DeadlockError. */
  readonly report?: DeadlockReport
  /** The locks that an OwnerDiedError is about. */
  readonly abandoned?: AbandonedLocks
  /** The holders that were in the way of a lock in shared memory, for a LockTimeoutError. */
  readonly holders?: readonly ThreadHolder[]
}

/** A function of this library that was called from outside: an error's stack begins above it. */
// biome-ignore lint/complexity/noBannedTypes: any function will do, none is called
export type Caller = Function

/**
 * The base class of this library's own errors. What Web Locks defines is thrown as it defines it:
 * `TypeError`, and `DOMException` with the name `NotSupportedError` or `AbortError`.
 */
export abstract class LockwiseError extends Error {
  /** What went wrong; see {@link LockErrorCode}. */
  abstract readonly code: LockErrorCode

  constructor(message: string, caller?: Caller) {
    // Names and labels are somebody else's.
    super(visible(message))
    if (caller === undefined) return
    try {
      Error.captureStackTrace?.(this, caller)
    } catch {
      // The program's own function or accessor has thrown. The stack begins in this library then.
    }
  }

  /** The error as plain data, which survives `structuredClone`, `postMessage` and JSON whole. */
  toJSON(): LockErrorData {
    const { name, code, message, stack } = this
    return { name, code, message, ...(stack !== undefined && { stack }) }
  }
}

/**
 * The call was one of a cycle of waiters, none of whom could ever go on, and was chosen as its
 * victim: it has given up its wait and holds what it held before the call.
 */
export class DeadlockError extends LockwiseError {
  declare readonly name: 'DeadlockError'
  readonly code = 'LOCK_DEADLOCK'
  /** Who held what, who waited for what, for how long and where: plain data. */
  readonly report: DeadlockReport

  constructor(report: DeadlockReport, caller?: Caller) {
    super(deadlockMessage(report), caller)
    this.report = report
  }

  override toJSON(): LockErrorData {
    return { ...super.toJSON(), report: this.report }
  }
}

/** A lock was asked for against the declared order; nothing was waited for and nothing taken. */
export class LockOrderError extends LockwiseError {
  declare readonly name: 'LockOrderError'
  readonly code = 'LOCK_ORDER'
}

/** A wait took longer than its `timeoutMs`. */
export class LockTimeoutError extends LockwiseError {
  declare readonly name: 'LockTimeoutError'
  readonly code = 'LOCK_TIMEOUT'
  /** The holders that were in the way of a lock in shared memory, with their call stacks where known. */
  declare readonly holders?: readonly ThreadHolder[]

  constructor(message: string, caller?: Caller, holders?: readonly ThreadHolder[]) {
    super(message, caller)
    if (holders) this.holders = holders
  }

  override toJSON(): LockErrorData {
    const { holders } = this
    return { ...super.toJSON(), ...(holders && { holders }) }
  }
}

/** The lock was asked for only if it is free, and it is not. */
export class LockNotAvailableError extends LockwiseError {
  declare readonly name: 'LockNotAvailableError'
  readonly code = 'LOCK_NOT_AVAILABLE'
}

/** A lock that was held is no longer: its lease ran out, or its server forgot it. */
export class LockLostError extends LockwiseError {
  declare readonly name: 'LockLostError'
  readonly code = 'LOCK_LOST'
}

/**
 * The holder of the lock ended without freeing it: what the lock guards may be half changed. Nobody
 * gets the lock until someone has repaired that, or said that it is sound.
 */
export class OwnerDiedError extends LockwiseError {
  declare readonly name: 'OwnerDiedError'
  readonly code = 'LOCK_OWNER_DIED'
  /** Who died, and all that it left; where the locks are known by their numbers. */
  readonly abandoned: AbandonedLocks | undefined

  constructor(message: string, abandoned?: AbandonedLocks, caller?: Caller) {
    super(message, caller)
    this.abandoned = abandoned
  }

  override toJSON(): LockErrorData {
    const { abandoned } = this
    return { ...super.toJSON(), ...(abandoned && { abandoned }) }
  }
}

/** The call itself is wrong: a bad index or option, or unlocking what one does not hold. */
export class LockUsageError extends LockwiseError {
  declare readonly name: 'LockUsageError'
  readonly code = 'LOCK_USAGE'
}

/** The names of the errors, by their codes: plain text, for a bundler may rename the classes. */
export const ERROR_NAMES: Readonly<Record<LockErrorCode, string>> = {
  LOCK_DEADLOCK: 'DeadlockError',
  LOCK_ORDER: 'LockOrderError',
  LOCK_TIMEOUT: 'LockTimeoutError',
  LOCK_NOT_AVAILABLE: 'LockNotAvailableError',
  LOCK_LOST: 'LockLostError',
  LOCK_OWNER_DIED: 'OwnerDiedError',
  LOCK_USAGE: 'LockUsageError',
}

const CLASSES: Readonly<Record<LockErrorCode, { readonly prototype: LockwiseError }>> = {
  LOCK_DEADLOCK: DeadlockError,
  LOCK_ORDER: LockOrderError,
  LOCK_TIMEOUT: LockTimeoutError,
  LOCK_NOT_AVAILABLE: LockNotAvailableError,
  LOCK_LOST: LockLostError,
  LOCK_OWNER_DIED: OwnerDiedError,
  LOCK_USAGE: LockUsageError,
}
// On the prototypes: a stack is made before an error's own properties are, and begins with the name.
for (const [code, { prototype }] of Object.entries(CLASSES)) {
  const value = ERROR_NAMES[code as LockErrorCode]
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true })
}
