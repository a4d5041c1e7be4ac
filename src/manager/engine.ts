/**
 * The life of a request, from its queues to its end: the one place that moves it from state to state
 * (request.ts has the table).
 *
 * A holding begins in a microtask of its own, never inside of the call that asked for it, and in the
 * asynchronous context of that call. Cost: one promise for the caller and one reaction; one promise
 * more for a callback that has to wait.
 */

import { isGranted, Queues, ticketsOf } from '../backends/local/queues.ts'
import type { Caller } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import { isAborted, onAbort } from './aborts.ts'
import type { Callback, Options } from './arguments.ts'
import { callAfter, callIdlyAfter, coarseNow } from './clock.ts'
import { Context } from './context.ts'
import type { LockEvents } from './events.ts'
import { Guard } from './guard.ts'
import { Lock } from './lock.ts'
import type { Places } from './places.ts'
import { stolen, timedOut } from './refusals.ts'
import { labelOf, liveHolder, Request, stopBy } from './request.ts'
import { Scope, type ScopeCalls } from './scope.ts'
import { TrackedPromise } from './tracked-promise.ts'
import { Watch, type WatchOptions } from './watch.ts'

/** What an engine works with. */
export interface EngineOptions extends Omit<WatchOptions, 'fail' | 'queues' | 'tell'> {
  readonly places: Places
  readonly tell: WatchOptions['tell'] & { slow(report: LockEvents['slow']): void }
  /** What makes the nested requests of callbacks. */
  readonly calls: ScopeCalls<Request | undefined>
}

/** The requests of one manager. */
export class Engine {
  readonly queues: Queues<Request> = new Queues()
  readonly #context = new Context<Request>()
  readonly #watch: Watch
  readonly #options: EngineOptions
  #requests = 0

