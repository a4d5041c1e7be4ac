/**
 * Reports orders of locks that contradict each other: keeps the order graph of one manager.
 *
 * Cost: nothing for a request that is not nested; the look-ups of the order graph for one that is.
 */

import type { Caller } from '../core/errors.ts'
import { locksIn } from '../core/plan.ts'
import { OrderGraph } from '../graph/order-graph.ts'
import type { Places } from './places.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { locksOf, onlyLockOf } from './wait-graph.ts'

/** Options of an {@link OrderChecker}. */
export interface OrderCheckerOptions {
  readonly places: Places
  readonly reports: Pick<Reports, 'possible'>
}

/** The order graph of one manager, and whose requests go into it. */
export class OrderChecker {
  readonly #options: OrderCheckerOptions
  readonly #order: OrderGraph = new OrderGraph()

  constructor(options: OrderCheckerOptions) {
    this.#options = options
  }

  /** A nested request is about to enter its queues: its locks are wanted while its holder has others. */
  wanted(request: Request, caller: Caller): void {
    const only = onlyLockOf(request.holder)
    const { plan } = request
    if (only && plan.next === undefined && this.#order.isPairKnown(only, plan)) return
    const held = locksOf(request.holder)
    const all = locksIn(plan)
    if (this.#order.isKnown(held, all)) return
    // A lock that the task holds itself says nothing of the order: to wait for it is a self-deadlock.
    const names = new Set(held.map(({ name }) => name))
    const wanted = all.filter(({ name }) => !names.has(name))
    const { places, reports } = this.#options
    const possible = this.#order.record(held, wanted, {
      label: () => request.label,
      heldAt: ({ by, name }) => places.ofHeld(by, name),
      wantedAt: () => {
        places.keep(request, caller)
        const wantedAt = places.of(request)
        return wantedAt === '' ? {} : { wantedAt }
      },
    })
    for (const report of possible) reports.possible(report)
  }
}
