/**
 * The public lock manager.
 *
 * A superset of the Web Locks API (W3C), with several names in one request, guards, timeouts, labels, and
 * knowledge of the requesting holder.
 */

import { LocalBackend } from '../backends/local/local-backend.ts'
import { LockUsageError } from '../core/errors.ts'
import type { Observer } from '../core/events.ts'
import { show } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import type { LockManagerSnapshot } from '../core/snapshot.ts'
import type { Guard } from './guard.ts'
import { shapeAsIdl } from './idl.ts'
import type { LockEvents } from './listeners.ts'
import type { Lock } from './lock.ts'
import { type LockManagerOptions, toRequesterOptions } from './manager-options.ts'
import type { AcquireOptions, Names, RequestOptions, TryAcquireOptions } from './options.ts'
import { KINDS, type Reports } from './reports.ts'
import { Requester } from './requester.ts'
import type { LockRequests, Scope } from './scope.ts'
import { webTypeError } from './web-errors.ts'

/** Sets or removes the observer of a manager's events, for this library's own files. */
export let observe: (manager: LockManager, observer: Observer | undefined) => void

/**
 * Locks by name on one event loop.
 *
 * A request is granted whole or not at all, in first-come order for each name. Shared requests hold together.
 * Each manager has its own names: two managers are independent.
 */
export class LockManager<Name extends string = string> implements LockRequests<Name> {
  readonly #reports: Reports
  readonly #requester: Requester

  /** @throws LockUsageError for an invalid option. */
  constructor(options: LockManagerOptions = {}) {
    const checked = toRequesterOptions(options, () => new LocalBackend())
    this.#reports = checked.reports
    this.#requester = new Requester(checked)
  }

  /**
   * Takes one or more locks, calls `callback` while they are held, and releases them when its result has
   * settled. The returned promise settles as that result does.
   *
   * A request inside a callback is *nested*: while it waits, its holder keeps its locks. Where the runtime
   * does not know in whose callback code runs, make nested requests through the callback's second parameter.
   *
   * Rejects with a `TypeError` or a `NotSupportedError` as Web Locks does; with the signal's reason when the
   * signal aborts; with an `AbortError` whose `cause` is a LockLostError when the locks are stolen. Beyond
   * Web Locks: with LockTimeoutError after `timeoutMs`; with DeadlockError for the victim of a deadlock; with
   * LockOrderError for a violation of a declared order; with LockUsageError for a list that is empty or has
   * more than 1,024 names, for a name of more than 65,536 code units, or for a generator function; with a
   * `TypeError` for a Set or another iterable that is not an array. An unknown option is ignored, with one
   * warning. After any of these errors, the request holds no lock; enclosing holders keep theirs.
   *
   * Cost: a microsecond or less for a free name. The thousandth waiter costs no more than the first.
   */
  request<Result>(
    names: Names<Name>,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: (RequestOptions & { readonly ifAvailable?: false | undefined }) | null | undefined,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: RequestOptions | null | undefined,
    callback: (lock: Lock | null, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request(names: unknown, second: unknown, ...rest: unknown[]): Promise<unknown> {
    if (!LockManager.#isOne(this))
      return Promise.reject(webTypeError(notCalledOnManager('request')))
    return this.#requester.request(names, second, rest, this.#requester.holder, this.request)
  }

  /**
   * Takes one or more locks for code that cannot be a callback. They are held until the guard is released. A
   * guard that is never released holds its locks forever; once it is garbage-collected, the event `leaked`
   * reports it. A guard that is `detached`, or was requested outside of all callbacks without an `owner`,
   * belongs to no holder: deadlocks through it are not detected. Prefer {@link request}.
   *
   * Rejects as {@link request} does. Also rejects with LockNotAvailableError if `ifAvailable` is set and some
   * lock is not free; with LockUsageError for a callback, an unknown option, or names that are not a string,
   * a lock or an array. For another iterable, it rejects with a `TypeError`, as {@link request} does.
   */
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard>
  acquire(names: unknown, options?: unknown, third?: unknown): Promise<Guard> {
    if (!LockManager.#isOne(this))
      return Promise.reject(webTypeError(notCalledOnManager('acquire')))
    return this.#requester.acquire(names, options, third, this.#requester.holder, this.acquire)
  }

  /**
   * Takes one or more locks if all of them are free. Returns a guard, or `undefined`, at once.
   *
   * @throws the errors with which {@link acquire} rejects for invalid arguments and for a violation of a
   * declared order; LockUsageError if the backend cannot answer at once.
   */
  tryAcquire(names: Names<Name>, options?: TryAcquireOptions): Guard | undefined
  tryAcquire(names: unknown, options?: unknown, third?: unknown): Guard | undefined {
    return this.#requester.tryAcquire(
      names,
      options,
      third,
      this.#requester.holder,
      this.tryAcquire,
    )
  }

  /** The current holders and waiters, as in Web Locks but with more about each. */
  async query(): Promise<LockManagerSnapshot> {
    return this.#requester.query()
  }

  /**
   * Releases the resources of the manager's backend, such as connections. Call it last. The default backend
   * has none.
   *
   * Rejects with LockUsageError while a request holds a lock or waits for one.
   */
  close(): Promise<void> {
    return this.#requester.close(this.close)
  }

  /**
   * Calls `listener` with every report of a kind. Returns a function that removes the listener. Each call
   * runs in its own microtask: an error thrown there is an uncaught exception and breaks no request. Without
   * a listener, `suspected`, `possible`, `slow` and `leaked` are written as a process warning, or to the
   * console. So is `deadlock` if `deadlockAfterMs` is `Infinity` and there is thus no victim.
   */
  on<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    if (!KINDS.includes(kind)) {
      throw new LockUsageError(
        `on: there is no event ${show(kind)}: use one of ${KINDS.join(', ')}`,
        this.on,
      )
    }
    if (typeof listener !== 'function') {
      throw new LockUsageError(
        `on: expected a function to call with the reports, not ${show(listener)}: write on('${kind}', listener)`,
        this.on,
      )
    }
    return this.#reports.listeners.add(kind, listener)
  }

  declare readonly [Symbol.toStringTag]: 'LockManager'

  static {
    inspectAs(LockManager.prototype, 'LockManager', (manager) => manager.#requester.overview())
    observe = (manager, observer) => {
      manager.#requester.engine.observer = observer
    }
  }

  /** Whether a method was called on a manager, not on its own or on a proxy of a manager. */
  static #isOne(value: unknown): boolean {
    return typeof value === 'object' && value !== null && #requester in value
  }
}

function notCalledOnManager(call: 'request' | 'acquire'): string {
  return `${call} was not called on a LockManager: call it as a method, locks.${call}(…)`
}

shapeAsIdl(LockManager, 'LockManager', ['request', 'acquire', 'tryAcquire', 'query', 'on'])
