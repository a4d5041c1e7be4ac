/**
 * The lock manager as its users see it.
 *
 * After the Web Locks API (W3C), of which it is a superset: many names in one request, guards, timeouts,
 * labels, and the knowledge of who is asking.
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

/** Gives a manager an observer of its events, or takes it away: for this library's own files. */
export let observe: (manager: LockManager, observer: Observer | undefined) => void

/**
 * Locks by name on one event loop.
 *
 * A request is granted whole or not at all, first come, first served for each name; shared requests run
 * together. Every name belongs to one manager: two managers know nothing of each other.
 */
export class LockManager<Name extends string = string> implements LockRequests<Name> {
  readonly #reports: Reports
  readonly #requester: Requester

  /** @throws LockUsageError for an option that cannot be. */
  constructor(options: LockManagerOptions = {}) {
    const checked = toRequesterOptions(options, () => new LocalBackend())
    this.#reports = checked.reports
    this.#requester = new Requester(checked)
  }

  /**
   * Takes one lock or several, calls `callback` with them held, and frees them when what it returned
   * has settled. The promise settles as that does.
   *
   * Inside of a callback a request is *nested*: it waits while its holder holds. The second parameter
   * of the callback makes nested requests where the runtime cannot tell who is asking.
   *
   * Rejects with a `TypeError` or a `NotSupportedError` as Web Locks does, and with the signal's reason
   * when it aborts; with `AbortError` when the locks are stolen, whose `cause` is a LockLostError then.
   * Beyond Web Locks: with LockTimeoutError after `timeoutMs`; DeadlockError as the victim of a deadlock;
   * LockOrderError against a declared order; LockUsageError for a list that is empty or has more than 1,024
   * names, for a name of more than 65,536 code units, or for a generator function. An option of an unknown
   * name is ignored, with one warning. No lock stays taken after any of them.
   *
   * Cost: a microsecond or less for a free name, and no more for the thousandth waiter than for the
   * first.
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
   * Takes one lock or several for code that cannot be a callback; they are held until the guard is
   * released. A guard that nobody releases holds for ever (it is reported once it was garbage-collected,
   * by the event `leaked`), and one that was asked for outside of all
   * callbacks, or is `detached`, is nobody's: a deadlock through it is not seen. Prefer {@link request}.
   *
   * Rejects as {@link request} does, with LockNotAvailableError where `ifAvailable` finds them taken, and
   * with LockUsageError for a callback, an unknown option, or names that are no string, lock or array.
   */
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard>
  acquire(names: unknown, options?: unknown, third?: unknown): Promise<Guard> {
    if (!LockManager.#isOne(this))
      return Promise.reject(webTypeError(notCalledOnManager('acquire')))
    return this.#requester.acquire(names, options, third, this.#requester.holder, this.acquire)
  }

  /**
   * Takes one lock or several if all of them are free, and answers at once: a guard, or `undefined`.
   *
   * @throws what {@link request} rejects with, for arguments that cannot be.
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

  /** Who holds and who waits, at this moment: as in Web Locks, and more about each. */
  async query(): Promise<LockManagerSnapshot> {
    return this.#requester.query()
  }

  /**
   * Frees what the manager's backend has open, such as connections; call it last. The default backend has
   * nothing open.
   *
   * Rejects with LockUsageError while a request holds a lock or waits for one.
   */
  close(): Promise<void> {
    return this.#requester.close(this.close)
  }

  /**
   * Calls `listener` with every report of a kind; the answer takes it away again. It is called soon
   * afterwards, in a microtask of its own: what it throws is an uncaught exception, and breaks no request.
   * Without a listener, `suspected`, `possible`, `slow` and `leaked` are written as a warning of the
   * process, or to the console; so is `deadlock` where `deadlockAfterMs` is `Infinity`, and there is no victim.
   */
  on<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    if (!KINDS.includes(kind)) {
      throw new LockUsageError(
        `on: there is no event ${show(kind)}, only ${KINDS.join(', ')}`,
        this.on,
      )
    }
    if (typeof listener !== 'function') {
      throw new LockUsageError(`on: expected a function to call with the reports`, this.on)
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

  /** Whether a method was called on a manager: not taken off it, nor called on a proxy of one. */
  static #isOne(value: unknown): boolean {
    return typeof value === 'object' && value !== null && #requester in value
  }
}

function notCalledOnManager(call: 'request' | 'acquire'): string {
  return `${call}: this is no LockManager; call it as a method, locks.${call}(…)`
}

shapeAsIdl(LockManager, 'LockManager', ['request', 'acquire', 'tryAcquire', 'query', 'on'])
