/** Calls the callbacks of requests, and ends their holdings. */

import type { Callback } from './arguments.ts'
import { showAwaits } from './await-frames.ts'
import type { Context } from './context.ts'
import { newPromise, promiseOf, reactTo, rejecterOfLast, resolverOfLast } from './deferred.ts'
import { type Settle, withDetails } from './details.ts'
import { Lock } from './lock.ts'
import { noteReturned } from './nesting.ts'
import type { Request } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { TrackedPromise } from './tracked-promise.ts'

/** The members of the engine that end holdings. */
export interface HoldingEnder {
  /** Whether a release is complete when the call returns. */
  readonly isImmediate: boolean
  /** any → ended. A returned promise settles when the request's locks are free. */
  end(request: Request): void | Promise<void>
}

/** The callbacks of one manager's requests. */
export class Callbacks {
  readonly #engine: HoldingEnder
  readonly #context: Context<Request>
  readonly #calls: ScopeCalls

  constructor(engine: HoldingEnder, context: Context<Request>, calls: ScopeCalls) {
    this.#engine = engine
    this.#context = context
    this.#calls = calls
  }

  /**
   * Calls a request's callback, and ends the holding when the returned value has settled. Rare cases are in
   * separate methods: V8 inlines only short functions.
   */
  call(request: Request, callback: Callback, settle: Settle | undefined): unknown {
    try {
      this.#context.enter(request)
      const value = callback(new Lock(request), new Scope(this.#calls, request))
      if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
        return this.#endWith(request, value, settle)
      }
      const released = this.#engine.end(request)
      if (released || request.failure) return this.#endLate(request, value, released)
      return value
    } catch (error) {
      return this.#endWithError(request, error)
    }
  }

  /** @throws the reason why the request has lost its locks. */
  #endLate(request: Request, value: unknown, released: void | Promise<void>): unknown {
    if (request.failure) throw request.failure.reason
    return released?.then(() => value)
  }

  #endWithError(request: Request, error: unknown): unknown {
    const released = this.#engine.end(request)
    const reason = request.failure ? request.failure.reason : error
    if (released === undefined) throw reason
    return released.then(() => Promise.reject(reason))
  }

  /** Ends a holding. Settles its promise when its locks are free or known to be lost. */
  async #endThen(request: Request, settle: () => void): Promise<void> {
    try {
      await this.#engine.end(request)
    } finally {
      settle()
    }
  }

  /** Calls a callback although its lock was stolen before it began, as Web Locks does. */
  callStolen(request: Request): void {
    const { callback, holder } = request
    try {
      const value = callback?.(new Lock(request), new Scope(this.#calls, holder))
      promiseOf(value).catch(() => {})
    } catch {
      // Its promise has already been rejected because of the steal.
    }
  }

  /** Ends the holding when a promise or another thenable has settled. */
  #endWith(
    request: Request,
    thenable: object,
    settle: Settle | undefined,
  ): Promise<unknown> | undefined {
    const nested = request.nested && (TrackedPromise.subscribe(thenable) as Request | undefined)
    if (nested && nested.state !== 'ended') withDetails(nested).returnedBy = request
    // Before the code below changes the request, because this can throw.
    const value = promiseOf(thenable)
    if (settle) {
      this.#endAfter(request, value, settle.resolve, settle.reject)
      return undefined
    }
    const outcome = newPromise()
    const reject = rejecterOfLast()
    const resolve = resolverOfLast()
    this.#endAfter(request, value, resolve, reject)
    return outcome
  }

  #endAfter(
    request: Request,
    value: Promise<unknown>,
    resolve: Settle['resolve'],
    reject: Settle['reject'],
  ): void {
    request.end = reactTo(
      value,
      // Settle first: the caller's reactions then run before the callbacks that the release lets begin.
      (value) => {
        if (request.guards) noteReturned(request.guards, request, value)
        if (!this.#engine.isImmediate) return this.#endThen(request, () => resolve(value))
        resolve(value)
        void this.#engine.end(request)
        return undefined
      },
      (error) => {
        if (!this.#engine.isImmediate) return this.#endThen(request, () => reject(error))
        reject(error)
        void this.#engine.end(request)
        return undefined
      },
    )
    // A holder of another manager may await this request: link the promises, so that await chains show it.
    if (request.around && !request.details?.resolve) {
      const details = withDetails(request)
      details.resolve = resolve
      details.reject = reject
      showAwaits(request)
    }
    // Assigned last: if an earlier statement throws, only the caller sees the error.
    request.reject = reject
    if (request.failure) reject(request.failure.reason)
  }

  /** Calls a callback without a lock. */
  callWithNull({ callback, holder }: Request): unknown {
    return callback?.(null, new Scope(this.#calls, holder))
  }
}
