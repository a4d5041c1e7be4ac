/**
 * Finds the root holders of a wait: the holders that a waiting request waits for, directly or through the
 * chain of waiting requests before it.
 *
 * In each queue the tickets that lead come first, and every ticket that does not lead waits for them. The
 * request of a ticket that leads but is not granted waits in other queues: the search continues there.
 *
 * Cost: for each lock on the chain, the tickets that lead its queue; at most {@link MAX_QUEUES} queues.
 */

import type { LockMode } from '../../core/modes.ts'
import { type BackendRequest, type Blocker, OUTSIDE } from '../backend.ts'
import { isGranted, planOf, type Queue, type Queues, type Ticket } from './queues.ts'

/** The maximum number of queues through which a search follows waiting requests. */
const MAX_QUEUES = 10_000

/** A queue in which a request has to wait. */
interface Wait<Request extends BackendRequest> {
  readonly queue: Queue<Request>
  readonly mode: LockMode
}

/**
 * Returns the root holders of a request that waits, or would have to wait; `name` restricts them to this
 * lock.
 */
export function rootHolders<Request extends BackendRequest>(
  queues: Queues<Request>,
  request: Request,
  name: string | undefined,
): Blocker<Request>[] {
  const waits = request.missing === OUTSIDE ? waitsOfPlan(queues, request) : waitsOf(request)
  const wanted = name === undefined ? waits : waits.filter(({ queue }) => queue.name === name)
  const roots: { readonly wait: Wait<Request>; readonly ticket: Ticket<Request> }[] = []
  const holders = new Map<Queue<Request>, number>()
  const seen = new Set<Queue<Request>>()
  for (const wait of wanted) {
    const todo = [wait.queue]
    for (let queue = todo.pop(); queue; queue = todo.pop()) {
      if (seen.has(queue) || seen.size >= MAX_QUEUES) continue
      seen.add(queue)
      for (let ticket = queue.first; ticket?.leads; ticket = ticket.after) {
        if (isGranted(ticket.request)) {
          roots.push({ wait, ticket })
          holders.set(queue, (holders.get(queue) ?? 0) + 1)
        } else for (const inner of waitsOf(ticket.request)) todo.push(inner.queue)
      }
    }
  }
  return roots.map(({ wait, ticket }) => ({
    name: ticket.name,
    mode: ticket.mode,
    waitsFor: wait.queue.name,
    wanted: wait.mode,
    by: ticket.request,
    holders: holders.get(ticket.queue) ?? 1,
    waiters: ticket.queue.waiting,
  }))
}

/** The queues in which a request does not lead. */
function waitsOf<Request extends BackendRequest>(request: Request): Wait<Request>[] {
  const waits: Wait<Request>[] = []
  for (let at: Ticket<Request> | undefined = planOf(request); at; at = at.next) {
    if (!at.leads) waits.push(at)
  }
  return waits
}

/** The queues in which a request that has not entered would have to wait. */
function waitsOfPlan<Request extends BackendRequest>(
  queues: Queues<Request>,
  request: Request,
): Wait<Request>[] {
  const waits: Wait<Request>[] = []
  for (let at: Ticket<Request> | undefined = planOf(request); at; at = at.next) {
    const queue = queues.get(at.name)
    const isFree = queues.isFree({ name: at.name, mode: at.mode, next: undefined })
    if (queue?.last && !isFree) waits.push({ queue, mode: at.mode })
  }
  return waits
}
