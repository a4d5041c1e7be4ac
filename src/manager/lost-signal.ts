/**
 * Signals that abort when a holding loses its locks (they are stolen): made when somebody first reads one,
 * so that a holding without one costs nothing.
 */

import { outside } from './context.ts'
import { soon } from './deferred.ts'
import { type Details, withDetails } from './details.ts'

/** Why a request ended before its callback had returned. */
export type Failure = 'given up' | 'stolen' | 'gone'

/** A holding, as far as it must be known here. */
export interface Losable {
  readonly state: string
  /** Why it ended before its time, if it did. */
  readonly failure: { readonly reason: unknown; readonly kind: Failure } | undefined
  details: Details | undefined
}

/** The signal that aborts when a holding loses its locks; aborted already if it has lost them. */
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
 * Aborts the signals of holdings that have lost their locks, in a microtask: its listeners are somebody
 * else's, and none of them runs inside the call that has stolen the locks, or belongs to its holder.
 */
export function reportLost(holdings: Iterable<Losable>): void {
  for (const holding of holdings) {
    const { details, failure } = holding
    const { lost } = details ?? {}
    if (lost) outside(() => void soon(() => lost.abort(failure?.reason)))
  }
}
