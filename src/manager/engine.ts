/**
 * The lifecycle of a request, from its queues to its end. The engine sets `holding` and `ended`; admission.ts
 * and `Request.granted()` set `granted`. The holders of owners are begun in task-owners.ts and ended in
 * nesting.ts. request.ts has the table of states.
 */

import { answersAtOnce, type Backend, type PlanNode } from '../backends/backend.ts'
import type { Caller } from '../core/errors.ts'
import type { LockEventKind, Observer } from '../core/events.ts'
import type { Admission } from './admission.ts'
import type { Callback, Options } from './arguments.ts'
import { Callbacks } from './callbacks.ts'
import { Context } from './context.ts'
import type { DeadlockDetector } from './deadlock-detector.ts'
import { type EngineOptions, partsOf } from './engine-parts.ts'
import { endingOf, eventOf } from './event-of.ts'
import { Guard } from './guard.ts'
import { LateRequests } from './late-requests.ts'
import type { Leaks } from './leaks.ts'
import type { Losses } from './losses.ts'
import type { Nesting } from './nesting.ts'
import type { Outcomes, Transitions } from './outcomes.ts'
import { Request, type RequestHost } from './request.ts'
import type { ScopeCalls } from './scope.ts'
import type { Watchdog } from './watchdog.ts'

/** The requests of one manager. */
export class Engine implements Transitions, RequestHost {
  readonly #backend: Backend<Request>
  readonly #detector: DeadlockDetector
  readonly #nesting: Nesting
  readonly #watchdog: Watchdog
  readonly #leaks: Leaks
  readonly #outcomes: Outcomes
  #requests = 0

  /** Whether the backend answers at once. */
  readonly isImmediate: boolean
  /** The requests of a late backend; `undefined` where the backend answers at once. */
  readonly late: LateRequests | undefined
  readonly timeoutMs: number | undefined
  readonly admission: Admission
  readonly losses: Losses
  /** Carries this manager's holders along asynchronous calls. All its requests share it. */
  readonly context: Context<Request, RequestHost> = new Context(this)
  /** Receives every event, if set. */
  observer: Observer | undefined = undefined

  /** `calls`: the manager's methods that the scope of a callback calls. */
  constructor(options: EngineOptions, calls: ScopeCalls) {
    const { backend } = options
    this.#backend = backend
    this.isImmediate = answersAtOnce(backend)
    this.late = this.isImmediate ? undefined : new LateRequests(backend)
    this.timeoutMs = options.timeoutMs
    const parts = partsOf(options, this, new Callbacks(this, this.context, calls))
    this.#detector = parts.detector
    this.#nesting = parts.nesting
    this.#watchdog = parts.watchdog
    this.#leaks = parts.leaks
    this.losses = parts.losses
    this.admission = parts.admission
    this.#outcomes = parts.outcomes
  }

  /** Requests a plan. Resolves to the callback's result, or to a guard if there is no callback. */
  request(
    plan: PlanNode,
    options: Options,
    callback: Callback | undefined,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    const request = new Request(this.context, ++this.#requests, plan, options, holder, callback)
    if (this.observer) this.observe('requested', request)
    try {
      return request.holder === undefined
        ? this.#outcomes.of(request, caller)
        : this.#outcomes.ofNested(request, caller)
    } catch (error) {
      // The request was refused (`ifAvailable`), its signal is invalid, or the program has replaced parts of
      // `Promise`: release all locks.
      void this.end(request)
      throw error
    }
  }

  /** Returns a guard if the plan is free. */
  tryAcquire(
    plan: PlanNode,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    const request = new Request(this.context, ++this.#requests, plan, options, holder, undefined)
    if (this.observer) this.observe('requested', request)
    try {
      if (!this.admission.tryEnter(request)) {
        void this.end(request)
        return undefined
      }
      this.admission.enter(request, caller)
      this.begin(request)
      return this.guardOf(request)
    } catch (error) {
      void this.end(request)
      throw error
    }
  }

  begin(request: Request): void {
    request.state = 'holding'
    if (request.stop) this.#stop(request)
    this.#watchdog.holds(request)
  }

  /** Removes what was set up for the wait. If that throws, the holding ends. */
  #stop(request: Request): void {
    const { stop } = request
    request.stop = undefined
    try {
      stop?.()
    } catch (error) {
      void this.end(request)
      throw error
    }
  }

  guardOf(request: Request): Guard {
    const { holder } = request
    if (holder) this.#nesting.guardIn(holder, request)
    request.newestAtGrant = this.#requests
    const guard = new Guard(request, this)
    this.#leaks.watch(request, guard)
    return guard
  }

  /**
   * outside, waiting or granted → ended, with an error. Does nothing for a request that holds or has ended.
   */
  giveUp(request: Request, reason: unknown): void {
    const { state } = request
    if (state === 'holding' || state === 'ended') return
    void this.end(request)
    request.failure = { reason, kind: 'given up' }
    request.wakeUp()
  }

  /**
   * any → ended. Does nothing for a request that has ended. A returned promise settles when the locks are
   * free.
   */
  end(request: Request): void | Promise<void> {
    const { state } = request
    if (state === 'ended') return undefined
    request.state = 'ended'
    if (this.observer) this.observe(endingOf(request, state), request)
    const { holder, stop, nested, guards } = request
    request.end = undefined
    if (request.details?.lost === undefined) request.details = undefined
    // A kept call stack can keep older requests in memory. Without this, a chain of ended ones would grow.
    request.keptStack = undefined
    const released =
      holder || nested || guards
        ? this.#endNested(request, holder, state)
        : this.#leave(request, state)
    stop?.()
    return released
  }

  /**
   * Ends a request that is nested, or has nested requests or guards. Those move to the enclosing holder.
   */
  #endNested(
    request: Request,
    holder: Request | undefined,
    state: Request['state'],
  ): void | Promise<void> {
    const guards = this.#nesting.handOn(request, holder)
    const released = this.#leave(request, state)
    this.#nesting.afterRelease(guards, holder)
    return released
  }

  /** Removes a request from the backend, if it is there. */
  #leave(request: Request, state: Request['state']): void | Promise<void> {
    let released: Promise<void> | undefined
    if (this.late) released = this.late.leave(request, state)
    else if (state === 'waiting') this.#backend.cancel(request)
    else if (state !== 'outside') void this.#backend.release(request)
    this.#detector.ended(request)
    return released
  }

  releaseOf(request: Request): Promise<void> | undefined {
    return this.late?.releaseOf(request)
  }

  observe(kind: LockEventKind, request: Request): void {
    this.observer?.(eventOf(kind, request))
  }
}
