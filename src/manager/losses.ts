/** Handles requests that fail in the backend, or lose their locks: to a request that steals, or with the backend. */

import type { Loss } from '../backends/backend.ts'
import { type Caller, LockNotAvailableError } from '../core/errors.ts'
import type { CallSites } from './call-sites.ts'
import { reportLost } from './lost-signal.ts'
import { goneFrom, stolen } from './refusals.ts'
import type { Request } from './request.ts'
import type { Watchdog } from './watchdog.ts'

/** The losses of one manager's requests. */
export class Losses {
  readonly #callSites: CallSites
  readonly #watchdog: Watchdog
  readonly #end: (request: Request) => void
  readonly #giveUp: (request: Request, reason: unknown) => void
  /** Set while a request steals: its call, and the requests that have lost their locks to it. */
  #steal: { readonly caller: Caller; readonly victims: Request[] } | undefined

  constructor(
    callSites: CallSites,
    watchdog: Watchdog,
    end: (request: Request) => void,
    giveUp: (request: Request, reason: unknown) => void,
  ) {
    this.#callSites = callSites
    this.#watchdog = watchdog
    this.#end = end
    this.#giveUp = giveUp
  }

  /** Lets the backend grant a request that steals. Aborts the victims' signals when all have ended. */
  steal(caller: Caller, acquire: () => boolean): boolean {
    const victims: Request[] = []
    this.#steal = { caller, victims }
    try {
      return acquire()
    } finally {
      this.#steal = undefined
      reportLost(victims)
    }
  }

  /** Handles a request that the backend will not grant. */
  failed(request: Request, error: Error): void {
    if (request.state !== 'waiting') return
    request.state = 'outside'
    const isOutOfTime = error instanceof LockNotAvailableError && !request.options.ifAvailable
    if (isOutOfTime) this.#watchdog.outOfTime(request)
    else this.#giveUp(request, error)
  }

  /** Handles a request that has lost its locks, or that waits and will not be granted. */
  lost(request: Request, loss: Loss): void {
    if (request.state === 'ended') return
    const steal = this.#steal
    const reason =
      loss.kind === 'stolen'
        ? stolen(request, loss.by, this.#callSites, steal?.caller)
        : goneFrom(request, loss.error, this.#callSites)
    if (request.state === 'waiting') {
      this.#giveUp(request, reason)
      return
    }
    request.failure = { reason, kind: loss.kind }
    request.reject?.(reason)
    this.#end(request)
    if (steal) steal.victims.push(request)
    else reportLost([request])
  }
}
