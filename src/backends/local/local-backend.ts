/** Locks on one event loop: a manager's default backend. */

import type { LockMode } from '../../core/modes.ts'
import type { LockManagerSnapshot } from '../../core/snapshot.ts'
import type { Backend, BackendRequest, Blocker, LockState } from '../backend.ts'
import { isGranted, planOf, Queues, Ticket } from './queues.ts'
import { rootHolders } from './root-holders.ts'
import { snapshot } from './snapshot.ts'
import { LocalWaitEdges } from './wait-edges.ts'

/**
 * The locks of one manager. Inherits from the queues, so that a request for a free lock needs only one call.
 */
export class LocalBackend<Request extends BackendRequest>
  extends Queues<Request>
  implements Backend<Request>
{
  readonly supports = { steal: true, shared: true }
  readonly waits: LocalWaitEdges<Request> = new LocalWaitEdges()

  attach(): void {}

  node(name: string, mode: LockMode): Ticket<Request> {
    return new Ticket(name, mode)
  }

  acquire(request: Request): boolean {
    if (request.steal) this.#steal(request)
    else this.enter(request)
    return request.missing === 0
  }

  tryAcquire(request: Request): boolean {
    if (!this.isFree(request.plan)) return false
    this.enter(request)
    return true
  }

  cancel(request: Request): void {
    this.release(request)
  }

  blockers(request: Request, name?: string): Blocker<Request>[] {
    return rootHolders(this, request, name)
  }

  locks(): Iterable<LockState<Request>> {
    return this.all()
  }

  lock(name: string): LockState<Request> | undefined {
    return this.get(name)
  }

  query(): LockManagerSnapshot {
    return snapshot(this)
  }

  async close(): Promise<void> {}

  /** Enters before all waiters; the holders lose all their locks. */
  #steal(thief: Request): void {
    const victims = new Set<Request>()
    for (let own: Ticket<Request> | undefined = planOf(thief); own; own = own.next) {
      // Requests that wait for other names may be between the holders of this one.
      let at = this.get(own.name)?.first
      for (; at?.leads; at = at.after) if (isGranted(at.request)) victims.add(at.request)
    }
    this.enterFirst(thief)
    for (const victim of victims) victim.lost({ kind: 'stolen', by: thief })
  }
}
