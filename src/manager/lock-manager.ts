/**
 * The lock manager as its users see it: what they pass is checked and converted here, and then is the
 * engine's.
 *
 * After the Web Locks API (W3C), of which it is a superset: many names in one request, guards, timeouts,
 * labels, and the knowledge of who is asking.
 */

import type { Ticket } from '../backends/local/queues.ts'
import { type Caller, LockUsageError } from '../core/errors.ts'
import { show } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import { OptionNames } from '../core/option-names.ts'
import { DeclaredOrder } from '../core/order.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import {
  type Call,
  type Compare,
  defaultCompare,
  mustBeNoCallback,
  mustBePossible,
  type Options,
  toCallback,
  toMs,
  toNames,
  toOptions,
  toPlan,
} from './arguments.ts'
import type { DeadlockVictims } from './deadlock-detector.ts'
import { Engine } from './engine.ts'
import { Listeners, type LockEvents } from './events.ts'
import type { Guard } from './guard.ts'
import { shapeAsIdl } from './idl.ts'
import type { Lock } from './lock.ts'
import type { AcquireOptions, Names, RequestOptions, TryAcquireOptions } from './options.ts'
import { type KeepPlaces, Places } from './places.ts'
import { type LockManagerSnapshot, overview, snapshot } from './query.ts'
import { againstOrder, notAvailable } from './refusals.ts'
import type { Request } from './request.ts'
import type { Scope } from './scope.ts'
import { SeldomSuspected } from './seldom.ts'
import { locksOf } from './wait-graph.ts'
import { warn } from './warn.ts'
import { webTypeError } from './web-type-error.ts'

/** Options of a {@link LockManager}. */
export interface LockManagerOptions {
  /**
   * How long a deadlock must stand before its victim is rejected, in milliseconds; with 0 it is
   * rejected at once, with `Infinity` never. It is reported at once in any case. Default: 1000.
   */
  readonly deadlockAfterMs?: number | undefined
  /**
   * Which deadlocks have a victim: those that are proved (`'proved'`), or also those that are only likely
   * (`'likely'`), where a rejected request is better than one that may wait forever. Default: `'proved'`.
   */
  readonly deadlockVictims?: DeadlockVictims | undefined
  /**
   * Whether to keep a graph of the orders in which locks are taken, and to report a possible deadlock.
   * Default: true. Has no meaning with a declared order, which cannot be broken.
   */
  readonly trackOrder?: boolean | undefined
  /**
   * Of which requests the call stack is kept, for reports: of some (`'sampled'`, one in 10 ms after the
   * first 32; those that wait inside a holder always), of all (`'always'`, some microseconds for each),
   * or of none. Default: `'sampled'`.
   */
  readonly places?: KeepPlaces | undefined
  /**
   * Reports a lock for which a request has waited for so many milliseconds, by the event `slow`: once for
   * each stuck lock, then each time the wait has lasted twice as long. `Infinity`: never. Default: 10,000.
   * Costs one timer for the manager while any request waits.
   */
  readonly longWaitMs?: number | undefined
  /**
   * The `timeoutMs` of requests that have none of their own; a request's own `Infinity` is no limit.
   * Default: no limit. Costs a timer and a call stack for each request that waits.
   */
  readonly timeoutMs?: number | undefined
  /**
   * The `warnAfterMs` of requests that have none of their own; a request's own `Infinity` reports
   * nothing. Default: reports nothing. Costs a timer for each request that is granted.
   */
  readonly warnAfterMs?: number | undefined
  /** The classes of locks in the order in which they must be taken; see `defineOrder()`. */
  readonly order?: readonly string[] | undefined
}

const OPTION_NAMES = new OptionNames([
  'deadlockAfterMs',
  'deadlockVictims',
  'trackOrder',
  'places',
  'order',
  'longWaitMs',
  'timeoutMs',
  'warnAfterMs',
])

const KINDS: readonly (keyof LockEvents)[] = ['deadlock', 'suspected', 'possible', 'slow', 'leaked']

/**
 * Locks by name on one event loop.
 *
 * A request is granted whole or not at all, first come, first served for each name; shared requests run
 * together. Every name belongs to one manager: two managers know nothing of each other.
 */
export class LockManager<Name extends string = string> {
  readonly #listeners = new Listeners()
  readonly #suspected = new SeldomSuspected()
  readonly #order: DeclaredOrder | undefined
  readonly #compare: Compare
  readonly #places: Places
  readonly #engine: Engine