  constructor(options: EngineOptions) {
    this.#options = options
    this.#watch = new Watch({
      ...options,
      queues: this.queues,
      fail: (request, error) => this.#giveUp(request, error),
    })
  }

  /** The holder in whose callback the running code is, as far as the runtime can tell. */
  get holder(): Request | undefined {
    return this.#context.current
  }

  /** Asks for a plan; what becomes of `callback`, or a guard where there is none. */
  request(
    plan: Plan,
    options: Options,
    callback: Callback | undefined,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    const request = new Request(this.#context, ++this.#requests, plan, options, holder, callback)
    const promise =
      request.holder === undefined
        ? new Promise(take)
        : new TrackedPromise(take, () => this.#watch.awaited(request))
    request.resolve = takenResolve
    request.reject = takenReject
    if (options.ifAvailable && !this.queues.isFree(plan)) void this.#callWithNull(request)
    else if (this.#enter(request, caller)) void SETTLED.then(this.#starterOf(request))
    else if (request.state === 'waiting') this.#wait(request, caller)
    return promise
  }

  /** A guard, if the plan is free. */
  tryAcquire(
    plan: Plan,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    if (!this.queues.isFree(plan)) return undefined
    const request = new Request(this.#context, ++this.#requests, plan, options, holder, undefined)
    this.#enter(request, caller)
    return this.#guardOf(request)
  }

  /** any → ended; nothing for one that has ended. */
  end(request: Request): void {
    if (request.state === 'ended') return
    request.state = 'ended'
    const { holder, stop, nested } = request
    stop?.()
    holder?.nested?.delete(request)
    request.holder = liveHolder(holder)
    if (nested) handOn(nested, request.holder)
    this.queues.leave(request)
  }

  /** What starts its holding, unless it has given up meanwhile. */
  #starterOf(request: Request): () => void {
    const startGranted = (): void => {
      if (request.state !== 'granted') {
        if (request.isRobbed) this.#callRobbed(request)
        return
      }
      // A listener of the signal may have kept ours from hearing of it.
      const { signal } = request.options
      if (signal && isAborted(signal)) this.#giveUp(request, signal.reason)
      else if (request.callback) this.#callBack(request, request.callback)
      else request.resolve(this.#guardOf(request))
    }
    return startGranted
  }

  #callBack(request: Request, callback: Callback): void {
    this.#begin(request)
    let value: unknown
    try {
      this.#context.enter(request)
      value = callback(new Lock(request.plan), new Scope(this.#options.calls, request))
    } catch (error) {
      this.end(request)
      request.reject(error)
      return
    }
    if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
      void this.#endWith(request, value)
    } else {
      this.end(request)
      request.resolve(value)
    }
  }

  /** As Web Locks has it: the callback is called, though its lock was stolen meanwhile. */
  #callRobbed({ callback, plan, holder }: Request): void {
    try {
      const value = callback?.(new Lock(plan), new Scope(this.#options.calls, holder))
      Promise.resolve(value).catch(() => {})
    } catch {
      // Its promise has been rejected for the theft.
    }
  }

  /** Ends the holding when the value has settled, if it is a promise or another thenable. */
  async #endWith(request: Request, thenable: unknown): Promise<void> {
    let value: unknown
    try {
      value = await thenable
    } catch (error) {
      this.end(request)
      request.reject(error)
      return
    }
    this.end(request)
    request.resolve(value)
  }

  async #callWithNull(request: Request): Promise<void> {
    request.state = 'ended'
    try {
      await undefined
      const scope = new Scope(this.#options.calls, request.holder)
      request.resolve(await request.callback?.(null, scope))
    } catch (error) {
      request.reject(error)
    }
  }

  #guardOf(request: Request): Guard {
    this.#begin(request)
    request.isGuard = true
    if (request.holder) this.#watch.guarded(request)
    return new Guard(request, this)
  }

  /** Enters the queues; whether all was free. */
  #enter(request: Request, caller: Caller): boolean {
    const { options, plan, holder } = request
    this.#options.places.keepSome(request, caller)
    request.since = coarseNow()
    if (holder !== undefined && !options.detached) this.#enterNested(request, holder, caller)
    else if (options.steal) this.#steal(request)
    else this.queues.enter(request, plan)
    if (request.missing === 0) request.state = 'granted'
    const { signal } = options
    if (signal) {
      const abort = (): void => this.#giveUp(request, signal.reason)
      stopBy(request, onAbort(signal, abort))
    }
    return request.state === 'granted'
  }

  #enterNested(request: Request, holder: Request, caller: Caller): void {
    const { options, plan } = request
    this.#watch.wanted(request, caller)
    holder.nested = (holder.nested ?? new Set()).add(request)
    if (options.steal) this.#steal(request)
    else this.queues.enter(request, plan)
    if (request.missing > 0) this.#options.places.keep(request, caller)
  }

  #wait(request: Request, caller: Caller): void {
    const { options } = request
    const { places } = this.#options
    request.since = Date.now()
    if (options.timeoutMs !== undefined) {
      places.keep(request, caller)
      const fail = (): void => this.#giveUp(request, timedOut(request, places.of(request), caller))
      if (options.timeoutMs === 0) {
        fail()
        return
      }
      stopBy(request, callAfter(options.timeoutMs, fail))
    }
    if (options.warnAfterMs !== undefined) this.#warnAfter(request, options.warnAfterMs)
    if (request.callback === undefined) {
      // No code of the caller's is called: its context is not needed.
      request.wake = () => void SETTLED.then(this.#starterOf(request))
      return
    }
    const granted = new Promise<unknown>(take)
    request.wake = takenResolve as () => void
    void granted.then(this.#starterOf(request))
  }

  /** Comes before all who wait; those who hold lose all that they have. */
  #steal(request: Request): void {
    const stolenFrom = new Set<Request>()
    for (const { name } of request.plan) {
      // Some who wait for other names may stand among those who hold this one.
      for (let at = this.queues.get(name)?.first; at?.leads; at = at.after) {
        if (isGranted(at.claim)) stolenFrom.add(at.claim)
      }
    }
    this.queues.enterFirst(request, request.plan)
    for (const holder of stolenFrom) {
      holder.isRobbed = holder.state === 'granted'
      this.end(holder)
      holder.reject(stolen(holder.plan))
    }
  }

  /** granted → holding */
  #begin(request: Request): void {
    request.state = 'holding'
    request.stop?.()
    request.stop = undefined
    const { warnAfterMs } = request.options
    if (warnAfterMs !== undefined) this.#warnAfter(request, warnAfterMs)
  }

  /** waiting or granted → ended, with an error; nothing for one that has begun. */
  #giveUp(request: Request, reason: unknown): void {
    if (request.state !== 'waiting' && request.state !== 'granted') return
    this.end(request)
    request.reject(reason)
  }

  /** Tells of a wait, or of a holding, that lasts longer than so many milliseconds from now. */
  #warnAfter(request: Request, afterMs: number): void {
    const from = Date.now()
    const { state } = request
    const warn = (): void => {
      const blockers = new Set<string>()
      for (const { leads, before } of ticketsOf(request)) {
        if (!leads && before) blockers.add(labelOf(before.claim))
      }
      this.#options.tell.slow({
        kind: 'slow',
        state: state === 'holding' ? 'holding' : 'waiting',
        label: labelOf(request),
        names: request.plan.map(({ name }) => name),
        lastsMs: Date.now() - from,
        blockers: [...blockers],
      })
    }
    stopBy(request, callIdlyAfter(afterMs, warn))
  }
}

const SETTLED = Promise.resolve()

/**
 * What a holder has not waited for is the code's around it: that may, and none other can. A guard that
 * is out stays too.
 */
function handOn(nested: Iterable<Request>, holder: Request | undefined): void {
  for (const request of nested) {
    request.holder = holder
    request.isAwaited = false
    if (holder) holder.nested = (holder.nested ?? new Set()).add(request)
  }
}

/**
 * How the promise that was made last is settled. (An executor that is a new closure for each promise
 * costs as much again as the promise.)
 */
let takenResolve: (value: unknown) => void
let takenReject: (reason: unknown) => void

function take(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  takenResolve = resolve
  takenReject = reject
}
