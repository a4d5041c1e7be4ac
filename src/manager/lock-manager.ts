/**
 * The lock manager: request → plan → queues → callback → release.
 *
 * After the Web Locks API (W3C), of which it is a superset: many names in one request, guards, timeouts,
 * labels, and the knowledge of who is asking. The callback never runs inside `request()`: an `abort()`
 * right after it still wins.
 */

import { isGranted, Queues } from '../backends/local/queues.ts'
import {
  type Caller,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
} from '../core/errors.ts'
import { DeclaredOrder } from '../core/order.ts'
import type { Plan } from '../core/plan.ts'
import {
  type Callback,
  type Compare,
  defaultCompare,
  mustBePossible,
  type Options,
  toCallback,
  toOptions,
  toPlan,
  webTypeError,
} from './arguments.ts'
import { Context } from './context.ts'
import { Listeners, type LockEvents } from './events.ts'
import { Guard } from './guard.ts'
import { Lock } from './lock.ts'
import type { AcquireOptions, Names, RequestOptions } from './options.ts'
import { type KeepPlaces, Places, stackAt } from './places.ts'
import { type LockManagerSnapshot, snapshot } from './query.ts'
import { labelOf, liveHolder, Request } from './request.ts'
import { Scope } from './scope.ts'
import { TrackedPromise } from './tracked-promise.ts'
import { warn } from './warn.ts'
import { locksOf, Watch } from './watch.ts'

/** Options of a {@link LockManager}. */
export interface LockManagerOptions {
  /**
   * For how long a deadlock must stand before its victim is rejected, in milliseconds; 0: not at all.
   * It is reported at once in any case. Default: 1000.
   */
  readonly deadlockAfterMs?: number | undefined
  /**
   * Whether to keep a graph of the orders in which locks are taken, and to report a possible deadlock.
   * Default: true. Has no meaning with a declared order, which cannot be broken.
   */
  readonly trackOrder?: boolean | undefined
  /**
   * Of which requests the call stack is kept, for reports: of some (`'sampled'`, about 1 in 128 after
   * the first 128; those that wait inside a holder always), of all (`'always'`, a microsecond or two
   * for each), or of none. Default: `'sampled'`.
   */
  readonly places?: KeepPlaces | undefined
  /** The classes of locks in the order in which they must be taken; see `defineOrder()`. */
  readonly order?: readonly string[] | undefined
}

/** The longest time that a timer can be set for. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Locks by name on one event loop.
 *
 * A request is granted whole or not at all, first come, first served for each name; shared requests run
 * together. Every name belongs to one manager: two managers know nothing of each other.
 */
export class LockManager<Name extends string = string> {
  readonly #queues = new Queues<Request>()
  readonly #context = new Context<Request>()
  readonly #listeners = new Listeners()
  readonly #places: Places
  readonly #watch: Watch
  readonly #order: DeclaredOrder | undefined
  readonly #compare: Compare
  #requests = 0

