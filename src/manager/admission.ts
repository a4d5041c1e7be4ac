/** Enters requests: asks the backend for their locks, and sets up all that may end the wait. */

import type { Backend, PlanNode } from '../backends/backend.ts'
import type { Caller } from '../core/errors.ts'
import { locksIn } from '../core/plan.ts'
import { onAbort } from './aborts.ts'
import type { CallSites } from './call-sites.ts'
import { coarseNow, now } from './clock.ts'
import { withDetails } from './details.ts'
import type { LateRequests } from './late-requests.ts'
import type { Losses } from './losses.ts'
import { nestIn } from './nesting.ts'
import type { OrderChecker } from './order-checker.ts'
import { type Request, stopBy } from './request.ts'
import { isAborted, reasonOf } from './signals.ts'
import { hasWaiting } from './task-owners.ts'
import type { Watchdog } from './watchdog.ts'

/** The members of the engine that end requests. */
interface Ender {
  readonly isImmediate: boolean
  readonly late: LateRequests | undefined
  giveUp(request: Request, reason: unknown): void
  end(request: Request): void | Promise<void>
}

/** Options of an {@link Admission}. */
export interface AdmissionOptions {
  readonly engine: Ender
  readonly backend: Backend<Request>
  readonly callSites: CallSites
  readonly order: OrderChecker | undefined
  readonly watchdog: Watchdog
  readonly losses: Losses
}

/** Enters the requests of one manager into its backend. */
export class Admission {
  readonly #engine: Ender
  readonly #backend: Backend<Request>
  readonly #callSites: CallSites
  readonly #order: OrderChecker | undefined
  readonly #watchdog: Watchdog
  readonly #losses: Losses

  constructor({ engine, backend, callSites, order, watchdog, losses }: AdmissionOptions) {
    this.#engine = engine
    this.#backend = backend
    this.#callSites = callSites
    this.#order = order
    this.#watchdog = watchdog
    this.#losses = losses
  }

  /** Enters the queues. Returns whether all locks were free. */
  enter(request: Request, caller: Caller): boolean {
    const { options, holder } = request
    request.coarseSince = coarseNow()
    this.#callSites.keepSome(request, caller)
    if (holder !== undefined && !options.detached) this.#enterNested(request, holder, caller)
    else this.#ask(request, caller)
    if (options.signal && request.state !== 'ended') this.#listen(request, options.signal)
    return request.state === 'granted'
  }

  // Separate methods: a function that contains a closure allocates it at every call.

  #listen(request: Request, signal: AbortSignal): void {
    const abort = (): void => this.#engine.giveUp(request, reasonOf(signal))
    stopBy(request, onAbort(signal, abort, request.state === 'waiting'))
  }

  #steal(request: Request, caller: Caller): boolean {
    return this.#losses.steal(caller, () => this.#backend.acquire(request))
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
    request.coarseSince = now()
    this.#callSites.keep(request, caller)
  }

  /**
   * outside → waiting or granted, as the backend answers. Does nothing if the backend has already granted it.
   */
  #ask(request: Request, caller: Caller): void {
    if (request.state === 'granted') return
    const isGranted = request.options.steal
      ? this.#steal(request, caller)
      : this.#backend.acquire(request)
    request.state = isGranted ? 'granted' : 'waiting'
    if (!isGranted) this.#engine.late?.add(request)
    const { host } = request.context
    if (host.observer) host.observe(isGranted ? 'granted' : 'waiting', request)
  }

  /** outside → granted, if that is possible now. */
  tryEnter(request: Request): boolean {
    const backend = this.#backend
    if (!backend.tryAcquire?.(request)) {
      if (!this.#isAnyUnheard(request.plan)) return false
      this.giveUpAborted()
      if (!backend.tryAcquire?.(request)) return false
    }
    request.state = 'granted'
    const { host } = request.context
    if (host.observer) host.observe('granted', request)
    return true
  }

  /**
   * Whether a request that must not wait would have to. False for a late backend: there, the request fails
   * later.
   */
  isRefused(request: Request, caller: Caller): boolean {
    if (!this.#engine.isImmediate || this.tryEnter(request)) return false
    if (request.callback === undefined) throw this.#watchdog.notAvailable(request, caller)
    void this.#engine.end(request)
    return true
  }

  /**
   * Gives up every request whose signal has aborted, even if this manager was not notified yet. Cost: one
   * step for each name of each request.
   */
  giveUpAborted(): void {
    const aborted = new Set<Request>()
    for (const lock of this.#backend.locks()) {
      for (const request of lock.holders()) if (isAbortedUnheard(request)) aborted.add(request)
      for (const request of lock.waiters()) if (isAbortedUnheard(request)) aborted.add(request)
    }
    for (const request of aborted) {
      this.#engine.giveUp(request, reasonOf(request.options.signal as AbortSignal))
    }
  }

  /** Whether the newest request for some name of a plan was aborted, but not given up yet. */
  #isAnyUnheard(plan: PlanNode): boolean {
    return locksIn(plan).some(({ name }) => {
      const newest = this.#backend.lock(name)?.newest
      return newest !== undefined && isAbortedUnheard(newest)
    })
  }
}

/**
 * Whether a signal has aborted before its request began to hold, and the request was not given up yet. This
 * happens while an earlier listener of the signal runs.
 */
function isAbortedUnheard({ state, options }: Request): boolean {
  return state !== 'holding' && options.signal !== undefined && isAborted(options.signal)
}
