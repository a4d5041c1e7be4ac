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
import type { Caller } from '../core/errors.ts'
import { siteText } from '../core/holder-text.ts'
import { brief, duration } from '../core/listed.ts'
import { locksIn, namesIn } from '../core/plan.ts'
import { isAborted, onAbort, reasonOf } from './aborts.ts'
import type { Callback, Options } from './arguments.ts'
import { heldSince } from './blockers.ts'
import { callAfter, coarseNow, now, reportIdlyAfter } from './clock.ts'
import { Context } from './context.ts'
import { watchEmptyLoop } from './empty-loop.ts'
import type { LockEvents } from './events.ts'
import { Guard } from './guard.ts'
import { Leaks } from './leaks.ts'
import { Lock } from './lock.ts'
import { LongWaits } from './long-waits.ts'
import type { Places } from './places.ts'
import { stolen, timedOut } from './refusals.ts'
import { labelOf, liveHolder, Request, stopBy } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { TrackedPromise } from './tracked-promise.ts'
import { ManagerWaits } from './waiting.ts'
import { Watch, type WatchOptions } from './watch.ts'

/** What an engine works with. */
export interface EngineOptions extends Omit<WatchOptions, 'fail' | 'tell'> {
  readonly places: Places
  readonly tell: WatchOptions['tell'] & {
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
  readonly #watch: Watch
  readonly #options: EngineOptions
  readonly #warnAfterMs: number | undefined
  readonly #longWaits: LongWaits
  readonly #leaks: Leaks
  /** Set with the first request that waits. */
  #waits: ManagerWaits | undefined
  #requests = 0

  constructor(options: EngineOptions) {
    this.#options = options
    this.#watch = new Watch({
      ...options,
      fail: (request, error) => this.#giveUp(request, error),
    })
    const { places, tell, longWaitMs, warnAfterMs } = options
    const { queues } = this
    this.#warnAfterMs = warnAfterMs
    this.#longWaits = new LongWaits({ longWaitMs, warnAfterMs, queues, places, report: tell.slow })
    this.#leaks = new Leaks({ places, report: tell.leaked })
  }

  /** The holder in whose callback the running code is, as far as the runtime can tell. */
  get holder(): Request | undefined {
    return this.#context.current
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
      const promise = this.#outcomeOf(request, caller)
      if (request.holder === undefined) return promise
      const tracked = new TrackedPromise(take, () => this.#watch.awaited(request))
      const reject = takenReject
      then.call(promise, resolverOfLast(), reject)
      return tracked
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
    if (!this.queues.isFree(plan)) return undefined
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
    if (holder && !holder.nested?.delete(request)) holder.guards?.delete(request)
    request.holder = request.options.detached ? undefined : liveHolder(holder)
    // A call stack that is kept can keep whoever ended, and must not keep all before and after it.
    request.nested = undefined
    request.guards = undefined
    request.place = undefined
    if (nested) this.#handOn(nested, request.holder)
    if (guards) handGuardsOn(guards, request.holder)
    this.queues.leave(request)
    this.#watch.ended(request)
    if (guards) for (const guard of guards) this.#watch.guarded(guard)
    stop?.()
  }

  /** The label of a holding, since when it holds, and where it was asked for. */
  describe(request: Request): string {
    const { places } = this.#options
    const age = duration(now() - heldSince(request))
    return `${brief(labelOf(request))} for ${age}${siteText(places.callSiteOf(request))}`
  }

  /** What a holder has not waited for is the code's around it: that may, and none other can. */
  #handOn(nested: Iterable<Request>, holder: Request | undefined): void {
    for (const request of nested) {
      request.holder = holder
      request.isAwaited = false
      if (holder) holder.nested = (holder.nested ?? new Set()).add(request)
      this.#watch.handedOn(request)
    }
  }

  /** Enters the queues; what the request comes to. */
  #outcomeOf(request: Request, caller: Caller): Promise<unknown> {
    if (request.options.ifAvailable && !this.queues.isFree(request.plan)) {
      request.state = 'ended'
      return then.call(SETTLED, () => this.#callWithNull(request))
    }
    if (this.#enter(request, caller)) {
      const startAtOnce = (): unknown => this.#start(request)
      return then.call(SETTLED, startAtOnce)
    }
    const turn = new OwnPromise(take) as Promise<Request>
    if (request.state === 'waiting') {
      request.wake = resolverOfLast()
      this.#wait(request, caller)
    } else resolverOfLast()(request)
    return then.call(turn, this.#start as (value: unknown) => unknown)
  }

  /** Its turn has come: begins its holding, unless it has given up meanwhile. */
  readonly #start = (request: Request): unknown => {
    const { signal } = request.options
    // A listener of the signal may have kept ours from hearing of it.
    if (signal && isAborted(signal)) this.#giveUp(request, reasonOf(signal))
    if (request.state !== 'granted') {
      if (request.failure?.isTheft) this.#callRobbed(request)
      throw request.failure?.reason
    }
    try {
      this.#begin(request)
    } catch (error) {
      this.end(request)
      throw error
    }
    return request.callback ? this.#callBack(request, request.callback) : this.#guardOf(request)
  }

  #callBack(request: Request, callback: Callback): unknown {
    try {
      this.#context.enter(request)
      const value = callback(new Lock(request.plan), new Scope(this.#options.calls, request))
      if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
        return this.#endWith(request, value)
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
  #callRobbed({ callback, plan, holder }: Request): void {
    try {
      const value = callback?.(new Lock(plan), new Scope(this.#options.calls, holder))
      OwnPromise.resolve(value).catch(() => {})
    } catch {
      // Its promise has been rejected for the theft.
    }
  }

  /** Ends the holding when the value has settled, if it is a promise or another thenable. */
  #endWith(request: Request, thenable: unknown): Promise<unknown> {
    // First, for it can throw.
    const value = OwnPromise.resolve(thenable)
    const outcome = new OwnPromise(take)
    const reject = takenReject
    const resolve = resolverOfLast()
    then.call(
      value,
      // Settled first, so that it is before those of whoever is granted by its end.
      (value) => {
        resolve(value)
        this.end(request)
      },
      (error) => {
        reject(error)
        this.end(request)
      },
    )
    // Last, for what throws before it is nobody's to hear of but the caller's.
    request.reject = reject
    if (request.failure) reject(request.failure.reason)
    return outcome
  }

  #callWithNull({ callback, holder }: Request): unknown {
    return callback?.(null, new Scope(this.#options.calls, holder))
  }

  #guardOf(request: Request): Guard {
    const { holder } = request
    if (holder?.nested?.delete(request)) {
      holder.guards = (holder.guards ?? new Set()).add(request)
      this.#watch.guarded(request)
    }
    const guard = new Guard(request, this)
    this.#leaks.watch(guard)
    return guard
  }

  /** Enters the queues; whether all was free. */
  #enter(request: Request, caller: Caller): boolean {
    const { options, holder } = request
    request.since = coarseNow()
    this.#options.places.keepSome(request, caller)
    if (holder !== undefined && !options.detached) this.#enterNested(request, holder, caller)
    else if (options.steal) this.#steal(request)
    else this.queues.enter(request)
    if (request.missing === 0) request.state = 'granted'
    const { signal } = options
    if (signal) {
      const abort = (): void => this.#giveUp(request, reasonOf(signal))
      stopBy(request, onAbort(signal, abort))
    }
    return request.state === 'granted'
  }

  #enterNested(request: Request, holder: Request, caller: Caller): void {
    const { options } = request
    this.#watch.wanted(request, caller)
    if (holder.nested?.size) holder.hasBranches = true
    else if (!holder.guards?.size) holder.hasBranches = false
    holder.nested = (holder.nested ?? new Set()).add(request)
    if (options.steal) this.#steal(request)
    else this.queues.enter(request)
    if (request.missing === 0) return
    request.since = now()
    this.#options.places.keep(request, caller)
  }

  #wait(request: Request, caller: Caller): void {
    const { places } = this.#options
    const timeoutMs = request.options.timeoutMs ?? this.#options.timeoutMs
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      places.keep(request, caller)
      const fail = (): void => this.#giveUp(request, timedOut(request, timeoutMs, places, caller))
      if (timeoutMs === 0) {
        fail()
        return
      }
      stopBy(request, callAfter(timeoutMs, fail))
    }
    if (request.options.warnAfterMs !== undefined) places.keep(request, caller)
    this.#longWaits.begun(request)
    if (this.#waits === undefined) {
      this.#waits = new ManagerWaits(this.queues, places)
      watchEmptyLoop(this.#waits)
    }
  }

  /** Comes before all who wait; those who hold lose all that they have. */
  #steal(request: Request): void {
    const stolenFrom = new Set<Request>()
    for (const { name } of locksIn(request.plan)) {
      // Some who wait for other names may stand among those who hold this one.
      for (let at = this.queues.get(name)?.first; at?.leads; at = at.after) {
        if (isGranted(at.claim)) stolenFrom.add(at.claim)
      }
    }
    this.queues.enterFirst(request)
    for (const holder of stolenFrom) {
      const error = stolen(holder.plan)
      if (holder.reject) holder.reject(error)
      else holder.failure = { reason: error, isTheft: true }
      this.end(holder)
    }
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

/** Those that were there at the beginning: a program may put others in their place. */
const OwnPromise = globalThis.Promise
const { then } = OwnPromise.prototype
const SETTLED = OwnPromise.resolve()

/** A guard that is out stays so. */
function handGuardsOn(guards: Iterable<Request>, holder: Request | undefined): void {
  for (const guard of guards) {
    guard.holder = holder
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
