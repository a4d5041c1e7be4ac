/**
 * The life of a request, from its queues to its end: the one place that moves it from state to state
 * (request.ts has the table).
 *
 * A holding begins in a microtask of its own, never inside of the call that asked for it, and in the
 * asynchronous context of that call: it is a reaction to a promise, and what it comes to is what the
 * caller gets. Cost: one promise and one reaction; one promise more for a request that has to wait, and
 * one for a callback that goes on after it has returned.
 */

import {
  type Backend,
  type BackendHost,
  type Loss,
  OUTSIDE,
  type PlanNode,
} from '../backends/backend.ts'
import { readAwaitChain } from '../core/await-chain.ts'
import type { Caller } from '../core/errors.ts'
import { siteText } from '../core/holder-text.ts'
import { brief, duration } from '../core/listed.ts'
import { locksIn, namesIn, type Plan } from '../core/plan.ts'
import { onAbort } from './aborts.ts'
import type { Callback, Options } from './arguments.ts'
import { showAwaits, takeEnd } from './await-frames.ts'
import { RootHolders } from './blockers.ts'
import { callAfter, coarseNow, now, reportIdlyAfter } from './clock.ts'
import { Context, isCarried } from './context.ts'
import { DeadlockDetector, type DetectorOptions } from './deadlock-detector.ts'
import {
  OwnPromise,
  promiseThen,
  rejecterOfLast,
  resolverOfLast,
  SETTLED,
  take,
} from './deferred.ts'
import { newDetails, type Settle, withDetails } from './details.ts'
import { watchEmptyLoop } from './empty-loop.ts'
import type { LockEvents } from './events.ts'
import { Guard } from './guard.ts'
import { Leaks } from './leaks.ts'
import { Lock } from './lock.ts'
import { LongWaits } from './long-waits.ts'
import { reportLost } from './lost.ts'
import { contextsOf, handGuardsOn, isInOtherManager, nestIn, noteReturned } from './nesting.ts'
import { OrderChecker, type OrderCheckerOptions } from './order-checker.ts'
import { hasWaiting, isIdle, Owners } from './owners.ts'
import { isProvedToWait, prove } from './proof.ts'
import { endOf, goneFrom, notAvailable, stolen, timedOut } from './refusals.ts'
import { labelOf, liveHolder, Request, type RequestHost, stopBy } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { isAborted, reasonOf } from './signals.ts'
import { TrackedPromise } from './tracked-promise.ts'
import { NO_WAITS, WaitGraph } from './wait-graph.ts'
import { ManagerWaits } from './waiting.ts'

/** What an engine works with. */
export interface EngineOptions extends Omit<DetectorOptions, 'fail' | 'tell' | 'graph'> {
  readonly backend: Backend<Request>
  /** Whether to keep an order graph. */
  readonly trackOrder: boolean
  readonly tell: DetectorOptions['tell'] &
    OrderCheckerOptions['tell'] & {
      slow(report: LockEvents['slow']): void
      leaked(report: LockEvents['leaked']): void
    }
  /** The defaults of requests, in milliseconds. */
  readonly timeoutMs: number | undefined
  readonly warnAfterMs: number | undefined
  /** See `LockManagerOptions`. */
  readonly longWaitMs: number
  /** What makes the nested requests of callbacks. */
  readonly calls: ScopeCalls<Request | undefined>
}

