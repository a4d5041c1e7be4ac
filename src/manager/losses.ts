/** Handles requests that lose their locks: another request steals them, or the backend loses them. */

import type { Loss } from '../backends/backend.ts'
import type { Caller } from '../core/errors.ts'
import type { CallSites } from './call-sites.ts'
import { reportLost } from './lost-signal.ts'
import { goneFrom, stolen } from './refusals.ts'
import type { Request } from './request.ts'

/** The losses of one manager's requests. */
export class Losses {
  readonly #callSites: CallSites
  readonly #end: (request: Request) => void
  readonly #giveUp: (request: Request, reason: unknown) => void
  /** Set while a request steals: its call, and the requests that have lost their locks to it. */
  #steal: { readonly caller: Caller; readonly victims: Request[] } | undefined

  constructor(
    callSites: CallSites,
    end: (request: Request) => void,
    giveUp: (request: Request, reason: unknown) => void,
  ) {
    this.#callSites = callSites
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
