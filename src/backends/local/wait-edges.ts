/**
 * The edges between the requests in the queues.
 *
 * There are two kinds, as in PostgreSQL (src/backend/storage/lmgr/README, "Deadlock Detection"). A *hard*
 * edge leads from a waiting request to a holder of its lock. A *soft* edge leads to a request that is only
 * before it in the queue. Rearranging the queue can reverse a soft edge.
 */

import type { LockMode } from '../../core/modes.ts'
import type { BackendRequest, Lack, WaitEdges } from '../backend.ts'
import { isGranted, moveBehind, type Ticket, ticketsOf } from './queues.ts'

/** The edges between the requests of one backend. */
export class LocalWaitEdges<Request extends BackendRequest> implements WaitEdges<Request> {
  *hardBlockers(request: Request): Generator<Request> {
    for (const ticket of ticketsOf(request)) yield* holdersBefore(ticket)
  }

  /**
   * In a queue whose requests all have only this one name: the holders. In other queues: the nearest requests
   * before it, and the first holder as a short cut.
   */
  *softBlockers(request: Request): Generator<Request> {
    for (const ticket of ticketsOf(request)) {
      if (ticket.leads) continue
      if (ticket.queue.withOthers === 0) {
        yield* ticket.queue.holders()
        continue
      }
      for (const holder of holdersBefore(ticket)) {
        yield holder
        break
      }
      yield* nearestBefore(ticket)
    }
  }

  *waitersBehind(request: Request): Generator<Request> {
    for (const ticket of ticketsOf(request)) yield* blockedBy(ticket)
  }

  hasWaiters(request: Request): boolean {
    for (const { queue } of ticketsOf(request)) if (queue.last && !queue.last.leads) return true
    return false
  }

  *lacks(request: Request): Generator<Lack<Request>> {
    for (const ticket of ticketsOf(request)) {
      const { name, mode, leads } = ticket
      if (!leads) yield { name, mode, holders: holdersBefore(ticket) }
    }
  }

  rearrange(
    beneficiaries: Iterable<Request>,
    mayBeOvertaken: (request: Request) => boolean,
  ): ReadonlySet<Request> {
    const moving = new Set(beneficiaries)
    const passed = new Set<Request>()
    for (const ticket of waitingTickets(moving)) {
      // Goes from the front, because `mayBeOvertaken` reuses its answers for the requests ahead.
      for (let at = ticket.queue.first; at && at !== ticket; at = at.after) {
        const { request } = at
        if (isGranted(request) || moving.has(request)) continue
        if (mayBeOvertaken(request)) passed.add(request)
      }
    }
    const moved = new Set<Request>()
    for (const ticket of waitingTickets(moving)) {
      // Also moves requests that block nothing, so that the moved requests keep their order.
      for (let at = ticket.before; at && !ticket.leads; ) {
        const { before, request } = at
        if (passed.has(request)) {
          moveBehind(at, ticket)
          moved.add(request)
        }
        at = before
      }
    }
    return moved
  }
}

/**
 * The requests that must leave before a ticket can lead: only the nearest ones, which in turn wait for those
 * before them. None if it leads.
 */
function nearestBefore<Request extends BackendRequest>(ticket: Ticket<Request>): Request[] {
  const nearest: Request[] = []
  if (ticket.leads) return nearest
  for (let at = ticket.before; at; at = at.before) {
    if (at.mode === 'exclusive') {
      nearest.push(at.request)
      break
    }
    if (ticket.mode === 'exclusive') nearest.push(at.request)
  }
  return nearest
}

/** The requests that have this ticket among the nearest before their own. */
function* blockedBy<Request extends BackendRequest>(ticket: Ticket<Request>): Generator<Request> {
  for (let at = ticket.after; at; at = at.after) {
    if (at.mode === 'exclusive') {
      yield at.request
      return
    }
    if (ticket.mode === 'exclusive') yield at.request
  }
}

/** The holders of the name that block a ticket; none if it leads. */
function* holdersBefore<Request extends BackendRequest>(
  ticket: Ticket<Request>,
): Generator<Request> {
  if (ticket.leads) return
  for (let at = ticket.queue.first; at?.leads; at = at.after) {
    if (isInTheWay(ticket.mode, at.mode) && isGranted(at.request)) yield at.request
  }
}

function isInTheWay(wanted: LockMode, held: LockMode): boolean {
  return wanted === 'exclusive' || held === 'exclusive'
}

function* waitingTickets<Request extends BackendRequest>(
  requests: Iterable<Request>,
): Generator<Ticket<Request>> {
  for (const request of requests) {
    if (isGranted(request)) continue
    for (const ticket of ticketsOf(request)) if (!ticket.leads) yield ticket
  }
}
