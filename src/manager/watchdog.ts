/**
 * Watches requests while they wait and hold. Ends waits at their time limit. Reports waits and holdings that
 * last long, and waits that can never end because the event loop runs empty.
 */

import type { Backend } from '../backends/backend.ts'
import type { Caller } from '../core/errors.ts'
import { namesIn } from '../core/plan.ts'
import type { CallSites } from './call-sites.ts'
import { callAfter, now, reportIdlyAfter } from './clock.ts'
import type { DeadlockDetector } from './deadlock-detector.ts'
import { watchEmptyLoop } from './empty-loop.ts'
import { ManagerWaits } from './empty-loop-waits.ts'
import { LongWaits } from './long-waits.ts'
import { endOf, notAvailable, timedOut } from './refusals.ts'
import type { Reports } from './reports.ts'
import { type Request, stopBy } from './request.ts'
import { RootHolders } from './root-holders.ts'

/** Options of a {@link Watchdog}. Times are in milliseconds; `LockManagerOptions` explains them. */
export interface WatchdogOptions {
  readonly backend: Backend<Request>
  readonly callSites: CallSites
  readonly reports: Reports
  readonly timeoutMs: number | undefined
  readonly warnAfterMs: number | undefined
  readonly longWaitMs: number
}

/** The watchdog of one manager's requests. */
export class Watchdog {
  readonly #options: WatchdogOptions
  readonly #detector: DeadlockDetector
  readonly #giveUp: (request: Request, reason: unknown) => void
  readonly #roots: RootHolders
  readonly #longWaits: LongWaits
  readonly #warnAfterMs: number | undefined
  /** Set while the event loop is watched: from the first waiting request until none waits. */
  #waits: ManagerWaits | undefined

  constructor(
    options: WatchdogOptions,
    detector: DeadlockDetector,
    giveUp: (request: Request, reason: unknown) => void,
  ) {
    this.#options = options
    this.#detector = detector
    this.#giveUp = giveUp
    this.#warnAfterMs = options.warnAfterMs
    this.#roots = new RootHolders(options.backend, options.callSites)
    this.#longWaits = new LongWaits({ ...options, roots: this.#roots })
  }

  /** Starts to watch a request that begins to wait. */
  waits(request: Request, caller: Caller): void {
    const { warnAfterMs, timeoutMs = this.#options.timeoutMs } = request.options
    if (timeoutMs !== undefined) this.#failAfter(request, timeoutMs, caller)
    if (warnAfterMs !== undefined) this.#options.callSites.keep(request, caller)
    this.#longWaits.begun(request)
    if (this.#waits === undefined) this.#watchEmptyLoop()
  }

  /** Starts to watch a request that begins to hold. */
  holds(request: Request): void {
    const warnAfterMs = request.options.warnAfterMs ?? this.#warnAfterMs
    if (warnAfterMs !== undefined) this.#warnAfter(request, warnAfterMs)
  }

  /** Fails a request with a time limit of 0 that a late backend could not grant at once. */
  outOfTime(request: Request): void {
    this.#fail(request, 0, undefined)
  }

  /** The error for `acquire()` with `ifAvailable`, where some lock is not free. */
  notAvailable(request: Request, caller: Caller): Error {
    return notAvailable(request, this.#roots.describe(request, now()), caller)
  }

  /** Gives a request up after it has waited for this many milliseconds. */
  #failAfter(request: Request, timeoutMs: number, caller: Caller): void {
    if (timeoutMs === Number.POSITIVE_INFINITY) return
    this.#options.callSites.keep(request, caller)
    // A late backend has been asked not to let the request wait.
    if (request.ifAvailable && !this.#roots.isImmediate) return
    const fail = (): void => this.#fail(request, timeoutMs, caller)
    if (timeoutMs === 0) fail()
    else stopBy(request, callAfter(timeoutMs, fail))
  }

  #fail(request: Request, timeoutMs: number, caller: Caller | undefined): void {
    const { callSites } = this.#options
    this.#roots.withAll(
      request,
      () => endOf(request, timeoutMs),
      (holders) => this.#giveUp(request, timedOut(request, timeoutMs, holders, callSites, caller)),
    )
  }

  /** Reports a holding that lasts longer than this many milliseconds from now. */
  #warnAfter(request: Request, afterMs: number): void {
    const { callSites, reports } = this.#options
    const from = now()
    const warn = (): void => {
      reports.slow({
        version: 1,
        kind: 'slow',
        state: 'holding',
        label: request.label,
        names: namesIn(request.plan),
        lastsMs: now() - from,
        ...callSites.callSiteOf(request),
      })
    }
    stopBy(request, reportIdlyAfter(afterMs, warn))
  }

  #watchEmptyLoop(): void {
    const { backend, callSites } = this.#options
    const { guardCycles } = this.#longWaits
    this.#waits = new ManagerWaits(backend, this.#roots, callSites, this.#detector, guardCycles)
    watchEmptyLoop(this.#waits, () => {
      this.#waits = undefined
    })
  }
}
