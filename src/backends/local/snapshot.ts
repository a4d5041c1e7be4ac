/** The state of all queues as plain data. */

import { type LockInfo, type LockManagerSnapshot, ownClientId } from '../../core/snapshot.ts'
import type { BackendRequest } from '../backend.ts'
import { isGranted, type Queue, type Queues, type Ticket, ticketsOf } from './queues.ts'

/** Returns the state of all queues. Cost: each ticket once, and a sort. */
export function snapshot<Request extends BackendRequest>(
  queues: Queues<Request>,
): LockManagerSnapshot {
  const requests = new Set<Request>()
  const blockers = new Map<Ticket<Request>, Request[]>()
  for (const queue of queues.all()) {
    for (let at = queue.first; at; at = at.after) requests.add(at.request)
    addBlockers(queue, blockers)
  }
  const held: LockInfo[] = []
  const pending: LockInfo[] = []
  for (const request of [...requests].sort((a, b) => a.id - b.id)) {
    const infos = isGranted(request) ? held : pending
    const { callSite } = request
    for (const ticket of ticketsOf(request)) {
      const info = infoOf(ticket, blockers.get(ticket) ?? [])
      infos.push(callSite === undefined ? info : { ...info, callSite })
    }
  }
  return { held, pending }
}

/** Adds, for each ticket that does not lead, the nearest requests before it, in one pass over the queue. */
function addBlockers<Request extends BackendRequest>(
  queue: Queue<Request>,
  blockers: Map<Ticket<Request>, Request[]>,
): void {
  /** The last exclusive request, and the shared ones behind it. */
  let before: Request[] = []
  for (let at = queue.first; at; at = at.after) {
    if (!at.leads) blockers.set(at, at.mode === 'shared' ? before.slice(0, 1) : before.toReversed())
    if (at.mode === 'exclusive') before = [at.request]
    else before.push(at.request)
  }
}

function infoOf<Request extends BackendRequest>(
  { request, mode, queue }: Ticket<Request>,
  blockers: readonly Request[],
): LockInfo {
  return {
    name: queue.name,
    mode,
    clientId: ownClientId(),
    label: request.label,
    since: request.since,
    blockedBy: blockers.map(({ label }) => label),
  }
}
