/**
 * The life of a request, from its queues to its end: the one place that moves it from state to state
 * (request.ts has the table).
 *
 * A holding begins in a microtask of its own, never inside of the call that asked for it, and in the
 * asynchronous context of that call: it is a reaction to a promise, and what it comes to is what the
 * caller gets. Cost: one promise and one reaction; one promise more for a request that has to wait, and
 * one for a callback that goes on after it has returned.
 */

import { isGranted, Queues, type Ticket } from '../backends/local/queues.ts'
import { readAwaitChain } from '../core/await-chain.ts'
import type { Caller } from '../core/errors.ts'
import { brief, duration } from '../core/format.ts'
import { locksIn, namesIn } from '../core/plan.ts'
import { siteText } from '../core/report-text.ts'
import { onAbort } from './aborts.ts'
import type { Callback, Options } from './arguments.ts'
import { callAfter, coarseNow, now, reportIdlyAfter } from './clock.ts'
import { Context, isCarried } from './context.ts'
import { DeadlockDetector, type DetectorOptions } from './deadlock-detector.ts'
import { newDetails, type Settle, withDetails } from './details.ts'
import { watchEmptyLoop } from './empty-loop.ts'
import type { LockEvents } from './events.ts'
import { Guard, holdingOf } from './guard.ts'
import { Leaks } from './leaks.ts'
import { Lock } from './lock.ts'
import { LongWaits } from './long-waits.ts'
import { reportLost } from './lost.ts'
import { OrderChecker, type OrderCheckerOptions } from './order-checker.ts'
import { hasWaiting, isIdle, Owners } from './owners.ts'
import { stolen, timedOut } from './refusals.ts'
import { contextsOf, labelOf, liveHolder, Request, showAwaits, stopBy, takeEnd } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { isAborted, reasonOf } from './signals.ts'
import { TrackedPromise } from './tracked-promise.ts'
import { ManagerWaits } from './waiting.ts'

/** What an engine works with. */
export interface EngineOptions extends Omit<DetectorOptions, 'fail' | 'tell'> {
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
  readonly queues: Queues<Request> = new Queues()
  readonly #context = new Context<Request>()
  readonly #owners = new Owners(this.#context, isCarried)
  readonly #detector: DeadlockDetector
  readonly #order: OrderChecker | undefined
  readonly #options: EngineOptions
  readonly #warnAfterMs: number | undefined
  readonly #longWaits: LongWaits
  readonly #leaks: Leaks
  /** Set with the first request that waits. */
  #waits: ManagerWaits | undefined
  #requests = 0