/** The requests of one manager. */
export class Engine {
  readonly #backend: Backend<Request>
  /** Whether a release is done when the call returns. */
  readonly #isImmediate: boolean
  readonly #roots: RootHolders
  readonly #context: Context<Request, RequestHost>
  readonly #owners: Owners
  readonly #detector: DeadlockDetector
  readonly #order: OrderChecker | undefined
  readonly #options: EngineOptions
  readonly #warnAfterMs: number | undefined
  readonly #longWaits: LongWaits
  readonly #leaks: Leaks
  /** Set with the first request that waits. */
  #waits: ManagerWaits | undefined
  #requests = 0
  /** While a request steals: its call, and those that have lost their locks to it. */
  #theft: { readonly caller: Caller; readonly victims: Request[] } | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    const { backend, places, tell, longWaitMs, warnAfterMs } = options
    this.#backend = backend
    this.#isImmediate = backend.tryAcquire !== undefined
    this.#context = new Context({
      failed: (request, error) => this.#failed(request, error),
      lost: (request, loss) => this.#lost(request, loss),
    })
    this.#owners = new Owners(this.#context, isCarried)
    this.#roots = new RootHolders(backend, places)
    this.#order = options.trackOrder ? new OrderChecker(options) : undefined
    this.#detector = new DeadlockDetector({
      ...options,
      graph: new WaitGraph(backend.waits ?? NO_WAITS),
      fail: (request, error) => this.#giveUp(request, error),
    })
    this.#warnAfterMs = warnAfterMs
    const roots = this.#roots
    const report = tell.slow
    this.#longWaits = new LongWaits({ longWaitMs, warnAfterMs, backend, roots, places, report })
    this.#leaks = new Leaks({ backend, places, report: tell.leaked })
    backend.attach(this.#host)
  }

  /** What the backend knows of this manager. */
  get #host(): BackendHost<Request> {
    const { deadlockAfterMs, deadlockVictims, tell } = this.#options
    return {
      deadlockAfterMs,
      deadlockVictims,
      report: (report) => tell.deadlock(report),
      prove: async (request) => {
        await prove([request])
        const { holder } = request
        return holder !== undefined && isProvedToWait(holder, request)
      },
    }
  }

  /** The holder in whose callback the running code is, as far as the runtime can tell. */
  get holder(): Request | undefined {
    return this.#context.current
  }

  /**
   * The holder that a request belongs to which is made through a holder's scope: that one, or one nested in
   * it, in whose callback the code runs. `scope` is `undefined` where the scope belongs to no holder.
   */
  holderInScope(scope: Request | undefined): Request | undefined {
    const inner = liveHolder(this.#context.current)
    if (inner === undefined || inner === scope) return scope
    const outer = liveHolder(scope)
    // Nobody knows any more what was nested in a holder that has ended outside of all others.
    if (scope !== undefined && outer === undefined) return scope
    return [...contextsOf(inner)].includes(outer) ? inner : scope
  }

  /** The holder that an owner's request belongs to which is made in the code of another one, or of none. */
  holderOfOwner({ owner, label }: Options, around: Request | undefined): Request | undefined {
    return owner && this.#owners.holderOf(owner, label, around)
  }

  /** Asks for a plan; what becomes of `callback`, or a guard where there is none. */
  request(
    plan: PlanNode,
    options: Options,
    callback: Callback | undefined,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    const request = new Request(this.#context, ++this.#requests, plan, options, holder, callback)
    try {
      return request.holder === undefined
        ? this.#outcomeOf(request, caller)
        : this.#outcomeOfNested(request, caller)
    } catch (error) {
      // Of a signal that is none, or promises that were tampered with. No lock must stay taken.
      this.end(request)
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
    const request = new Request(this.#context, ++this.#requests, plan, options, holder, undefined)
    try {
      if (!this.#tryEnter(request)) return undefined
      this.#enter(request, caller)
      this.#begin(request)
      return this.#guardOf(request)
    } catch (error) {
      this.end(request)
      throw error
    }
  }

  /** any → ended; nothing for one that has ended. A promise settles when its locks are free. */
  end(request: Request): void | Promise<void> {
    const { state } = request
    if (state === 'ended') return undefined
    request.state = 'ended'
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

  #leave(request: Request, state: Request['state']): void | Promise<void> {
    if (request.missing === OUTSIDE) return undefined
    if (state !== 'waiting') return this.#backend.release(request)
    return this.#backend.cancel(request)
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
    if (nested) this.#handOn(nested, request.holder)
    if (guards) handGuardsOn(guards, request)
    const released = this.#leave(request, state)
    this.#detector.ended(request)
    if (guards) for (const guard of guards) this.#detector.guarded(guard)
    if (holder && isIdle(holder)) void this.end(holder)
    return released
  }

  /** The label of a holding, since when it holds, and where it was asked for. */
  describe(request: Request): string {
    const { places } = this.#options
    const age = duration(now() - request.since)
    return `${brief(labelOf(request))} for ${age}${siteText(places.callSiteOf(request))}`
  }

  /** When a holder ends, its unfinished nested requests move to the enclosing holder. */
  #handOn(nested: Iterable<Request>, holder: Request | undefined): void {
    for (const request of nested) {
      request.holder = holder
      if (holder) holder.nested = (holder.nested ?? new Set()).add(request)
      this.#detector.handedOn(request)
    }
  }

  /** Enters the queues; what the request comes to. */
  #outcomeOf(request: Request, caller: Caller): Promise<unknown> {
    if (this.#isRefused(request, caller)) {
      return promiseThen.call(SETTLED, () => this.#callWithNull(request))
    }
    if (this.#enter(request, caller)) {
      const startAtOnce = (): unknown => this.#start(request)
      return promiseThen.call(SETTLED, startAtOnce)
    }
    return promiseThen.call(
      this.#turnOf(request, caller),
      this.#start as (value: unknown) => unknown,
    )
  }

  /** The same of a nested request: the caller gets a promise that says when somebody waits for it. */
  #outcomeOfNested(request: Request, caller: Caller): Promise<unknown> {
    const onSubscribed = (): Request => {
      this.#detector.awaited(request)
      return request
    }
    const tracked = new TrackedPromise(take, onSubscribed)
    const reject = rejecterOfLast()
    const settle = newDetails(resolverOfLast(), reject)
    request.details = settle
    if (this.#isRefused(request, caller)) {
      promiseThen.call(
        promiseThen.call(SETTLED, () => this.#callWithNull(request)),
        settle.resolve,
        settle.reject,
      )
    } else if (this.#enter(request, caller)) {
      const startAtOnce = (): void => this.#startNested(request, settle, false)
      promiseThen.call(SETTLED, startAtOnce)
    } else {
      request.end = this.#startAfter(this.#turnOf(request, caller), request, settle)
    }
    return tracked
  }

  /** Whether it must not wait, and would have to. Where the backend cannot say that at once, it fails later. */
  #isRefused(request: Request, caller: Caller): boolean {
    if (!request.options.ifAvailable || !this.#isImmediate || this.#tryEnter(request)) return false
    request.state = 'ended'
    if (request.callback) return true
    throw notAvailable(request.plan, this.#roots.describe(request, now()), caller)
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
    return true
  }

  /** Whether an abort that we have not heard of would end the wait or the grant of one before a plan. */
  #isAnyUnheard(plan: Plan): boolean {
    return locksIn(plan).some(({ name }) => {
      const newest = this.#backend.lock(name)?.newest
      return newest !== undefined && isAbortedUnheard(newest)
    })
  }

  /** Resolves when it is a request's turn, or it has given up. */
  #turnOf(request: Request, caller: Caller): Promise<unknown> {
    const turn = new OwnPromise(take)
    if (request.state === 'waiting') {
      request.wake = resolverOfLast()
      this.#wait(request, caller)
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

  /** Gives up every request whose abort we have not heard of yet. Cost: every request, once. */
  giveUpAborted(): void {
    const aborted = new Set<Request>()
    for (const lock of this.#backend.locks()) {
      for (const request of lock.holders()) if (isAbortedUnheard(request)) aborted.add(request)
      for (const request of lock.waiters()) if (isAbortedUnheard(request)) aborted.add(request)
    }
    for (const request of aborted) {
      this.#giveUp(request, reasonOf(request.options.signal as AbortSignal))
    }
  }

  /** Its turn has come: begins its holding, unless it has given up meanwhile. */
  readonly #start = (request: Request, settle?: Settle): unknown => {
    if (request.state !== 'granted' || request.options.signal) this.#mustBeGranted(request)
    try {
      this.#begin(request)
    } catch (error) {
      this.end(request)
      throw error
    }
    if (request.callback) return this.#callBack(request, request.callback, settle)
    const guard = this.#guardOf(request)
    if (settle === undefined || request.options.owner !== undefined) return guard
    request.end = this.#settleWithProof(request, guard, settle)
    return undefined
  }

  /** @throws why it was given up, or its locks were stolen. */
  #mustBeGranted(request: Request): void {
    const { signal } = request.options
    const isCancelled = signal !== undefined && isAborted(signal)
    // A listener of the signal may have kept ours from hearing of it.
    if (isCancelled) this.#giveUp(request, reasonOf(signal))
    if (request.state === 'granted') return
    if (request.failure?.kind === 'stolen') {
      // Stolen and then aborted: the abort wins, as the callback has not begun.
      if (isCancelled) throw reasonOf(signal)
      this.#callRobbed(request)
    }
    throw request.failure?.reason
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
      const value = callback(new Lock(request), new Scope(this.#options.calls, request))
      if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
        return this.#endWith(request, value, settle)
      }
      const released = this.end(request)
      if (request.failure) throw request.failure.reason
      return released ? released.then(() => value) : value
    } catch (error) {
      const released = this.end(request)
      const reason = request.failure ? request.failure.reason : error
      if (!released) throw reason
      return released.then(() => Promise.reject(reason))
    }
  }

  /** Ends a holding, and settles its promise when its locks are free, or it is known that they are lost. */
  async #endThen(request: Request, settle: () => void): Promise<void> {
    try {
      await this.end(request)
    } finally {
      settle()
    }
  }

  /** As Web Locks has it: the callback is called, though its lock was stolen meanwhile. */
  #callRobbed(request: Request): void {
    const { callback, holder } = request
    try {
      const value = callback?.(new Lock(request), new Scope(this.#options.calls, holder))
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
        if (!this.#isImmediate) return this.#endThen(request, () => resolve(value))
        resolve(value)
        void this.end(request)
        return undefined
      },
      (error) => {
        if (!this.#isImmediate) return this.#endThen(request, () => reject(error))
        reject(error)
        void this.end(request)
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
    return callback?.(null, new Scope(this.#options.calls, holder))
  }

  #guardOf(request: Request): Guard {
    const { holder } = request
    if (holder?.nested?.delete(request)) {
      holder.guards = (holder.guards ?? new Set()).add(request)
      this.#detector.guarded(request)
    }
    const guard = new Guard(request, this)
    this.#leaks.watch(request, guard)
    return guard
  }

  /** Enters the queues; whether all was free. */
  #enter(request: Request, caller: Caller): boolean {
    const { options, holder } = request
    request.since = coarseNow()
    this.#options.places.keepSome(request, caller)
    if (holder !== undefined && !options.detached) this.#enterNested(request, holder, caller)
    else this.#ask(request, caller)
    const { signal } = options
    if (signal) {
      const abort = (): void => this.#giveUp(request, reasonOf(signal))
      stopBy(request, onAbort(signal, abort, request.state === 'waiting'))
    }
    return request.state === 'granted'
  }

  /** Asks the backend for the locks, unless it has granted them. */
  #ask(request: Request, caller: Caller): void {
    if (request.state === 'granted') return
    const isGranted = request.options.steal
      ? this.#steal(request, caller)
      : this.#backend.acquire(request)
    if (isGranted) request.state = 'granted'
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

  #wait(request: Request, caller: Caller): void {
    const { options } = request
    const { places } = this.#options
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs
    if (timeoutMs !== undefined) this.#failAfter(request, timeoutMs, caller)
    if (options.warnAfterMs !== undefined) places.keep(request, caller)
    this.#longWaits.begun(request)
    if (this.#waits === undefined) this.#watchWaits()
  }

  /** Gives the request up when it has waited for so many milliseconds. */
  #failAfter(request: Request, timeoutMs: number, caller: Caller): void {
    if (timeoutMs === Number.POSITIVE_INFINITY) return
    const { places } = this.#options
    places.keep(request, caller)
    const fail = (): void =>
      this.#roots.withAll(
        request,
        () => endOf(request, timeoutMs),
        (holders) => this.#giveUp(request, timedOut(request, timeoutMs, holders, places, caller)),
      )
    if (timeoutMs === 0) fail()
    else stopBy(request, callAfter(timeoutMs, fail))
  }

  #watchWaits(): void {
    const { backend, places } = this.#options
    const { guardCycles } = this.#longWaits
    this.#waits = new ManagerWaits(backend, this.#roots, places, this.#detector, guardCycles)
    watchEmptyLoop(this.#waits)
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

  /** The backend has lost what a request was granted. */
  #lost(request: Request, loss: Loss): void {
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

  /** The backend will not grant a request. */
  #failed(request: Request, error: Error): void {
    if (request.state !== 'waiting') return
    request.missing = OUTSIDE
    this.#giveUp(request, error)
  }

  /** granted → holding */
  #begin(request: Request): void {
    request.state = 'holding'
    request.stop?.()
    request.stop = undefined
    const warnAfterMs = request.options.warnAfterMs ?? this.#warnAfterMs
    if (warnAfterMs !== undefined) this.#warnAfter(request, warnAfterMs)
  }

  /** waiting or granted → ended, with an error; nothing for one that has begun. */
  #giveUp(request: Request, reason: unknown): void {
    if (request.state !== 'waiting' && request.state !== 'granted') return
    void this.end(request)
    request.failure = { reason, kind: 'given up' }
    request.wakeUp()
  }

  /** Reports a holding that lasts longer than so many milliseconds from now. */
  #warnAfter(request: Request, afterMs: number): void {
    const from = now()
    const warn = (): void => {
      this.#options.tell.slow({
        kind: 'slow',
        state: 'holding',
        label: labelOf(request),
        names: namesIn(request.plan),
        lastsMs: now() - from,
        ...this.#options.places.callSiteOf(request),
        blockers: [],
      })
    }
    stopBy(request, reportIdlyAfter(afterMs, warn))
  }
}

/** Whether its signal has aborted before it began, and another listener of that is still running. */
function isAbortedUnheard({ state, options }: Request): boolean {
  return state !== 'holding' && options.signal !== undefined && isAborted(options.signal)
}
