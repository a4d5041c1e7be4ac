/** What is told of a circle of requests, as plain data. */

import { holdersBefore, type Ticket, ticketsOf } from '../backends/local/queues.ts'
import type { WantedLock } from '../core/modes.ts'
import type { DeadlockMember, DeadlockReport } from '../core/report.ts'
import { describeHolder } from './blockers.ts'
import { now } from './clock.ts'
import type { Places } from './places.ts'
import { labelOf, liveHolder, type Request } from './request.ts'
import { locksOf } from './wait-graph.ts'

/** The youngest nested request that waits: the victim of a circle, whoever found it. */
export function victimOf(cycle: readonly Request[]): Request {
  let victim: Request | undefined
  for (const request of cycle) {
    if (request.state !== 'waiting' || liveHolder(request.holder) === undefined) continue
    if (victim === undefined || request.id > victim.id) victim = request
  }
  // There is one: only through a nested request that waits does a circle leave a holder.
  return victim as Request
}

/** A report of a circle in which each waits for the next, the victim first. */
export function reportOf(
  cycle: readonly Request[],
  victim: Request,
  places: Places,
): DeadlockReport {
  const waits = cycle
    .map((request, i) => ({ request, blocker: cycle[(i + 1) % cycle.length] as Request }))
    .filter(({ request }) => request.state === 'waiting')
    .map((wait) => ({ ...wait, wants: waitOf(wait.request, wait.blocker) }))
  const first = waits.findIndex(({ request }) => request === victim)
  const fromVictim = [...waits.slice(first), ...waits.slice(0, first)]
  const members = fromVictim.map(({ request, wants }, i): DeadlockMember => {
    const next = fromVictim[(i + 1) % waits.length]
    const before = fromVictim.at(i - 1)
    const held = locksOf(request.holder)
    const shared = held.filter(({ mode }) => mode === 'shared').map(({ name }) => name)
    return {
      thread: request.id,
      label: labelOf(request),
      holds: held.map(({ name }) => name),
      ...(shared.length > 0 && { holdsShared: shared }),
      heldBy: held.map((lock) => describeHolder(lock, lock.by, places)),
      waitsFor: wants.name,
      ...(wants.mode === 'shared' && { mode: wants.mode }),
      blocker: next?.request.id ?? 0,
      waitedMs: now() - request.since,
      stack: places.of(request),
      ...(before && places.ofHeld(before.blocker, before.wants.name)),
    }
  })
  return {
    kind: 'deadlock',
    between: 'tasks',
    detectedAtMs: now(),
    victim: victim.id,
    cycle: members,
  }
}

/** The lock that a request waits for because of this blocker. */
function waitOf(request: Request, blocker: Request): WantedLock<string> {
  const ticket = [...ticketsOf(request)].find((one) => [...holdersBefore(one)].includes(blocker))
  // There is one: it is through this lock that the circle goes.
  const { name, mode } = ticket as Ticket<Request>
  return { name, mode }
}
