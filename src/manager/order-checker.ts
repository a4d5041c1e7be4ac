/**
 * Reports orders of locks that contradict each other: keeps the order graph of one manager.
 *
 * A guard belongs to the context that asked for it, and that can have branches: then nobody knows which of
 * them holds the guard. Such guards are left out.
 *
 * Cost: nothing for a request that is not nested. For one that is: a step for each lock around it, at most
 * {@link MOST_LOCKS}, and the look-ups of the order graph. A request with more locks around it is not recorded:
 * without some of them as gates, there would be cycles that cannot come about.
 */

import type { Caller } from '../core/errors.ts'
import { locksIn } from '../core/plan.ts'
import { OrderGraph } from '../graph/order-graph.ts'
import { contextsOf } from './nesting.ts'
import type { Places } from './places.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { codeOf, type HeldLock, isDoubtful, onlyLockOf } from './wait-graph.ts'

/** A request with more locks around it, or more guards in a context around it, is not recorded. */
const MOST_LOCKS = 100

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
    const held = heldAround(request)
    if (held === undefined) return
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

/**
 * The locks that a request's task holds: those of the holders around it, and of the guards in their contexts
 * that belong to no branch. `undefined` where there are too many.
 */
function heldAround({ holder }: Request): HeldLock[] | undefined {
  const held: HeldLock[] = []
  for (const code of contextsOf(holder)) {
    if (code === undefined) break
    if (!addLocks(held, code)) return undefined
    const { guards } = code
    if (guards === undefined) continue
    if (guards.size > MOST_LOCKS) return undefined
    for (const guard of guards) {
      if (!mayBeOfBranch(guard) && !addLocks(held, guard)) return undefined
    }
  }
  return held
}

/** Whether there was room for all locks of a holding. */
function addLocks(held: HeldLock[], by: Request): boolean {
  if (by.isOwner) return true
  for (const { name, mode } of locksIn(by.plan)) {
    if (held.length === MOST_LOCKS) return false
    held.push({ name, mode, by })
  }
  return true
}

/** Whether something says that a guard belongs to one of several branches of its context. */
function mayBeOfBranch(guard: Request): boolean {
  // No code has the guard yet: whatever is asked for now, another branch asks for it.
  if (guard.end !== undefined) return true
  const frame = codeOf(guard)?.details?.frame ?? 0
  // False where a combinator, such as `Promise.all`, stood between its context and the wait for it.
  const isAwaitedDirectly = guard.details?.chain?.frames.get(frame)
  return isAwaitedDirectly === undefined ? isDoubtful(guard) : !isAwaitedDirectly
}