  /** @throws LockUsageError for an option that cannot be. */
  constructor(options: LockManagerOptions = {}) {
    const { deadlockAfterMs = 1000, trackOrder = true, places = 'sampled', order } = options
    if (typeof deadlockAfterMs !== 'number' || !(deadlockAfterMs >= 0)) {
      throw new LockUsageError(
        `deadlockAfterMs must be a number from 0, not ${String(deadlockAfterMs)}`,
      )
    }
    if (!['sampled', 'always', 'never'].includes(places)) {
      throw new LockUsageError(
        `places must be 'sampled', 'always' or 'never', not ${String(places)}`,
      )
    }
    const declared = order && new DeclaredOrder(order)
    this.#order = declared
    this.#compare = declared ? (a, b) => declared.compare(a, b) : defaultCompare
    this.#places = new Places(places)
    this.#watch = new Watch({
      deadlockAfterMs: Math.min(deadlockAfterMs, LONGEST_MS),
      trackOrder: trackOrder && declared === undefined,
      places: this.#places,
      tell: {
        deadlock: (report) => void this.#listeners.tell('deadlock', report),
        suspected: (report) => this.#tellOrWarn('suspected', report),
        possible: (report) => this.#tellOrWarn('possible', report),
      },
      fail: (request, error) => this.#giveUp(request, error),
    })
  }

  /**
   * Takes one lock or several, calls `callback` with them held, and frees them when what it returned
   * has settled. The promise settles as that does.
   *
   * Inside of a callback a request is *nested*: it waits while its holder holds. The second parameter
   * of the callback makes nested requests where the runtime cannot tell who is asking.
   *
   * Rejects with a `TypeError` or a `NotSupportedError` as Web Locks does, and with the signal's reason
   * when it aborts; with `AbortError` when the locks are stolen. Beyond Web Locks: with LockTimeoutError
   * after `timeoutMs`; DeadlockError as the victim of a deadlock; LockOrderError against a declared
   * order; LockUsageError for a list that is empty or has more than 1,024 names, or for a name of more
   * than 65,536 code units. No lock stays taken after any of them.
   *
   * Cost: a microsecond or less for a free name, and no more for the thousandth waiter than for the
   * first.
   */
  request<Result>(
    names: Names<Name>,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: (RequestOptions & { readonly ifAvailable?: false | undefined }) | null | undefined,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: RequestOptions | null | undefined,
    callback: (lock: Lock | null, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request(...args: unknown[]): Promise<unknown> {
    return this.#request(args, this.#context.current, this.request)
  }

  /**
   * Takes one lock or several for code that cannot be a callback; they are held until the guard is
   * released. A guard that nobody releases holds for ever: prefer {@link request}.
   *
   * Rejects as {@link request} does, and with LockNotAvailableError where `ifAvailable` finds them
   * taken.
   */
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard> {
    return this.#acquire(names, options, this.#context.current, this.acquire)
  }

  /**
   * Takes one lock or several if all of them are free, and answers at once: a guard, or `undefined`.
   *
   * @throws what {@link request} rejects with, for arguments that cannot be.
   */
  tryAcquire(
    names: Names<Name>,
    options?: Pick<AcquireOptions, 'mode' | 'label' | 'warnAfterMs'>,
  ): Guard | undefined {
    return this.#tryAcquire(names, options, this.#context.current, this.tryAcquire)
  }

  /** Who holds and who waits, at this moment: as in Web Locks, and more about each. */
  async query(): Promise<LockManagerSnapshot> {
    return snapshot(this.#queues)
  }

  /**
   * Calls `listener` with every report of a kind; the answer takes it away again. Without a listener,
   * `suspected`, `possible` and `slow` are written as a warning of the process, or to the console.
   */
  on<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    if (typeof listener !== 'function') {
      throw new LockUsageError(`on: expected a function to call with the reports`, this.on)
    }
    return this.#listeners.add(kind, listener)
  }

  get [Symbol.toStringTag](): string {
    return 'LockManager'
  }

  #request(
    args: readonly unknown[],
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    let plan: Plan
    let options: Options
    let callback: Callback
    try {
      if (args.length < 2) throw webTypeError('request: expected a name and a function to call')
      const isShort = args.length === 2
      options = toOptions(isShort ? undefined : args[1])
      plan = toPlan(args[0], options.mode, this.#compare)
      callback = toCallback(isShort ? args[1] : args[2])
      this.#mustBeAllowed(plan, options, holder, caller)
    } catch (error) {
      return Promise.reject(error)
    }
    const request = new Request(++this.#requests, plan, options, liveHolder(holder))
    const promise = this.#promiseOf(request)
    if (options.ifAvailable && !this.#queues.isFree(plan))
      void this.#callWithNull(request, callback)
    else if (this.#enter(request, caller)) void this.#serve(request, callback)
    return promise
  }

  #acquire(
    names: unknown,
    given: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<Guard> {
    let plan: Plan
    let options: Options
    try {
      options = toOptions(given)
      if (options.steal) throw new LockUsageError('acquire: only request() can steal', caller)
      plan = toPlan(names, options.mode, this.#compare)
      this.#mustBeAllowed(plan, options, holder, caller)
      if (options.ifAvailable && !this.#queues.isFree(plan)) throw notAvailable(plan, caller)
    } catch (error) {
      return Promise.reject(error)
    }
    const request = new Request(++this.#requests, plan, options, liveHolder(holder))
    const promise = this.#promiseOf(request) as Promise<Guard>
    if (this.#enter(request, caller)) void this.#serveGuard(request)
    return promise
  }

  #tryAcquire(
    names: unknown,
    given: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    const options = toOptions(given)
    const plan = toPlan(names, options.mode, this.#compare)
    this.#mustBeAllowed(plan, options, holder, caller)
    if (!this.#queues.isFree(plan)) return undefined
    const request = new Request(++this.#requests, plan, options, liveHolder(holder))
    this.#enter(request, caller)
    return this.#guardOf(request)
  }

  /** What the caller gets; of a nested request, one that tells when somebody waits for it. */
  #promiseOf(request: Request): Promise<unknown> {
    const executor = (
      resolve: (value: unknown) => void,
      reject: (reason: unknown) => void,
    ): void => {
      request.resolve = resolve
      request.reject = reject
    }
    if (request.holder === undefined) return new Promise(executor)
    return new TrackedPromise(executor, () => {
      request.isAwaited = true
      if (request.state !== 'ended' && !request.options.detached) this.#watch.check(request)
    })
  }

  /**
   * Enters the queues, with all that belongs to waiting; false where that was the end of it.
   */
  #enter(request: Request, caller: Caller): boolean {
    const { options, plan, holder } = request
    const isNested = holder !== undefined && !options.detached
    this.#places.keepSome(request, caller)
    if (isNested) {
      this.#watch.wanted(request, caller)
      holder.nested = (holder.nested ?? new Set()).add(request)
    }
    request.since = Date.now()
    if (options.steal) this.#steal(request)
    else if (isNested && !this.#queues.isFree(plan)) {
      this.#places.keep(request, caller)
      this.#queues.enter(request, plan, this.#watch.placeIn(request))
    } else this.#queues.enter(request, plan)
    if (request.missing === 0) request.state = 'granted'
    if (options.signal) this.#endOnAbort(request, options.signal)
    if (request.state === 'granted') return true
    return this.#startWaiting(request, caller)
  }

  #startWaiting(request: Request, caller: Caller): boolean {
    const { options } = request
    if (options.timeoutMs !== undefined) {
      this.#places.keep(request, caller)
      const fail = (): void =>
        this.#giveUp(request, timedOut(request, this.#places.of(request), caller))
      if (options.timeoutMs === 0) {
        fail()
        return false
      }
      const timer = setTimeout(fail, Math.min(options.timeoutMs, LONGEST_MS))
      onEndOfWait(request, () => clearTimeout(timer))
    }
    if (options.warnAfterMs !== undefined) {
      const timer = this.#warnAfter(request, options.warnAfterMs)
      onEndOfWait(request, () => clearTimeout(timer))
    }
    return true
  }

  #endOnAbort(request: Request, signal: AbortSignal): void {
    const abort = (): void => this.#giveUp(request, signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    onEndOfWait(request, () => signal.removeEventListener('abort', abort))
  }

  /** Comes before all who wait; those who hold lose all that they have. */
  #steal(request: Request): void {
    const stolenFrom = new Set<Request>()
    for (const { name } of request.plan) {
      // Some who wait for other names may stand among those who hold this one.
      for (let at = this.#queues.get(name)?.first; at?.leads; at = at.after) {
        if (isGranted(at.claim)) stolenFrom.add(at.claim)
      }
    }
    this.#queues.enter(request, request.plan, (queue) => queue.first)
    for (const holder of stolenFrom) {
      const names = holder.plan.map(({ name }) => `'${name}'`).join(', ')
      this.#end(holder)
      holder.reject(
        new DOMException(`request: another request has stolen the lock ${names}`, 'AbortError'),
      )
    }
  }

  /** Waits for the grant, then calls back, in the context of the caller. */
  async #serve(request: Request, callback: Callback): Promise<void> {
    if (request.state === 'waiting') {
      await new Promise<void>((resolve) => {
        request.wake = resolve
      })
    } else await undefined
    if (request.state !== 'granted') return
    this.#begin(request)
    let value: unknown
    try {
      this.#context.enter(request)
      value = await callback(new Lock(request.plan), this.#scopeOf(request))
    } catch (error) {
      this.#end(request)
      request.reject(error)
      return
    }
    this.#end(request)
    request.resolve(value)
  }

  async #serveGuard(request: Request): Promise<void> {
    if (request.state === 'waiting') {
      await new Promise<void>((resolve) => {
        request.wake = resolve
      })
    } else await undefined
    if (request.state === 'granted') request.resolve(this.#guardOf(request))
  }

  async #callWithNull(request: Request, callback: Callback): Promise<void> {
    request.state = 'ended'
    try {
      await undefined
      request.resolve(await callback(null, this.#scopeOf(request.holder)))
    } catch (error) {
      request.reject(error)
    }
  }

  #guardOf(request: Request): Guard {
    this.#begin(request)
    request.guard = new Guard(request, () => this.#end(request))
    return request.guard
  }

  #scopeOf(holder: Request | undefined): Scope<Name> {
    return new Scope<Name>({
      request: (args, caller) => this.#request(args, holder, caller),
      acquire: (names, options, caller) => this.#acquire(names, options, holder, caller),
      tryAcquire: (names, options, caller) => this.#tryAcquire(names, options, holder, caller),
    })
  }

  /** granted → holding */
  #begin(request: Request): void {
    request.state = 'holding'
    request.stopWaiting?.()
    request.stopWaiting = undefined
    const { warnAfterMs } = request.options
    if (warnAfterMs === undefined) return
    request.since = Date.now()
    const timer = this.#warnAfter(request, warnAfterMs)
    request.stopHolding = () => clearTimeout(timer)
  }

  /** waiting or granted → ended, with an error; nothing for one that has begun. */
  #giveUp(request: Request, reason: unknown): void {
    if (request.state !== 'waiting' && request.state !== 'granted') return
    this.#end(request)
    request.reject(reason)
  }

  /** any → ended; nothing for one that has ended. */
  #end(request: Request): void {
    if (request.state === 'ended') return
    request.state = 'ended'
    request.stopWaiting?.()
    request.stopHolding?.()
    request.holder?.nested?.delete(request)
    this.#queues.leave(request)
  }

  /** Refuses what cannot be, or goes against the declared order, before anything is entered. */
  #mustBeAllowed(plan: Plan, options: Options, holder: Request | undefined, caller: Caller): void {
    mustBePossible(plan, options)
    if (options.signal?.aborted) throw options.signal.reason
    if (this.#order === undefined) return
    const ranks = plan.map(({ name }) => (this.#order as DeclaredOrder).rankOf(name))
    if (holder === undefined || options.detached) return
    for (const [{ name }] of locksOf(holder)) {
      const held = this.#order.rankOf(name)
      const at = ranks.findIndex((rank) => rank <= held)
      if (at >= 0) throw against(this.#order, plan[at]?.name ?? '', name, caller)
    }
  }

  #warnAfter(request: Request, afterMs: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(
      () => {
        const blockers = new Set(
          request.tickets.flatMap((ticket) =>
            ticket.leads || !ticket.before ? [] : [labelOf(ticket.before.claim)],
          ),
        )
        this.#tellOrWarn('slow', {
          kind: 'slow',
          state: request.state === 'holding' ? 'holding' : 'waiting',
          label: labelOf(request),
          names: request.plan.map(({ name }) => name),
          lastsMs: Date.now() - request.since,
          blockers: [...blockers],
        })
      },
      Math.min(afterMs, LONGEST_MS),
    )
    ;(timer as { unref?(): void }).unref?.()
    return timer
  }

  #tellOrWarn<Kind extends 'suspected' | 'possible' | 'slow'>(
    kind: Kind,
    report: LockEvents[Kind],
  ): void {
    if (!this.#listeners.tell(kind, report)) warn(report)
  }
}

function onEndOfWait(request: Request, stop: () => void): void {
  const before = request.stopWaiting
  request.stopWaiting = before
    ? () => {
        before()
        stop()
      }
    : stop
}

function notAvailable(plan: Plan, caller: Caller): LockNotAvailableError {
  return new LockNotAvailableError(
    `acquire: ${namesOf(plan)} cannot be had at once, and ifAvailable was asked for`,
    caller,
  )
}

function timedOut(request: Request, place: string, caller: Caller): LockTimeoutError {
  const { plan, options } = request
  const blockers = new Set(
    request.tickets.flatMap(({ leads, before }) =>
      leads || !before ? [] : [`'${before.queue.name}' behind ${labelOf(before.claim)}`],
    ),
  )
  const error = new LockTimeoutError(
    `${namesOf(plan)} could not be had within ${options.timeoutMs} ms: waits for ` +
      `${[...blockers].join(', ')}`,
    caller,
  )
  if (place !== '') error.stack = stackAt(error, place)
  return error
}

function against(
  order: DeclaredOrder,
  wanted: string,
  held: string,
  caller: Caller,
): LockOrderError {
  return new LockOrderError(
    `'${wanted}' was asked for while '${held}' is held, against the declared order ` +
      `(${order.classes.join(' < ')}): take both in one request, or '${wanted}' first`,
    caller,
  )
}

function namesOf(plan: Plan): string {
  const names = plan.slice(0, 10).map(({ name }) => `'${name}'`)
  return names.join(', ') + (plan.length > 10 ? `, … (${plan.length} in all)` : '')
}
