/**
 * Judges whether a guard may belong to the task of a waiting request, where no callback tells it.
 *
 * Evidence, from the strongest: one owner; one label; call sites in one function; a call stack that was not
 * kept, or whose first call that differs has its function on the other stack too. Different owners, different
 * labels, and other call stacks speak against it: functions further out, such as a router, are shared by all
 * tasks.
 */

import { isSameTask, type StackRelation, stackRelation } from './call-stacks.ts'
import type { Places } from './places.ts'
import { isNestedIn, liveHolder, type Request } from './request.ts'

/** How well a guard fits the task of a waiting request; smaller is better. */
export const FIT = { certain: 0, label: 1, function: 2, possible: 3 } as const

/** One of {@link FIT}. */
export type Fit = (typeof FIT)[keyof typeof FIT]

/** How well a holding fits the task of a waiting request; `undefined` where it is not that task's. */
export function fitOf(request: Request, holding: Request, places: Places): Fit | undefined {
  const code = holding.isGuard ? liveHolder(holding.holder) : holding
  if (code && isNestedIn(request, code)) return holding.options.detached ? undefined : FIT.certain
  if (!holding.isGuard || !isOutside(holding) || !isOutside(request)) return undefined
  // Both have an owner, and not the same one.
  if (code && request.holder) return undefined
  // The task got the guard before it made the request. Times are coarse, but do not go back.
  if (holding.id > request.id || holding.since > request.since) return undefined
  const [ownLabel, label] = [request.options.label, holding.options.label]
  if (ownLabel !== undefined && label !== undefined) {
    return ownLabel === label ? FIT.label : undefined
  }
  const relation = relationOf(request, holding, places)
  if (relation === 'unrelated') return undefined
  return isSameTask(relation) ? FIT.function : FIT.possible
}

/**
 * Whether a request may wait for a guard of its own task, taken at another call site of the same code. One
 * call site alone is no evidence: that is how tasks compete for a lock. `isOnlyWaiter`: whether no other
 * request with its label waits for this lock.
 */
export function mayBeOwnGuard(
  request: Request,
  guard: Request,
  places: Places,
  isOnlyWaiter: () => boolean,
): boolean {
  const fit = fitOf(request, guard, places)
  if (fit !== FIT.label && fit !== FIT.function) return false
  const relation = relationOf(request, guard, places)
  if (relation === 'same function' || relation === 'recursion') return true
  return fit === FIT.label && relation !== 'same call site' && isOnlyWaiter()
}

/** Whether a request was made outside of all callbacks, with or without an owner. */
export function isOutside({ holder }: Request): boolean {
  const live = liveHolder(holder)
  return live === undefined || (live.isOwner && liveHolder(live.holder) === undefined)
}

function relationOf(a: Request, b: Request, places: Places): StackRelation {
  return stackRelation(places.of(a), places.of(b))
}
