/**
 * Signals that abort when a holding loses its locks. A signal is made when it is first read, so that a
 * holding without one costs nothing.
 */

import { outside } from './context.ts'
import { soon } from './deferred.ts'
import { type Details, withDetails } from './details.ts'

/** Why a request ended before its callback's result had settled, or before its guard was released. */
export type Failure = 'given up' | 'stolen' | 'gone'

/** The members of a holding that are used here. */
export interface Losable {
  readonly state: string
  /** Why it ended early, if it did. */
  readonly failure: { readonly reason: unknown; readonly kind: Failure } | undefined
  details: Details | undefined
}

/** The signal that aborts when a holding loses its locks. It is already aborted if they are lost. */
export function lostSignalOf(holding: Losable): AbortSignal {
  const details = withDetails(holding)
  if (details.lost === undefined) {
    details.lost = new AbortController()
    if (holding.failure && holding.failure.kind !== 'given up')
      details.lost.abort(holding.failure.reason)
  }
  return details.lost.signal
}

/**
 * Aborts the signals of holdings that have lost their locks, in a microtask. Their listeners are foreign
 * code: none may run inside the call that stole the locks, or belong to its holder.
 */
export function reportLost(holdings: Iterable<Losable>): void {
  for (const holding of holdings) {
    const { details, failure } = holding
    const { lost } = details ?? {}
    if (lost) outside(() => void soon(() => lost.abort(failure?.reason)))
  }
}