  /** @throws LockUsageError for an option that cannot be. */
  constructor(options: LockManagerOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw new LockUsageError(`LockManager: expected options, not ${show(options)}`)
    }
    OPTION_NAMES.mustKnow(options, 'LockManager')
    const { trackOrder = true, places: keep = 'sampled', order } = options
    const { deadlockVictims = 'proved' } = options
    const deadlockAfterMs = toMs(options.deadlockAfterMs, 'deadlockAfterMs') ?? 1000
    if (!['proved', 'likely'].includes(deadlockVictims)) {
      throw new LockUsageError(
        `deadlockVictims must be 'proved' or 'likely', not ${show(deadlockVictims)}`,
      )
    }
    if (!['sampled', 'always', 'never'].includes(keep)) {
      throw new LockUsageError(`places must be 'sampled', 'always' or 'never', not ${show(keep)}`)
    }
    const places = new Places(keep)
    const declared = order === undefined ? undefined : new DeclaredOrder(order)
    this.#order = declared
    this.#compare = declared ? (a, b) => declared.compare(a, b) : defaultCompare
    this.#places = places
    this.#engine = new Engine({
      deadlockAfterMs,
      deadlockVictims,
      trackOrder: trackOrder && declared === undefined,
      places,
      longWaitMs: toMs(options.longWaitMs, 'longWaitMs') ?? 10_000,
      timeoutMs: toMs(options.timeoutMs, 'timeoutMs'),
      warnAfterMs: toMs(options.warnAfterMs, 'warnAfterMs'),
      tell: {
        deadlock: (report) => {
          // Where there will be no victim, nothing else would ever tell.
          if (deadlockAfterMs === Number.POSITIVE_INFINITY) this.#tellOrWarn('deadlock', report)
          else this.#listeners.tell('deadlock', report)
        },
        suspected: (report) => {
          if (this.#listeners.tell('suspected', report)) return
          const count = this.#suspected.count(report)
          if (count > 0) warn(report, count)
        },
        possible: (report) => this.#tellOrWarn('possible', report),
        slow: (report) => this.#tellOrWarn('slow', report),
        leaked: (report) => this.#tellOrWarn('leaked', report),
      },
      calls: {
        request: ([names, second, ...rest], scope, caller) =>
          this.#request(names, second, rest, this.#engine.holderInScope(scope), caller),
        acquire: ([names, options, third], scope, caller) =>
          this.#acquire(names, options, third, this.#engine.holderInScope(scope), caller),
        tryAcquire: ([names, options, third], scope, caller) =>
          this.#tryAcquire(names, options, third, this.#engine.holderInScope(scope), caller),
      },
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
   * when it aborts; with `AbortError` when the locks are stolen, whose `cause` is a LockLostError then.
   * Beyond Web Locks: with LockTimeoutError after `timeoutMs`; DeadlockError as the victim of a deadlock;
   * LockOrderError against a declared order; LockUsageError for a list that is empty or has more than 1,024
   * names, for a name of more than 65,536 code units, or for a generator function. An option of an unknown
   * name is ignored, with one warning. No lock stays taken after any of them.
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
  request(names: unknown, second: unknown, ...rest: unknown[]): Promise<unknown> {
    if (!LockManager.#isOne(this))
      return Promise.reject(webTypeError('request: this is no LockManager'))
    return this.#request(names, second, rest, this.#engine.holder, this.request)
  }

  /**
   * Takes one lock or several for code that cannot be a callback; they are held until the guard is
   * released. A guard that nobody releases holds for ever (it is reported once it was garbage-collected,
   * by the event `leaked`), and one that was asked for outside of all
   * callbacks, or is `detached`, is nobody's: a deadlock through it is not seen. Prefer {@link request}.
   *
   * Rejects as {@link request} does, with LockNotAvailableError where `ifAvailable` finds them taken, and
   * with LockUsageError for a callback, an unknown option, or names that are no string, lock or array.
   */
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard>
  acquire(names: unknown, options?: unknown, third?: unknown): Promise<Guard> {
    if (!LockManager.#isOne(this))
      return Promise.reject(webTypeError('acquire: this is no LockManager'))
    return this.#acquire(names, options, third, this.#engine.holder, this.acquire)
  }

  /**
   * Takes one lock or several if all of them are free, and answers at once: a guard, or `undefined`.
   *
   * @throws what {@link request} rejects with, for arguments that cannot be.
   */
  tryAcquire(names: Names<Name>, options?: TryAcquireOptions): Guard | undefined
  tryAcquire(names: unknown, options?: unknown, third?: unknown): Guard | undefined {
    return this.#tryAcquire(names, options, third, this.#engine.holder, this.tryAcquire)
  }

  /** Who holds and who waits, at this moment: as in Web Locks, and more about each. */
  async query(): Promise<LockManagerSnapshot> {
    this.#engine.giveUpAborted()
    return snapshot(this.#engine.queues, this.#places)
  }

  /**
   * Calls `listener` with every report of a kind; the answer takes it away again. It is called soon
   * afterwards, in a microtask of its own: what it throws is an uncaught exception, and breaks no request.
   * Without a listener, `suspected`, `possible`, `slow` and `leaked` are written as a warning of the
   * process, or to the console; so is `deadlock` where `deadlockAfterMs` is `Infinity`, and there is no victim.
   */
  on<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    if (!KINDS.includes(kind)) {
      throw new LockUsageError(
        `on: there is no event ${show(kind)}, only ${KINDS.join(', ')}`,
        this.on,
      )
    }
    if (typeof listener !== 'function') {
      throw new LockUsageError(`on: expected a function to call with the reports`, this.on)
    }
    return this.#listeners.add(kind, listener)
  }

  declare readonly [Symbol.toStringTag]: 'LockManager'

  static {
    inspectAs(LockManager.prototype, 'LockManager', (manager) => overview(manager.#engine.queues))
  }

  /** Whether a method was called on a manager: not taken off it, nor called on a proxy of one. */
  static #isOne(value: unknown): boolean {
    return typeof value === 'object' && value !== null && #engine in value
  }

  /** `rest` is empty where there are no options. */
  #request(
    names: unknown,
    second: unknown,
    rest: readonly unknown[],
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    try {
      // In this order, as each can throw, or call the caller's code.
      const wanted = toNames(names, 'request')
      const options = toOptions(rest.length === 0 ? undefined : second, 'request', names)
      const callback = toCallback(rest.length === 0 ? second : rest[0])
      const plan = toPlan<Request>(wanted, options.mode, this.#compare)
      const inside = options.owner ? this.#engine.holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      return this.#engine.request(plan, options, callback, inside, caller)
    } catch (error) {
      return Promise.reject(fromCaller(error, caller))
    }
  }

  #acquire(
    names: unknown,
    given: unknown,
    third: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<Guard> {
    try {
      const { plan, options } = this.#asked('acquire', names, given, third)
      const inside = options.owner ? this.#engine.holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      if (options.ifAvailable && !this.#engine.isFree(plan)) {
        throw notAvailable(plan, this.#engine.queues, this.#places, caller)
      }
      return this.#engine.request(plan, options, undefined, inside, caller) as Promise<Guard>
    } catch (error) {
      return Promise.reject(fromCaller(error, caller))
    }
  }

  #tryAcquire(
    names: unknown,
    given: unknown,
    third: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    try {
      const { plan, options } = this.#asked('tryAcquire', names, given, third)
      const inside = options.owner ? this.#engine.holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      return this.#engine.tryAcquire(plan, options, inside, caller)
    } catch (error) {
      throw fromCaller(error, caller)
    }
  }

  /** The plan and options of `acquire()` or `tryAcquire()`; a third argument can only be a mistake. */
  #asked(
    call: Call,
    names: unknown,
    given: unknown,
    third: unknown,
  ): { readonly plan: Ticket<Request>; readonly options: Options } {
    const wanted = toNames(names, call)
    const options = toOptions(given, call, names)
    if (third !== undefined) mustBeNoCallback(third, call)
    return { plan: toPlan<Request>(wanted, options.mode, this.#compare), options }
  }

  /** Refuses what cannot be, or goes against the declared order, before anything is entered. */
  #mustBeAllowed(plan: Plan, options: Options, holder: Request | undefined, caller: Caller): void {
    mustBePossible(plan, options)
    if (this.#order) this.#mustFollow(this.#order, plan, options, holder, caller)
  }

  /** Refuses names of no declared class, and such as should have been taken before what is held. */
  #mustFollow(
    order: DeclaredOrder,
    plan: Plan,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): void {
    const wanted = namesIn(plan)
    const ranks = wanted.map((name) => order.rankOf(name))
    if (holder === undefined || options.detached) return
    // A plan is in the declared order: its first name has the lowest rank.
    const [lowest = 0] = ranks
    for (const held of locksOf(holder)) {
      if (lowest > order.rankOf(held.name)) continue
      const detachable = options.owner === undefined
      throw againstOrder(order, wanted[0] ?? '', held, this.#places, detachable, caller)
    }
  }

  #tellOrWarn<Kind extends keyof LockEvents>(kind: Kind, report: LockEvents[Kind]): void {
    if (!this.#listeners.tell(kind, report)) warn(report)
  }
}

shapeAsIdl(LockManager, 'LockManager', ['request', 'acquire', 'tryAcquire', 'query', 'on'])

/** Lets the stack of a usage error begin at the caller, whose mistake it is. */
function fromCaller(error: unknown, caller: Caller): unknown {
  try {
    if (!Error.captureStackTrace) return error
    // Also the TypeErrors of Web Locks that we made.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'LOCK_USAGE') return error
    const { stack = '' } = error
    Error.captureStackTrace(error, caller)
    // JavaScriptCore has left the caller by then where that ends in our call, and finds no calls at all.
    if (!String(error.stack).includes('\n')) error.stack = stack
  } catch {
    // `Error.prepareStackTrace` is the user's, and may throw.
  }
  return error
}
