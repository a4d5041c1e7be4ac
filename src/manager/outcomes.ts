/**
 * The promises of requests, and how they settle.
 *
 * A holding begins in its own microtask, never inside the call that requested it, and in the asynchronous
 * context of that call. The code that begins it is a reaction to a promise; the caller gets the promise of
 * that reaction. Cost: one promise and one reaction; one more promise for a request that has to wait, and one
 * for a callback that is asynchronous.
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

/** The members of the engine that move requests from state to state. */
export interface Transitions extends HoldingEnder {
  /** granted → holding */
  begin(request: Request): void
  guardOf(request: Request): Guard
  /** outside, waiting or granted → ended */
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

  /** Enters the queues. Returns the outcome of the request. */
  of(request: Request, caller: Caller): Promise<unknown> {
    if (request.options.ifAvailable && this.#admission.isRefused(request, caller)) {
      return this.#callWithNullSoon(request)
    }
    if (this.#admission.enter(request, caller)) return this.#startSoon(request)
    const turn = this.#turnOf(request, caller)
    return reactTo(turn, this.#start as (value: unknown) => unknown)
  }

  // Separate methods: a function that contains a closure allocates it at every call.

  #startSoon(request: Request): Promise<unknown> {
    const startAtOnce = (): unknown => this.#start(request)
    return soon(startAtOnce)
  }

  #callWithNullSoon(request: Request): Promise<unknown> {
    return soon(() => this.#callbacks.callWithNull(request))
  }

  /** Enters a nested request. Returns a promise that reports when somebody waits for it. */
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

  /** Resolves when a request is granted or given up. */
  #turnOf(request: Request, caller: Caller): Promise<unknown> {
    const turn = newPromise()
    if (request.state === 'waiting') {
      request.wake = resolverOfLast()
      this.#watchdog.waits(request, caller)
    } else resolverOfLast()(request)
    return turn
  }

  /**
   * Begins a nested holding. Settles the caller's promise, unless the end of the holding settles it later.
   * `isShown`: whether that promise is already linked to the wait, so that await chains show the caller.
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

  /**
   * Waits until a nested request is granted or given up. The detector may resume this function earlier, to
   * read the await chain. It then waits again.
   */
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
    // The caller's promise is linked to this function: do not return before the holding has settled it.
    if (isShown) await takeEnd(request)
  }

  /** Begins the holding of a request, unless it was given up meanwhile. */
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

  /** @throws the reason why it was given up, or the error that its locks were stolen. */
  #mustBeGranted(request: Request): void {
    const { signal } = request.options
    const isCancelled = signal !== undefined && isAborted(signal)
    // Another listener of the signal may have stopped the event before this manager's.
    if (isCancelled) this.#engine.giveUp(request, reasonOf(signal))
    if (request.state === 'granted') return
    const { failure } = request
    if (failure?.kind === 'stolen') {
      // Stolen and then aborted: the abort wins, since the callback has not begun.
      if (isCancelled) throw reasonOf(signal)
      this.#callbacks.callStolen(request)
    }
    throw failure?.reason
  }

  /** Resolves to a guard after its await chain was read, which shows the code that waits for it. */
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

/** Whether a late backend has refused a request with `ifAvailable`. */
function isNotAvailable({ options, callback, failure }: Request): boolean {
  return (
    options.ifAvailable &&
    callback !== undefined &&
    failure?.reason instanceof LockNotAvailableError
  )
}
