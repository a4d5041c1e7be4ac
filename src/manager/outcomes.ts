/**
 * The promises of requests, and how they settle.
 *
 * A holding begins in a microtask of its own, never inside of the call that asked for it, and in the
 * asynchronous context of that call: it is a reaction to a promise, and what it comes to is what the
 * caller gets. Cost: one promise and one reaction; one promise more for a request that has to wait, and
 * one for a callback that goes on after it has returned.
 */

import { readAwaitChain } from '../core/await-chain.ts'
import { type Caller, LockNotAvailableError } from '../core/errors.ts'
import type { Admission } from './admission.ts'
import { showAwaits, takeEnd } from './await-frames.ts'
import type { Callbacks, HoldingEnder } from './callbacks.ts'
import type { DeadlockDetector } from './deadlock-detector.ts'
import { newPromise, reactTo, rejecterOfLast, resolverOfLast, soon, take } from './deferred.ts'
import { newDetails, type Settle, withDetails } from './details.ts'
import type { Guard } from './guard.ts'
import { depthOf, isInOtherManager } from './nesting.ts'
import type { Request } from './request.ts'
import { isAborted, reasonOf } from './signals.ts'
import { TrackedPromise } from './tracked-promise.ts'
import type { Watchdog } from './watchdog.ts'

/** The engine, as far as it moves requests from state to state. */
export interface Transitions extends HoldingEnder {
  /** granted → holding */
  begin(request: Request): void
  guardOf(request: Request): Guard
  /** waiting or granted → ended */
  giveUp(request: Request, reason: unknown): void
}

/** The parts of a manager that its {@link Outcomes} call. */
export interface OutcomesOptions {
  readonly engine: Transitions
  readonly admission: Admission
  readonly callbacks: Callbacks
  readonly detector: DeadlockDetector
  readonly watchdog: Watchdog
}

/** The promises of one manager's requests. */
export class Outcomes {
  readonly #engine: Transitions
  readonly #admission: Admission
  readonly #callbacks: Callbacks
  readonly #detector: DeadlockDetector
  readonly #watchdog: Watchdog

  constructor({ engine, admission, callbacks, detector, watchdog }: OutcomesOptions) {
    this.#engine = engine
    this.#admission = admission
    this.#callbacks = callbacks
    this.#detector = detector
    this.#watchdog = watchdog
  }

  /** Enters the queues; what the request comes to. */
  of(request: Request, caller: Caller): Promise<unknown> {
    if (request.options.ifAvailable && this.#admission.isRefused(request, caller)) {
      return this.#callWithNullSoon(request)
    }
    if (this.#admission.enter(request, caller)) return this.#startSoon(request)
    const turn = this.#turnOf(request, caller)
    return reactTo(turn, this.#start as (value: unknown) => unknown)
  }

  // In methods of their own: a function with a closure in it allocates for that whenever it is called.

  #startSoon(request: Request): Promise<unknown> {
    const startAtOnce = (): unknown => this.#start(request)
    return soon(startAtOnce)
  }

  #callWithNullSoon(request: Request): Promise<unknown> {
    return soon(() => this.#callbacks.callWithNull(request))
  }

  /** The same of a nested request: the caller gets a promise that says when somebody waits for it. */
  ofNested(request: Request, caller: Caller): Promise<unknown> {
    const onSubscribed = (): Request => {
      this.#detector.awaited(request)
      return request
    }
    const tracked = new TrackedPromise(take, onSubscribed)
    const reject = rejecterOfLast()
    const settle = newDetails(resolverOfLast(), reject)
    request.details = settle
    if (request.options.ifAvailable && this.#admission.isRefused(request, caller)) {
      void reactTo(this.#callWithNullSoon(request), settle.resolve, settle.reject)
    } else if (this.#admission.enter(request, caller)) {
      const startAtOnce = (): void => this.#startNested(request, settle, false)
      void soon(startAtOnce)
    } else {
      request.end = this.#startAfter(this.#turnOf(request, caller), request, settle)
    }
    return tracked
  }

  /** Resolves when it is a request's turn, or it has given up. */
  #turnOf(request: Request, caller: Caller): Promise<unknown> {
    const turn = newPromise()
    if (request.state === 'waiting') {
      request.wake = resolverOfLast()
      this.#watchdog.waits(request, caller)
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
        details.chain = readAwaitChain('frames and text', depthOf(request))
      }
      if (request.state !== 'waiting') break
      turn = newPromise()
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
      if (isNotAvailable(request)) return this.#callbacks.callWithNull(request)
      this.#mustBeGranted(request)
    }
    this.#engine.begin(request)
    const { callback } = request
    return callback ? this.#callbacks.call(request, callback, settle) : this.#guard(request, settle)
  }

  #guard(request: Request, settle: Settle | undefined): Guard | undefined {
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
      this.#callbacks.callRobbed(request)
    }
    throw failure?.reason
  }

  /** Answers with a guard when it can be seen who waits for it. */
  async #settleWithProof(request: Request, guard: Guard, settle: Settle): Promise<void> {
    // An async function that returns the caller's promise is linked to it two microtasks later.
    for (let i = 0; i < 3; i++) await undefined
    showAwaits(request)
    if (guard.held) {
      withDetails(request).chain = readAwaitChain('frames', depthOf(request))
      this.#detector.guarded(request)
    }
    settle.resolve(guard)
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
