/**
 * Looks for cycles that guards without an owner could form: `acquire()` outside of all callbacks, where
 * nobody knows which task has a guard.
 *
 * A waiting request leads to the guards that are in its way. A guard leads to each waiting request that was
 * made after the guard was granted: its task may hold the guard. A cycle of at least two waits is suspected,
 * never proved.
 *
 * Cost: for each guard on the way, the waits outside of callbacks; at most {@link MAX_WAITS} of them.
 */

import type { Queues } from '../backends/local/queues.ts'
import type { GuardCycleMember } from '../core/report.ts'
import { findPath } from '../explain/cycle.ts'
import { describeHolder, heldSince, type Root, rootsOf, waitsOf } from './blockers.ts'
import { now } from './clock.ts'
import type { Places } from './places.ts'
import { labelOf, type Request } from './request.ts'

/** A search looks at this many waits, those of the oldest requests. */
const MAX_WAITS = 1000

/** The shortest cycle through a waiting request; `undefined` where there is none. */
export function guardCycleOf(
  start: Request,
  queues: Queues<Request>,
  places: Places,
): GuardCycleMember[] | undefined {
  if (!isOnItsOwn(start)) return undefined
  const waiting = waitsOutside(queues)
  const guards = new Map<Request, readonly Root[]>()
  const guardsBefore = (request: Request): readonly Root[] => {
    const known = guards.get(request)
    if (known) return known
    const found = rootsOf(waitsOf(request)).filter(({ ticket: { claim } }) => {
      return claim.isGuard && isOnItsOwn(claim)
    })
    guards.set(request, found)
    return found
  }
  /** Whether the task of a waiting request may hold a guard: it was granted before the request was made. */
  const mayHold = (request: Request, { ticket: { claim } }: Root): boolean =>
    claim.id < request.id &&
    heldSince(claim) <= request.since &&
    // A task that waits for its own guard is a mistake of another kind, and every wait would look like it.
    !guardsBefore(request).some((root) => root.ticket.claim === claim)
  function* next(request: Request): Generator<Request> {
    for (const guard of guardsBefore(request)) {
      for (const other of waiting) if (mayHold(other, guard)) yield other
    }
  }
  const path = findPath(start, (request) => request === start, next)
  if (path === undefined) return undefined
  const cycle = path.slice(0, -1)
  /** The guards between each request and the next. */
  const between = cycle.map((request, i) => {
    const following = cycle[(i + 1) % cycle.length] as Request
    return guardsBefore(request).find((root) => mayHold(following, root)) as Root
  })
  return cycle.map((request, i) => {
    const { callSite } = places.callSiteOf(request)
    const held = (between.at(i - 1) as Root).ticket
    return {
      label: labelOf(request),
      waitsFor: (between[i] as Root).wait.queue.name,
      waitedMs: Math.max(0, now() - request.since),
      ...(callSite !== undefined && { callSite }),
      mayHold: describeHolder(held, held.claim, places),
    }
  })
}

/** The oldest waiting requests outside of callbacks. */
function waitsOutside(queues: Queues<Request>): Request[] {
  const waiting = new Set<Request>()
  for (const queue of queues.all()) {
    let inQueue = 0
    for (let at = queue.first; at && inQueue < MAX_WAITS; at = at.after) {
      if (at.leads || !isOnItsOwn(at.claim)) continue
      waiting.add(at.claim)
      inQueue++
    }
  }
  return [...waiting].sort((a, b) => a.id - b.id).slice(0, MAX_WAITS)
}

/** Whether a request was made outside of all callbacks, and has no owner. */
function isOnItsOwn(request: Request): boolean {
  return request.holder === undefined
}
