/** The options of a request, as callers write them. */

import type { LockMode, WantedLock } from '../core/modes.ts'

/** One lock, or several at once: a name is wanted in the request's `mode`, or as it says itself. */
export type Names<Name extends string = string> =
  | Name
  | WantedLock<Name>
  | readonly (Name | WantedLock<Name>)[]

/** Options of `acquire()`; those of `request()` are the same and `steal`. */
export interface AcquireOptions {
  /** How names without a mode of their own are wanted. Default: `'exclusive'`. */
  readonly mode?: LockMode | undefined
  /**
   * Gives the wait up when it aborts: the promise rejects with the signal's reason. It never ends a
   * holding. Not together with `steal` or `ifAvailable`. `AbortSignal.timeout()` names no holder and does
   * not keep the process alive: use `timeoutMs` for a time limit.
   */
  readonly signal?: AbortSignal | undefined
  /** Does not wait: if not all is free, the callback gets `null`; `acquire()` rejects. Default: false. */
  readonly ifAvailable?: boolean | undefined
  /**
   * Gives the wait up after so many milliseconds, with LockTimeoutError; 0: at once, unless all is
   * free; more than 2^31 − 1, or `Infinity`: no limit. It never ends a holding. Default: that of the
   * manager, which has none by default.
   */
  readonly timeoutMs?: number | undefined
  /**
   * Reports a wait, and then a holding, that lasts longer than so many milliseconds, by the event
   * `slow`; nothing is given up or released. Waits for one lock have one report, whatever their number.
   * Default: that of the manager, which has none by default; `Infinity`: reports nothing before the
   * manager's `longWaitMs`. Costs a timer for the holding, and the call stack.
   */
  readonly warnAfterMs?: number | undefined
  /** What the request is called in reports and by `query()`. Default: its number. */
  readonly label?: string | undefined
  /**
   * A nested request that its holder does not wait for: it closes no deadlock, and may wait for what
   * its holder has. Not together with `owner`. Default: false.
   */
  readonly detached?: boolean | undefined
  /**
   * The task that asks, as any object, where no callback tells it: requests and guards with one owner
   * belong to one holder, also in browsers. Its code is taken to be sequential: it waits for one request
   * before it makes the next. Default: none.
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
   * Takes the locks from their holders, whose code runs on: their promises reject with an `AbortError`
   * whose `cause` is a LockLostError, and their `lock.signal` aborts. Only in mode `'exclusive'`, and
   * only as a last resort. Default: false.
   */
  readonly steal?: boolean | undefined
}
