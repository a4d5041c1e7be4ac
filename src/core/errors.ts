/**
 * The errors of lockwise: one base class, and one subclass for each kind of failure.
 *
 * Every error is made where it is thrown, so that its stack is the caller's. Its `code` is the same in every
 * copy of this package. `structuredClone` and `postMessage` turn it into a plain `Error` that has only
 * `message`, `stack`, and `cause` if there is one. Send `error.toJSON()` to keep all; `isLockwiseError()`
 * recognises both.
 */

import { visible } from './format.ts'
import type { AbandonedLocks, DeadlockReport, ThreadHolder } from './report.ts'
import { deadlockMessage } from './report-text.ts'

/** The kind of an error, for programs to compare. */
export type LockErrorCode =
  | 'LOCK_DEADLOCK'
  | 'LOCK_ORDER'
  | 'LOCK_TIMEOUT'
  | 'LOCK_NOT_AVAILABLE'
  | 'LOCK_LOST'
  | 'LOCK_OWNER_DIED'
  | 'LOCK_USAGE'

/** An error as plain data, which can be cloned, sent between threads and written as JSON. */
export interface LockErrorData {
  readonly name: string
  readonly code: LockErrorCode
  readonly message: string
  readonly stack?: string
  /** The report of a DeadlockError. */
  readonly report?: DeadlockReport
  /** The locks that an OwnerDiedError is about. */
  readonly abandoned?: AbandonedLocks
  /** The holders that blocked a lock in shared memory, for a LockTimeoutError. */
  readonly holders?: readonly ThreadHolder[]
}

/** The public function that the program called: an error's stack begins above it. */
// biome-ignore lint/complexity/noBannedTypes: any function will do, none is called
export type Caller = Function

/**
 * The base class of this library's own errors. The errors that Web Locks defines stay as they are:
 * `TypeError`, and `DOMException` with the name `NotSupportedError` or `AbortError`.
 */
export abstract class LockwiseError extends Error {
  /** The kind of this error. */
  abstract readonly code: LockErrorCode

  constructor(message: string, caller?: Caller) {
    // Names and labels come from the program, and can contain control characters.
    super(visible(message))
    if (caller === undefined) return
    try {
      Error.captureStackTrace?.(this, caller)
    } catch {
      // A function or accessor of the program threw. The stack then begins in this library.
    }
  }

  /** The error as plain data, which survives `structuredClone`, `postMessage` and JSON without loss. */
  toJSON(): LockErrorData {
    const { name, code, message, stack } = this
    return { name, code, message, ...(stack !== undefined && { stack }) }
  }
}

/**
 * The call was in a cycle of waiters, none of which could ever continue, and was chosen as its victim. The
 * call no longer waits. Its caller still holds the locks that it held before.
 */
export class DeadlockError extends LockwiseError {
  declare readonly name: 'DeadlockError'
  readonly code = 'LOCK_DEADLOCK'
  /**
   * The cycle as plain data: the locks that each member held and waited for, since when, and its call stacks.
   */
  readonly report: DeadlockReport

  constructor(report: DeadlockReport, caller?: Caller) {
    super(deadlockMessage(report), caller)
    this.report = report
  }

  override toJSON(): LockErrorData {
    return { ...super.toJSON(), report: this.report }
  }
}

/** A request violated the declared order. It did not wait, and took nothing. */
export class LockOrderError extends LockwiseError {
  declare readonly name: 'LockOrderError'
  readonly code = 'LOCK_ORDER'
}

/** A wait took longer than its `timeoutMs`. */
export class LockTimeoutError extends LockwiseError {
  declare readonly name: 'LockTimeoutError'
  readonly code = 'LOCK_TIMEOUT'
  /** The holders that blocked a lock in shared memory, with their call stacks where known. */
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

/** The request wanted the lock only if it was free, and it was not. */
export class LockNotAvailableError extends LockwiseError {
  declare readonly name: 'LockNotAvailableError'
  readonly code = 'LOCK_NOT_AVAILABLE'
}

/** A lock is no longer held: another request stole it, its lease ran out, or its server lost it. */
export class LockLostError extends LockwiseError {
  declare readonly name: 'LockLostError'
  readonly code = 'LOCK_LOST'
}

/**
 * The holder of the lock ended without releasing it, and may have half changed the guarded data. The lock is
 * not granted again until an owner has repaired the data, or has declared it consistent.
 */
export class OwnerDiedError extends LockwiseError {
  declare readonly name: 'OwnerDiedError'
  readonly code = 'LOCK_OWNER_DIED'
  /** The dead thread and all locks that it left; `undefined` unless the locks have numbers. */
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

/**
 * The call itself is wrong: an invalid index or option, or an unlock of a lock that the caller does not hold.
 */
export class LockUsageError extends LockwiseError {
  declare readonly name: 'LockUsageError'
  readonly code = 'LOCK_USAGE'
}

/** The names of the errors, by code. Plain text, because a bundler may rename the classes. */
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
// Set on the prototypes: a stack begins with the name, and is captured before own properties are set.
for (const [code, { prototype }] of Object.entries(CLASSES)) {
  const value = ERROR_NAMES[code as LockErrorCode]
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true })
}
