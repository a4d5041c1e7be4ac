/**
 * Reports contradictory lock orders: keeps the order graph of one manager.
 *
 * A guard belongs to the context that asked for it. If that context may have branches, it is not known which
 * of them holds the guard. Such guards are left out.
 *
 * Cost: nothing for a request that is not nested. For a nested one: a step for each enclosing lock, at most
 * {@link MAX_LOCKS}, and the look-ups of the order graph. A request with more enclosing locks is not
 * recorded. If some of them were left out, the graph would have cycles that these locks make impossible
 * (gates, order-cycle.ts).
 */

import type { Caller } from '../core/errors.ts'
import { locksIn } from '../core/plan.ts'
import { OrderGraph } from '../graph/order-graph.ts'
import type { CallSites } from './call-sites.ts'
import { contextsOf } from './nesting.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { addLocks, codeOf, type HeldLock, isDoubtful, onlyLockOf } from './wait-graph.ts'

/**
 * A request is not recorded if it has more enclosing locks than this, or more guards in one enclosing
 * context.
 */
const MAX_LOCKS = 100

/** Options of an {@link OrderChecker}. */
export interface OrderCheckerOptions {
  readonly callSites: CallSites
  readonly reports: Pick<Reports, 'possible'>
}

/** Records the nested requests of one manager in its order graph. */
export class OrderChecker {
  readonly #options: OrderCheckerOptions
  readonly #order: OrderGraph = new OrderGraph()

  constructor(options: OrderCheckerOptions) {
    this.#options = options
  }

  /**
   * Records the order of a nested request that is about to enter its queues: its locks come after those that
   * its task holds.
   */
  wanted(request: Request, caller: Caller): void {
    const only = onlyLockOf(request.holder)
    const { plan } = request
    if (only && plan.next === undefined && this.#order.isPairKnown(only, plan)) return
    const held = heldAround(request)
    if (held === undefined) return
    const all = locksIn(plan)
    if (this.#order.isKnown(held, all)) return
    // A lock that the task itself holds shows no order: to wait for it is a self-deadlock.
    const names = new Set(held.map(({ name }) => name))
    const wanted = all.filter(({ name }) => !names.has(name))
    const { callSites, reports } = this.#options
    const possible = this.#order.record(held, wanted, {
      label: () => request.label,
      heldAt: ({ by, name }) => callSites.ofHeld(by, name),
      wantedAt: () => {
        callSites.keep(request, caller)
        const wantedAt = callSites.of(request)
        return wantedAt === '' ? {} : { wantedAt }
      },
    })
    for (const report of possible) reports.possible(report)
  }
}

/**
 * The locks that a request's task holds: those of the enclosing holders, and of the guards in their contexts
 * that belong to no branch. `undefined` if there are too many.
 */
function heldAround({ holder }: Request): HeldLock[] | undefined {
  const held: HeldLock[] = []
  for (const code of contextsOf(holder)) {
    if (code === undefined) break
    if (!addLocks(held, code, MAX_LOCKS)) return undefined
    const { guards } = code
    if (guards === undefined) continue
    if (guards.size > MAX_LOCKS) return undefined
    for (const guard of guards) {
      if (!mayBeOfBranch(guard) && !addLocks(held, guard, MAX_LOCKS)) return undefined
    }
  }
  return held
}

/** Whether there is evidence that a guard belongs to one of several branches of its context. */
function mayBeOfBranch(guard: Request): boolean {
  // No code has received the guard yet, so another branch makes the current request.
  if (guard.end !== undefined) return true
  const frame = codeOf(guard)?.details?.frame ?? 0
  // False if a combinator, such as `Promise.all`, was between its context and the wait for it.
  const isAwaitedDirectly = guard.details?.chain?.frames.get(frame)
  return isAwaitedDirectly === undefined ? isDoubtful(guard) : !isAwaitedDirectly
}
