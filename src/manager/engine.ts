/**
 * The life of a request, from its queues to its end: the one place that moves it from state to state
 * (request.ts has the table).
 */

import type { Backend, Loss, PlanNode } from '../backends/backend.ts'
import type { Caller } from '../core/errors.ts'
import type { LockEventKind, Observer } from '../core/events.ts'
import { locksIn } from '../core/plan.ts'
import { onAbort } from './aborts.ts'
import type { Callback, Options } from './arguments.ts'
import { coarseNow, now } from './clock.ts'
import { Context } from './context.ts'
import { DeadlockDetector, type DeadlockVictims } from './deadlock-detector.ts'
import { withDetails } from './details.ts'
import { Guard } from './guard.ts'
import { Leaks } from './leaks.ts'
import { reportLost } from './lost.ts'
import { handGuardsOn, handOn, nestIn } from './nesting.ts'
import { OrderChecker } from './order-checker.ts'
import { Outcomes, type Transitions } from './outcomes.ts'
import { hasWaiting, isIdle } from './owners.ts'
import { isProvedToWait, prove } from './proof.ts'
import { goneFrom, stolen } from './refusals.ts'
import { liveHolder, Request, type RequestHost, stopBy } from './request.ts'
import type { ScopeCalls } from './scope.ts'
import { isAborted, reasonOf } from './signals.ts'
import { NO_WAITS, WaitGraph } from './wait-graph.ts'
import { Watch, type WatchOptions } from './watch.ts'

/** What an engine works with. `LockManagerOptions` explains what is not explained here. */
export interface EngineOptions extends WatchOptions {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: DeadlockVictims
  /** Whether to keep an order graph. */
  readonly trackOrder: boolean
}

/** The requests of one manager. */
export class Engine implements Transitions, RequestHost {
  readonly #options: EngineOptions
  readonly #backend: Backend<Request>
  readonly #detector: DeadlockDetector
  readonly #order: OrderChecker | undefined
  readonly #watch: Watch
  readonly #leaks: Leaks
  readonly #outcomes: Outcomes
  #requests = 0
  /** While a request steals: its call, and those that have lost their locks to it. */
  #theft: { readonly caller: Caller; readonly victims: Request[] } | undefined

  readonly isImmediate: boolean
  readonly context: Context<Request, RequestHost> = new Context(this)
  /** Gets every event, if somebody wants them. */
  observer: Observer | undefined = undefined

  /** `calls`: what the scopes of callbacks call. */
  constructor(options: EngineOptions, calls: ScopeCalls) {
    const { backend, reports, trackOrder } = options
    const giveUp = (request: Request, reason: unknown): void => this.giveUp(request, reason)
    const graph = new WaitGraph(backend.waits ?? NO_WAITS)
    this.#options = options
    this.#backend = backend
    this.isImmediate = backend.tryAcquire !== undefined
    this.#order = trackOrder ? new OrderChecker(options) : undefined
    this.#detector = new DeadlockDetector({ ...options, graph, fail: giveUp })
    this.#watch = new Watch(options, this.#detector, giveUp)
    this.#leaks = new Leaks(options)
    this.#outcomes = new Outcomes(this, this.context, calls)
    const { deadlockAfterMs, deadlockVictims } = options
    backend.attach({
      deadlockAfterMs,
      deadlockVictims,
      report: (report) => reports.deadlock(report),
      prove: isHolderProvedToWait,
    })
  }