  constructor(options: EngineOptions) {
    this.#options = options
    this.#order = options.trackOrder ? new OrderChecker(options) : undefined
    this.#detector = new DeadlockDetector({
      ...options,
      fail: (request, error) => this.#giveUp(request, error),
    })
    const { places, tell, longWaitMs, warnAfterMs } = options
    const { queues } = this
    this.#warnAfterMs = warnAfterMs
    this.#longWaits = new LongWaits({ longWaitMs, warnAfterMs, queues, places, report: tell.slow })
    this.#leaks = new Leaks({ queues, places, report: tell.leaked })
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
    plan: Ticket<Request>,
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
    plan: Ticket<Request>,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    if (!this.isFree(plan)) return undefined
    const request = new Request(this.#context, ++this.#requests, plan, options, holder, undefined)
    try {
      this.#enter(request, caller)
      this.#begin(request)
      return this.#guardOf(request)
    } catch (error) {
      this.end(request)
      throw error
    }
  }

  /** any → ended; nothing for one that has ended. */
  end(request: Request): void {
    if (request.state === 'ended') return
    request.state = 'ended'
    const { holder, stop, nested, guards } = request
    request.end = undefined
    if (request.details?.lost === undefined) request.details = undefined
    // A call stack that is kept can keep whoever ended, and must not keep all before and after it.
    request.place = undefined
    if (holder || nested || guards) this.#endNested(request, holder)
    else {
      this.queues.leave(request)
      this.#detector.ended(request)
    }
    stop?.()
  }

  /** The same for one that is nested, or has others nested in it: those are left to the code around. */
  #endNested(request: Request, holder: Request | undefined): void {
    const { nested, guards } = request
    if (holder && !holder.nested?.delete(request)) holder.guards?.delete(request)
    request.holder = request.options.detached ? undefined : liveHolder(holder)
    request.nested = undefined
    request.guards = undefined
    if (nested) this.#handOn(nested, request.holder)
    if (guards) handGuardsOn(guards, request)
    this.queues.leave(request)
    this.#detector.ended(request)
    if (guards) for (const guard of guards) this.#detector.guarded(guard)
    if (holder && isIdle(holder)) this.end(holder)
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
    if (this.#isRefused(request)) return then.call(SETTLED, () => this.#callWithNull(request))
    if (this.#enter(request, caller)) {
      const startAtOnce = (): unknown => this.#start(request)
      return then.call(SETTLED, startAtOnce)
    }
    return then.call(this.#turnOf(request, caller), this.#start as (value: unknown) => unknown)
  }

  /** The same of a nested request: the caller gets a promise that says when somebody waits for it. */
  #outcomeOfNested(request: Request, caller: Caller): Promise<unknown> {
    const onSubscribed = (): Request => {
      this.#detector.awaited(request)
      return request
    }
    const tracked = new TrackedPromise(take, onSubscribed)
    const reject = takenReject
    const settle = newDetails(resolverOfLast(), reject)
    request.details = settle
    if (this.#isRefused(request)) {
      then.call(
        then.call(SETTLED, () => this.#callWithNull(request)),
        settle.resolve,
        settle.reject,
      )
    } else if (this.#enter(request, caller)) {
      const startAtOnce = (): void => this.#startNested(request, settle, false)
      then.call(SETTLED, startAtOnce)
    } else {
      request.end = this.#startAfter(this.#turnOf(request, caller), request, settle)
    }
    return tracked
  }

  /** Whether it must not wait, and would have to. */
  #isRefused(request: Request): boolean {
    if (!request.options.ifAvailable || this.isFree(request.plan)) return false
    request.state = 'ended'
    return true
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

  /** Whether a plan would be granted at once. */
  isFree(plan: Ticket<Request>): boolean {
    if (this.queues.isFree(plan)) return true
    const isLate = locksIn(plan).some(({ name }) => {
      const last = this.queues.get(name)?.last
      return last !== undefined && isAbortedUnheard(last.claim)
    })
    if (isLate) this.giveUpAborted()
    return isLate && this.queues.isFree(plan)
  }

  /** Gives up every request whose abort we have not heard of yet. Cost: every ticket, once. */
  giveUpAborted(): void {
    const aborted = new Set<Request>()
    for (const queue of this.queues.all()) {
      for (let at = queue.first; at; at = at.after) {
        if (isAbortedUnheard(at.claim)) aborted.add(at.claim)
      }
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
    if (request.failure?.isTheft) {
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
      this.end(request)
      if (request.failure) throw request.failure.reason
      return value
    } catch (error) {
      this.end(request)
      throw request.failure ? request.failure.reason : error
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
    const reject = takenReject
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
    request.end = then.call(
      value,
      // Settled first, so that it comes before what its end grants.
      (value) => {
        if (request.guards) noteReturned(request.guards, request, value)
        resolve(value)
        this.end(request)
      },
      (error) => {
        reject(error)
        this.end(request)
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
    else if (options.steal) this.#steal(request, caller)
    else this.queues.enter(request)
    if (request.missing === 0) request.state = 'granted'
    const { signal } = options
    if (signal) {
      const abort = (): void => this.#giveUp(request, reasonOf(signal))
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
    if (options.steal) this.#steal(request, caller)
    else this.queues.enter(request)
    if (request.missing === 0) return
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
    const fail = (): void => this.#giveUp(request, timedOut(request, timeoutMs, places, caller))
    if (timeoutMs === 0) fail()
    else stopBy(request, callAfter(timeoutMs, fail))
  }

  #watchWaits(): void {
    const { queues } = this
    const { guardCycles } = this.#longWaits
    this.#waits = new ManagerWaits(queues, this.#options.places, this.#detector, guardCycles)
    watchEmptyLoop(this.#waits)
  }

  /** Comes before all who wait; those who hold lose all that they have. */
  #steal(request: Request, caller: Caller): void {
    const stolenFrom = new Set<Request>()
    for (const { name } of locksIn(request.plan)) {
      // Some who wait for other names may stand among those who hold this one.
      for (let at = this.queues.get(name)?.first; at?.leads; at = at.after) {
        if (isGranted(at.claim)) stolenFrom.add(at.claim)
      }
    }
    this.queues.enterFirst(request)
    for (const victim of stolenFrom) {
      const error = stolen(victim, request, this.#options.places, caller)
      victim.failure = { reason: error, isTheft: true }
      victim.reject?.(error)
      this.end(victim)
    }
    reportLost(stolenFrom)
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
    this.end(request)
    request.failure = { reason, isTheft: false }
    request.wakeUp()
  }

  /** Reports a holding that lasts longer than so many milliseconds from now. */
  #warnAfter(request: Request, afterMs: number): void {
    const from = now()
    const warn = (): void => {
      this.#options.tell.slow({
        version: 1,
        kind: 'slow',
        state: 'holding',
        label: labelOf(request),
        names: namesIn(request.plan),
        lastsMs: now() - from,
        ...this.#options.places.callSiteOf(request),
      })
    }
    stopBy(request, reportIdlyAfter(afterMs, warn))
  }
}

/** Those that were there at the beginning: a program may put others in their place. */
const OwnPromise = globalThis.Promise
const { then } = OwnPromise.prototype
const SETTLED = OwnPromise.resolve()

/** Enters a request into what its holder waits for. An owner's holder is in what is around it. */
function nestIn(holder: Request, request: Request): void {
  holder.nested = (holder.nested ?? new Set()).add(request)
  if (holder.isOwner && holder.holder) nestIn(holder.holder, holder)
}

/** Whether a request's callback was called inside that of another manager's request. */
function isInOtherManager({ around, context }: Request): boolean {
  let at = around
  while (at !== undefined && at.context === context) at = at.around
  return at !== undefined
}

/** Whether its signal has aborted before it began, and another listener of that is still running. */
function isAbortedUnheard({ state, options }: Request): boolean {
  return state !== 'holding' && options.signal !== undefined && isAborted(options.signal)
}

/** Notes that a callback has returned a guard: the code that waits for the callback has it now. */
function noteReturned(guards: ReadonlySet<Request>, holder: Request, value: unknown): void {
  if (!(value instanceof Guard)) return
  const guard = holdingOf(value) as Request
  if (guards.has(guard)) withDetails(guard).returnedBy = holder
}

/**
 * A guard that is out stays so. A callback that has not returned it may have left it to other code than that
 * around it, so the await chain of its grant no longer counts.
 */
function handGuardsOn(guards: Iterable<Request>, ended: Request): void {
  const { holder } = ended
  for (const guard of guards) {
    guard.holder = holder
    if (guard.details && guard.details.returnedBy !== ended) guard.details.chain = undefined
    if (holder) holder.guards = (holder.guards ?? new Set()).add(guard)
  }
}

/**
 * How the promise that was made last is settled. (An executor that is a new closure for each promise
 * costs as much again as the promise.)
 */
let takenResolve: (value: unknown) => void = nothing
let takenReject: (reason: unknown) => void = nothing

function take(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  takenResolve = resolve
  takenReject = reject
}

/** Takes both away from here: the promise, and what it comes to, are not kept. */
function resolverOfLast(): (value: unknown) => void {
  const resolve = takenResolve
  takenResolve = nothing
  takenReject = nothing
  return resolve
}

function nothing(): void {}
