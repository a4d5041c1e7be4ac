/** The options of a request, as the caller writes them. */

import type { LockMode, WantedLock } from '../core/modes.ts'

/** One or more names. Each is taken in the request's `mode`, unless it has its own. */
export type Names<Name extends string = string> =
  | Name
  | WantedLock<Name>
  | readonly (Name | WantedLock<Name>)[]

/** Options of `acquire()`. `request()` has the same and `steal`. */
export interface AcquireOptions {
  /** The mode of names that have none of their own. Default: `'exclusive'`. */
  readonly mode?: LockMode | undefined
  /**
   * Cancels the wait when it aborts: the promise rejects with the signal's reason. It never ends a holding.
   * Excludes `steal` and `ifAvailable`. For a time limit use `timeoutMs`: `AbortSignal.timeout()` names no
   * holder and does not keep the process alive.
   */
  readonly signal?: AbortSignal | undefined
  /**
   * Does not wait: if some lock is not free, the callback gets `null`; `acquire()` rejects. Default: false.
   */
  readonly ifAvailable?: boolean | undefined
  /**
   * The time limit of the wait in milliseconds; after it the promise rejects with LockTimeoutError. 0:
   * rejects at once, unless all locks are free. More than 2^31 − 1, or `Infinity`: no limit. It never ends a
   * holding. Default: the manager's `timeoutMs`.
   */
  readonly timeoutMs?: number | undefined
  /**
   * The time in milliseconds after which the event `slow` reports a wait, and then a holding. Nothing is
   * cancelled or released. The waits for one lock share one report. `Infinity`: no report before the
   * manager's `longWaitMs`. Default: the manager's `warnAfterMs`. Cost: a timer for the holding, and the call
   * stack.
   */
  readonly warnAfterMs?: number | undefined
  /**
   * The name of the request in reports and in `query()`. Default: the label of the nearest enclosing request
   * that has one, else the request's number.
   */
  readonly label?: string | undefined
  /**
   * Whether the holder does not wait for this nested request. The request then closes no deadlock, and may
   * wait for locks of its holder. Excludes `owner`. Default: false.
   */
  readonly detached?: boolean | undefined
  /**
   * The task that makes the request, as any object, for code outside of callbacks. Requests and guards with
   * the same owner belong to one holder, also in browsers. The owner's code is assumed to be sequential: it
   * waits for one request before it makes the next. Default: none.
   */
  readonly owner?: object | undefined
}

/** Options of `tryAcquire()`, which never waits. */
export type TryAcquireOptions = Pick<
  AcquireOptions,
  'mode' | 'label' | 'warnAfterMs' | 'detached' | 'owner'
>

/** Options of `request()`. */
export interface RequestOptions extends AcquireOptions {
  /**
   * Takes the locks from their holders, whose code continues to run. Their promises reject with an
   * `AbortError` whose `cause` is a LockLostError, and their `lock.signal` aborts. Only in mode
   * `'exclusive'`, and only as a last resort. Default: false.
   */
  readonly steal?: boolean | undefined
}
