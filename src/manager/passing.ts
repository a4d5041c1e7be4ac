/**
 * Keeps the queues from making a deadlock that is none of the user's making.
 *
 * A nested request that is awaited may stand behind somebody who waits for its holder: in a queue that
 * went strictly by age they would wait for each other. So whoever waits for the holder, in whatever way,
 * goes behind the nested request and all whom that waits for. As things stand it loses nothing by that:
 * before the holder has ended it cannot be granted. (Where it waits for the holder only through others
 * who go behind too, or who give up, it may have to wait for longer than it had to.)
 *
 * Why that is enough: take the nested request, all whom it waits for, and all whom these still stand
 * behind after the moves. The holder is not among them, or this were a deadlock; nor is anybody who was
 * moved, for those wait for the holder. Every new edge, from the holder or from one who was moved, leads
 * to some of them, and none leads out: so no circle goes through a new edge. The others were looked for
 * when their own edges were new. A circle that is left goes through a deadlock, and that was told.
 *
 * Priority inheritance (Sha, Rajkumar, Lehoczky, 1990) for queues instead of priorities.
 */

import { moveBehind, type Ticket, ticketsOf } from '../backends/local/queues.ts'
import { canReach, reachable } from '../explain/cycle.ts'
import type { Request } from './request.ts'
import { codeOf, standsBehind, waitsFor } from './wait-graph.ts'

/**
 * Lets a nested request, and all whom it waits for, pass those who wait for its holder. It must not wait
 * for its holder itself: that is a deadlock.
 *
 * Cost: all whom it waits for, a walk along their queues, and a search from those who stand in there.
 */
export function letPass(nested: Request, holder: Request): void {
  const waitedFor = reachable([nested], waitsFor)
  const isHolder = (node: Request): boolean => codeOf(node) === holder
  const known = new Map<Request, boolean>()
  const passed = new Set<Request>()
  for (const ticket of waitingTickets(waitedFor)) {
    // From the front, so that of those before each it is known already.
    for (let at = ticket.queue.first; at && at !== ticket; at = at.after) {
      const { claim } = at
      if (claim.state !== 'waiting' || waitedFor.has(claim)) continue
      if (canReach(claim, isHolder, standsBehind, known)) passed.add(claim)
    }
  }
  for (const ticket of waitingTickets(waitedFor)) {
    // Also those of them that are in nobody's way: among themselves they stay in their order.
    for (let at = ticket.before; at && !ticket.leads; ) {
      const { before, claim } = at
      if (passed.has(claim)) moveBehind(at, ticket)
      at = before
    }
  }
}

function* waitingTickets(requests: Iterable<Request>): Generator<Ticket<Request>> {
  for (const request of requests) {
    if (request.state !== 'waiting') continue
    for (const ticket of ticketsOf(request)) if (!ticket.leads) yield ticket
  }
}
