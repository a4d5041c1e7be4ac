/**
 * What the promises of requests come to.
 *
 * A holding begins in a microtask of its own, never inside of the call that asked for it, and in the
 * asynchronous context of that call: it is a reaction to a promise, and what it comes to is what the
 * caller gets. Cost: one promise and one reaction; one promise more for a request that has to wait, and
 * one for a callback that goes on after it has returned.
 */

import { readAwaitChain } from '../core/await-chain.ts'
import { type Caller, LockNotAvailableError } from '../core/errors.ts'
import type { Callback } from './arguments.ts'
import { showAwaits, takeEnd } from './await-frames.ts'
import type { Context } from './context.ts'
import {
  OwnPromise,
  promiseThen,
  rejecterOfLast,
  resolverOfLast,
  SETTLED,
  take,
} from './deferred.ts'
import { newDetails, type Settle, withDetails } from './details.ts'
import type { Guard } from './guard.ts'
import { Lock } from './lock.ts'
import { isInOtherManager, noteReturned } from './nesting.ts'
import type { Request } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { isAborted, reasonOf } from './signals.ts'
import { TrackedPromise } from './tracked-promise.ts'

/** What moves requests from state to state: the engine. */
export interface Transitions {
  /** Whether a release is done when the call returns. */
  readonly isImmediate: boolean
  /** Enters the queues; whether all was free. */
  enter(request: Request, caller: Caller): boolean
  /** Whether it must not wait, and would have to. */
  isRefused(request: Request, caller: Caller): boolean
  /** It has entered, and waits. */
  wait(request: Request, caller: Caller): void
  /** Somebody has subscribed to the promise of a nested request. */
  awaited(request: Request): void
  /** granted → holding */
  begin(request: Request): void
  guardOf(request: Request): Guard
  /** waiting or granted → ended */
  giveUp(request: Request, reason: unknown): void
  /** any → ended */
  end(request: Request): void | Promise<void>
}

/** The promises of one manager's requests. */
export class Outcomes {
  readonly #engine: Transitions
  readonly #context: Context<Request>
  readonly #calls: ScopeCalls

  constructor(engine: Transitions, context: Context<Request>, calls: ScopeCalls) {
    this.#engine = engine
    this.#context = context
    this.#calls = calls
  }

  /** Enters the queues; what the request comes to. */
  of(request: Request, caller: Caller): Promise<unknown> {
    if (this.#engine.isRefused(request, caller)) {
      return promiseThen.call(SETTLED, () => this.#callWithNull(request))
    }
    if (this.#engine.enter(request, caller)) {
      const startAtOnce = (): unknown => this.#start(request)
      return promiseThen.call(SETTLED, startAtOnce)
    }
    return promiseThen.call(
      this.#turnOf(request, caller),
      this.#start as (value: unknown) => unknown,
    )
  }

  /** The same of a nested request: the caller gets a promise that says when somebody waits for it. */
  ofNested(request: Request, caller: Caller): Promise<unknown> {
    const onSubscribed = (): Request => {
      this.#engine.awaited(request)
      return request
    }
    const tracked = new TrackedPromise(take, onSubscribed)
    const reject = rejecterOfLast()
    const settle = newDetails(resolverOfLast(), reject)
    request.details = settle
    if (this.#engine.isRefused(request, caller)) {
      promiseThen.call(
        promiseThen.call(SETTLED, () => this.#callWithNull(request)),
        settle.resolve,
        settle.reject,
      )
    } else if (this.#engine.enter(request, caller)) {
      const startAtOnce = (): void => this.#startNested(request, settle, false)
      promiseThen.call(SETTLED, startAtOnce)
    } else {
      request.end = this.#startAfter(this.#turnOf(request, caller), request, settle)
    }
    return tracked
  }

  /** Resolves when it is a request's turn, or it has given up. */
  #turnOf(request: Request, caller: Caller): Promise<unknown> {
    const turn = new OwnPromise(take)
    if (request.state === 'waiting') {
      request.wake = resolverOfLast()
      this.#engine.wait(request, caller)
    } else resolverOfLast()(request)
    return turn
  }

  /**
   * Begins a nested holding. Settles the promise that the caller has got, unless its end does so later.
   * `isShown`: that promise is linked to the wait.
   */
  #startNested(request: Request, settle: Settle, isShown: boolean): void {
    try {
      const value = this.#start(request, settle)
      if (request.end === undefined) settle.resolve(value)
    } catch (error) {
      settle.reject(error)
    }
    if (request.end !== undefined && !isShown && isInOtherManager(request)) showAwaits(request)
  }

