/**
 * Finds the root holders of a wait: the requests that hold what a waiting request, or the chain of waiting
 * requests before it, waits for.
 *
 * In each queue the tickets that lead come first, and every ticket that does not lead waits for them. A
 * ticket that leads and is not granted waits in other queues: the search goes on there.
 *
 * Cost: for each lock on the way, the tickets that lead its queue; at most {@link MAX_QUEUES} queues.
 */

import { isGranted, type Queue, type Queues, type Ticket } from '../backends/local/queues.ts'
import type { LockMode } from '../core/modes.ts'
import type { Plan } from '../core/plan.ts'
import type { LockHolder, NestedWait, RootHolder } from '../core/report.ts'
import type { Places } from './places.ts'
import { isNestedIn, labelOf, type Request } from './request.ts'
import { codeOf } from './wait-graph.ts'

/** A report describes this many root holders, the oldest of each lock. */
const MAX_DESCRIBED = 10
/** A search follows waiting requests through this many queues. */
const MAX_QUEUES = 10_000

/** A queue in which a request has to wait. */
interface Wait {
  readonly queue: Queue<Request>
  readonly mode: LockMode
}

/** A ticket that is granted, and the wait of the first request for which it is in the way. */
export interface Root {
  readonly wait: Wait
  readonly ticket: Ticket<Request>
}

/** The queues in which a waiting request does not lead. */
export function waitsOf(request: Request): Wait[] {
  const waits: Wait[] = []
  if (request.state !== 'waiting') return waits
  for (let at = request.plan as Ticket<Request> | undefined; at; at = at.next) {
    if (!at.leads) waits.push(at)
  }
  return waits
}

/** The queues in which a plan would have to wait. */
export function waitsOfPlan(queues: Queues<Request>, plan: Plan): Wait[] {
  const waits: Wait[] = []
  for (let at: Plan | undefined = plan; at; at = at.next) {
    const queue = queues.get(at.name)
    if (queue?.last && !queues.isFree({ name: at.name, mode: at.mode, next: undefined })) {
      waits.push({ queue, mode: at.mode })
    }
  }
  return waits
}

/** The root holders of some waits. */
export function rootsOf(waits: readonly Wait[]): Root[] {
  const roots: Root[] = []
  const seen = new Set<Queue<Request>>()
  for (const wait of waits) {
    const queues = [wait.queue]
    for (let queue = queues.pop(); queue; queue = queues.pop()) {
      if (seen.has(queue) || seen.size >= MAX_QUEUES) continue
      seen.add(queue)
      for (let ticket = queue.first; ticket?.leads; ticket = ticket.after) {
        if (isGranted(ticket.claim)) roots.push({ wait, ticket })
        else for (const inner of waitsOf(ticket.claim)) queues.push(inner.queue)
      }
    }
  }
  return roots
}

/**
 * The root holders of some waits as plain data, as they are `at` this time in milliseconds since 1970: one
 * report asks for the time once. `request` is the request that waits.
 */
export function describeRoots(
  waits: readonly Wait[],
  places: Places,
  at: number,
  request?: Request,
): RootHolder[] {
  const roots = rootsOf(waits)
  const holders = new Map<Queue<Request>, number>()
  for (const { ticket } of roots) holders.set(ticket.queue, (holders.get(ticket.queue) ?? 0) + 1)
  return roots.slice(0, MAX_DESCRIBED).map(({ wait, ticket }) => {
    const holder = ticket.claim
    const nested = nestedWaitOf(holder, places, at)
    return {
      ...describeHolder(ticket, holder, places, at),
      waitsFor: { name: wait.queue.name, mode: wait.mode, units: 1 },
      holders: holders.get(ticket.queue) ?? 1,
      waiters: ticket.queue.waiting,
      isAround: request !== undefined && isNestedIn(request, holder),
      nested: nested && nested.request !== request ? nested.wait : null,
    }
  })
}

/** A request that holds a lock, as plain data, `at` this time in milliseconds since 1970. */
export function describeHolder(
  lock: { readonly name: string; readonly mode: LockMode },
  holder: Request,
  places: Places,
  at: number,
): LockHolder {
  const { since } = holder
  return {
    name: lock.name,
    mode: lock.mode,
    units: 1,
    label: labelOf(holder),
    sinceMs: since,
    heldMs: Math.max(0, at - since),
    ...places.callSiteOf(holder, lock.name),
  }
}

/** A nested request that waits and that a holder waits for, or may wait for. */
function nestedWaitOf(
  holder: Request,
  places: Places,
  at: number,
): { readonly request: Request; readonly wait: NestedWait } | undefined {
  for (const request of codeOf(holder)?.nested ?? []) {
    if (request.state !== 'waiting' || request.options.detached) continue
    const [wait] = waitsOf(request)
    if (wait === undefined) continue
    const { callSite } = places.callSiteOf(request)
    const behind = rootsOf([wait]).slice(0, MAX_DESCRIBED)
    return {
      request,
      wait: {
        label: labelOf(request),
        waitsFor: { name: wait.queue.name, mode: wait.mode, units: 1 },
        waitedMs: Math.max(0, at - request.since),
        ...(callSite !== undefined && { callSite }),
        behind: behind.map(({ ticket }) => labelOf(ticket.claim)),
      },
    }
  }
  return undefined
}
