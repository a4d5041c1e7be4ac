/**
 * Keeps the queues from making a deadlock that is none of the user's making.
 *
 * A nested request that is awaited may stand behind somebody who waits for its holder: in a queue that
 * went strictly by age they would wait for each other. So whoever waits for the holder, in whatever way,
 * goes behind the nested request and all whom that waits for. It loses nothing: before the holder has
 * ended it could not have been granted.
 *
 * Why that is enough: afterwards the nested request, and those whom it waits for, stand behind nobody
 * who waits for its holder, so no circle goes through them; and whoever was moved waits for them, not
 * they for it. A circle that is left goes through a deadlock, and that was told.
 *
 * Priority inheritance (Sha, Rajkumar, Lehoczky, 1990) for queues instead of priorities.
 */

import { moveBehind, ticketsOf } from '../backends/local/queues.ts'
import { reachable } from '../explain/cycle.ts'
import type { Request } from './request.ts'
import { holdingsOf, standsBefore, waitsFor } from './wait-graph.ts'

/**
 * Lets a nested request, and all whom it waits for, pass those who wait for its holder. It must not wait
 * for its holder itself: that is a deadlock.
 *
 * Cost: all whom it waits for, all who wait for its holder, and a walk along the queues of the former.
 */
export function letPass(nested: Request, holder: Request): void {
  const waitedFor = reachable([nested], waitsFor)
  const waiting = reachable(holdingsOf(holder), standsBefore)
  for (const request of waitedFor) {
    if (request.state !== 'waiting') continue
    for (const ticket of ticketsOf(request)) {
      let at = ticket.before
      // Those of them that are in nobody's way too: among themselves they stay in their order.
      while (at && !ticket.leads) {
        const { before, claim } = at
        if (claim.state === 'waiting' && waiting.has(claim) && !waitedFor.has(claim)) {
          moveBehind(at, ticket)
        }
        at = before
      }
    }
  }
}