  /** Asks for a plan; what becomes of `callback`, or a guard where there is none. */
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
      // Of a signal that is none, or promises that were tampered with. No lock must stay taken.
      void this.end(request)
      throw error
    }
  }

  /** A guard, if the plan is free. */
  tryAcquire(
    plan: PlanNode,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    const request = new Request(this.context, ++this.#requests, plan, options, holder, undefined)
    if (this.observer) this.observe('requested', request)
    try {
      if (!this.#tryEnter(request)) {
        void this.end(request)
        return undefined
      }
      this.enter(request, caller)
      this.begin(request)
      return this.guardOf(request)
    } catch (error) {
      void this.end(request)
      throw error
    }
  }

  enter(request: Request, caller: Caller): boolean {
    const { options, holder } = request
    request.since = coarseNow()
    this.#options.places.keepSome(request, caller)
    if (holder !== undefined && !options.detached) this.#enterNested(request, holder, caller)
    else this.#ask(request, caller)
    const { signal } = options
    if (signal) {
      const abort = (): void => this.giveUp(request, reasonOf(signal))
      stopBy(request, onAbort(signal, abort, request.state === 'waiting'))
    }
    return request.state === 'granted'
  }

  #enterNested(request: Request, holder: Request, caller: Caller): void {
    const { options } = request
    this.#order?.wanted(request, caller)
    if (options.owner ? hasWaiting(holder) : holder.nested?.size) {
      withDetails(holder).hasBranches = true
    } else if (holder.details && !holder.guards?.size) holder.details.hasBranches = false
    nestIn(holder, request)
    this.#ask(request, caller)
    if (request.state === 'granted') return
    request.since = now()
    this.#options.places.keep(request, caller)
  }

  /** waiting → granted, if the backend grants it now, or has done so. */
  #ask(request: Request, caller: Caller): void {
    if (request.state === 'granted') return
    const isGranted = request.options.steal
      ? this.#steal(request, caller)
      : this.#backend.acquire(request)
    if (isGranted) request.state = 'granted'
    if (this.observer) this.observe(isGranted ? 'granted' : 'waiting', request)
  }

  /** waiting → granted, if that is possible now. */
  #tryEnter(request: Request): boolean {
    const backend = this.#backend
    if (!backend.tryAcquire?.(request)) {
      if (!this.#isAnyUnheard(request.plan)) return false
      this.giveUpAborted()
      if (!backend.tryAcquire?.(request)) return false
    }
    request.state = 'granted'
    if (this.observer) this.observe('granted', request)
    return true
  }

  /** Where the backend cannot say that at once, the request fails later. */
  isRefused(request: Request, caller: Caller): boolean {
    if (!request.options.ifAvailable || !this.isImmediate || this.#tryEnter(request)) return false
    if (request.callback === undefined) throw this.#watch.notAvailable(request, caller)
    void this.end(request)
    return true
  }

  /** Comes before all who wait; those who hold lose all that they have. */
  #steal(request: Request, caller: Caller): boolean {
    const victims: Request[] = []
    this.#theft = { caller, victims }
    try {
      return this.#backend.acquire(request)
    } finally {
      this.#theft = undefined
      reportLost(victims)
    }
  }

  wait(request: Request, caller: Caller): void {
    this.#watch.waits(request, caller)
  }

  awaited(request: Request): void {
    this.#detector.awaited(request)
  }

  begin(request: Request): void {
    request.state = 'holding'
    request.stop?.()
    request.stop = undefined
    this.#watch.holds(request)
  }

  guardOf(request: Request): Guard {
    const { holder } = request
    if (holder?.nested?.delete(request)) {
      holder.guards = (holder.guards ?? new Set()).add(request)
      this.#detector.guarded(request)
    }
    const guard = new Guard(request, this)
    this.#leaks.watch(request, guard)
    return guard
  }

  /** waiting or granted → ended, with an error; nothing for one that has begun. */
  giveUp(request: Request, reason: unknown): void {
    if (request.state !== 'waiting' && request.state !== 'granted') return
    void this.end(request)
    request.failure = { reason, kind: 'given up' }
    request.wakeUp()
  }

  failed(request: Request, error: Error): void {
    if (request.state === 'waiting') this.giveUp(request, error)
  }

  lost(request: Request, loss: Loss): void {
    if (request.state === 'ended' || request.state === 'waiting') return
    const { places } = this.#options
    const theft = this.#theft
    const reason =
      loss.kind === 'stolen'
        ? stolen(request, loss.by as Request, places, theft?.caller)
        : goneFrom(request, loss.error, places)
    request.failure = { reason, kind: loss.kind }
    request.reject?.(reason)
    void this.end(request)
    if (theft) theft.victims.push(request)
    else reportLost([request])
  }

  /** any → ended; nothing for one that has ended. A promise settles when its locks are free. */
  end(request: Request): void | Promise<void> {
    const { state } = request
    if (state === 'ended') return undefined
    request.state = 'ended'
    if (this.observer) this.observe(endingOf(request, state), request)
    const { holder, stop, nested, guards } = request
    request.end = undefined
    if (request.details?.lost === undefined) request.details = undefined
    // A call stack that is kept can keep whoever ended, and must not keep all before and after it.
    request.place = undefined
    let released: void | Promise<void>
    if (holder || nested || guards) released = this.#endNested(request, holder, state)
    else {
      released = this.#leave(request, state)
      this.#detector.ended(request)
    }
    stop?.()
    return released
  }

  /** The same for one that is nested, or has others nested in it: those are left to the code around. */
  #endNested(
    request: Request,
    holder: Request | undefined,
    state: Request['state'],
  ): void | Promise<void> {
    const { nested, guards } = request
    if (holder && !holder.nested?.delete(request)) holder.guards?.delete(request)
    request.holder = request.options.detached ? undefined : liveHolder(holder)
    request.nested = undefined
    request.guards = undefined
    if (nested) handOn(nested, request.holder, this.#detector)
    if (guards) handGuardsOn(guards, request)
    const released = this.#leave(request, state)
    this.#detector.ended(request)
    if (guards) for (const guard of guards) this.#detector.guarded(guard)
    if (holder && isIdle(holder)) void this.end(holder)
    return released
  }

  #leave(request: Request, state: Request['state']): void | Promise<void> {
    if (state === 'waiting') return this.#backend.cancel(request)
    return this.#backend.release(request)
  }

  /** Gives up every request whose abort we have not heard of yet. Cost: every request, once. */
  giveUpAborted(): void {
    const aborted = new Set<Request>()
    for (const lock of this.#backend.locks()) {
      for (const request of lock.holders()) if (isAbortedUnheard(request)) aborted.add(request)
      for (const request of lock.waiters()) if (isAbortedUnheard(request)) aborted.add(request)
    }
    for (const request of aborted) {
      this.giveUp(request, reasonOf(request.options.signal as AbortSignal))
    }
  }

  /** Whether an abort that we have not heard of would end the wait or the grant of one before a plan. */
  #isAnyUnheard(plan: PlanNode): boolean {
    return locksIn(plan).some(({ name }) => {
      const newest = this.#backend.lock(name)?.newest
      return newest !== undefined && isAbortedUnheard(newest)
    })
  }

  observe(kind: LockEventKind, request: Request): void {
    const { id, holder, options, plan } = request
    this.observer?.({
      kind,
      atMs: now(),
      id,
      parent: holder?.id,
      label: options.label,
      locks: locksIn(plan).map(({ name, mode }) => ({ name, mode, units: 1 })),
    })
  }
}

/** Whether its signal has aborted before it began, and another listener of that is still running. */
function isAbortedUnheard({ state, options }: Request): boolean {
  return state !== 'holding' && options.signal !== undefined && isAborted(options.signal)
}

/** What the end of a request is, for an observer. */
function endingOf({ failure }: Request, state: Request['state']): LockEventKind {
  if (failure) return 'lost'
  return state === 'holding' ? 'released' : 'cancelled'
}

async function isHolderProvedToWait(request: Request): Promise<boolean> {
  await prove([request])
  const { holder } = request
  return holder !== undefined && isProvedToWait(holder, request)
}
