/** Makes the event of a transition. */

import type { LockEvent, LockEventKind } from '../core/events.ts'
import { locksIn } from '../core/plan.ts'
import { now } from './clock.ts'
import type { Request } from './request.ts'

/** The event of a request, with the current time. */
export function eventOf(kind: LockEventKind, request: Request): LockEvent {
  const { id, holder, options, plan } = request
  return {
    kind,
    atMs: now(),
    id,
    parent: holder?.id,
    label: options.label,
    locks: locksIn(plan).map(({ name, mode }) => ({ name, mode, units: 1 })),
  }
}

/** The kind of event for a request that ends in the given state. */
export function endingOf({ failure }: Request, state: Request['state']): LockEventKind {
  if (failure) return 'lost'
  return state === 'holding' ? 'released' : 'cancelled'
}