  /** Waits for a nested request's turn. Is resumed before that where its await chain is wanted. */
  async #startAfter(first: Promise<unknown>, request: Request, settle: Settle): Promise<void> {
    for (let turn = first; ; ) {
      await turn
      const { details } = request
      if (details?.isChainWanted) {
        details.isChainWanted = false
        details.chain = readAwaitChain('frames and text')
      }
      if (request.state !== 'waiting') break
      turn = new OwnPromise(take)
      request.wake = resolverOfLast()
    }
    const isShown = request.end === undefined
    request.end = undefined
    this.#startNested(request, settle, isShown)
    // The promise that the caller has got follows this function by now, and must not be settled by it.
    if (isShown) await takeEnd(request)
  }

  /** Its turn has come: begins its holding, unless it has given up meanwhile. */
  readonly #start = (request: Request, settle?: Settle): unknown => {
    if (request.state !== 'granted' || request.options.signal) {
      if (isNotAvailable(request)) return this.#callWithNull(request)
      this.#mustBeGranted(request)
    }
    try {
      this.#engine.begin(request)
    } catch (error) {
      void this.#engine.end(request)
      throw error
    }
    if (request.callback) return this.#callBack(request, request.callback, settle)
    const guard = this.#engine.guardOf(request)
    if (settle === undefined || request.options.owner !== undefined) return guard
    request.end = this.#settleWithProof(request, guard, settle)
    return undefined
  }

  /** @throws why it was given up, or its locks were stolen. */
  #mustBeGranted(request: Request): void {
    const { signal } = request.options
    const isCancelled = signal !== undefined && isAborted(signal)
    // A listener of the signal may have kept ours from hearing of it.
    if (isCancelled) this.#engine.giveUp(request, reasonOf(signal))
    if (request.state === 'granted') return
    const { failure } = request
    if (failure?.kind === 'stolen') {
      // Stolen and then aborted: the abort wins, as the callback has not begun.
      if (isCancelled) throw reasonOf(signal)
      this.#callRobbed(request)
    }
    throw failure?.reason
  }

  /** Answers with a guard when it can be seen who waits for it. */
  async #settleWithProof(request: Request, guard: Guard, settle: Settle): Promise<void> {
    // An async function that returns the caller's promise is linked to it two microtasks later.
    for (let i = 0; i < 3; i++) await undefined
    showAwaits(request)
    if (guard.held) withDetails(request).chain = readAwaitChain('frames')
    settle.resolve(guard)
  }

  #callBack(request: Request, callback: Callback, settle: Settle | undefined): unknown {
    try {
      this.#context.enter(request)
      const value = callback(new Lock(request), new Scope(this.#calls, request))
      if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
        return this.#endWith(request, value, settle)
      }
      const released = this.#engine.end(request)
      if (request.failure) throw request.failure.reason
      return released === undefined ? value : released.then(() => value)
    } catch (error) {
      const released = this.#engine.end(request)
      const reason = request.failure ? request.failure.reason : error
      if (released === undefined) throw reason
      return released.then(() => Promise.reject(reason))
    }
  }

  /** Ends a holding, and settles its promise when its locks are free, or it is known that they are lost. */
  async #endThen(request: Request, settle: () => void): Promise<void> {
    try {
      await this.#engine.end(request)
    } finally {
      settle()
    }
  }

  /** As Web Locks has it: the callback is called, though its lock was stolen meanwhile. */
  #callRobbed(request: Request): void {
    const { callback, holder } = request
    try {
      const value = callback?.(new Lock(request), new Scope(this.#calls, holder))
      OwnPromise.resolve(value).catch(() => {})
    } catch {
      // Its promise has been rejected for the theft.
    }
  }

  /** Ends the holding when the value has settled, if it is a promise or another thenable. */
  #endWith(
    request: Request,
    thenable: object,
    settle: Settle | undefined,
  ): Promise<unknown> | undefined {
    const nested = request.nested && (TrackedPromise.subscribe(thenable) as Request | undefined)
    if (nested && nested.state !== 'ended') withDetails(nested).returnedBy = request
    // First, for it can throw.
    const value = OwnPromise.resolve(thenable)
    if (settle) {
      this.#endAfter(request, value, settle.resolve, settle.reject)
      return undefined
    }
    const outcome = new OwnPromise(take)
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
    request.end = promiseThen.call(
      value,
      // Settled first, so that it comes before what its end grants.
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
    // A holder of another manager may wait for it, and does not know it.
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

  #callWithNull({ callback, holder }: Request): unknown {
    return callback?.(null, new Scope(this.#calls, holder))
  }
}

/** Whether the backend has said later that a request for free locks only cannot be granted. */
function isNotAvailable({ options, callback, failure }: Request): boolean {
  return (
    options.ifAvailable &&
    callback !== undefined &&
    failure?.reason instanceof LockNotAvailableError
  )
}
