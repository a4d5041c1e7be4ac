/**
 * Judges whether a guard may belong to the task of a waiting request, where no callback tells it: both are
 * outside of all callbacks, or the guard has an owner that the request, made in the same callback, does not
 * name. A request made further inside counts as the one around it that was made beside the guard.
 *
 * Evidence, from the strongest: one owner; one label that no other waiting request has; call sites in one
 * function; a call stack that was not kept, or whose first call that differs has its function on the other
 * stack too.
 *
 * These speak against it: the request was made before the guard was handed out; different owners; different
 * labels; other call stacks (functions further out, such as a router, are shared by all tasks). One call site
 * is evidence only where the request was made after an `await`, as in a loop: tasks that compete for a lock
 * ask for it at one call site, too.
 */

import { contextsOf, isNestedIn } from './nesting.ts'
import type { Places } from './places.ts'
import { liveHolder, type Request } from './request.ts'
import { isSameTask, type StackRelation, stackRelation } from './stack-relation.ts'

/** How well a guard fits the task of a waiting request; smaller is better. */
export const FIT = { certain: 0, label: 1, function: 2, possible: 3 } as const

/** One of {@link FIT}. */
export type Fit = (typeof FIT)[keyof typeof FIT]

/** What is known of all waiting requests. */
export interface Waiting {
  readonly places: Places
  /** Whether only one waiting request has a label: it is that of a task, and not that of a kind of tasks. */
  readonly isOfOneTask: (label: string) => boolean
}

/** How well a holding fits the task of a waiting request; `undefined` where it is not that task's. */
export function fitOf(request: Request, holding: Request, waiting: Waiting): Fit | undefined {
  const code = holding.isGuard ? liveHolder(holding.holder) : holding
  if (code && isNestedIn(request, code)) return holding.options.detached ? undefined : FIT.certain
  const made = holding.isGuard ? madeBeside(request, holding) : undefined
  if (made === undefined) return undefined
  if (made.id <= holding.newestAtGrant) return undefined
  const [ownLabel, label] = [made.options.label, holding.options.label]
  if (ownLabel !== undefined && label !== undefined) {
    if (ownLabel !== label) return undefined
    if (waiting.isOfOneTask(label)) return FIT.label
  }
  const relation = relationOf(made, holding, waiting.places)
  if (relation === 'unrelated') return undefined
  if (relation === 'same call site' && !waiting.places.isAfterAwait(made)) return undefined
  // Nothing is known then of a callback outside of all others.
  if (relation === 'unknown' && made !== request && code === undefined) return undefined
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
  waiting: Waiting,
  isOnlyWaiter: () => boolean,
): boolean {
  const fit = fitOf(request, guard, waiting)
  if (fit === undefined || fit === FIT.certain) return false
  const relation = relationOf(madeBeside(request, guard) as Request, guard, waiting.places)
  if (relation === 'same function' || relation === 'recursion') return true
  // Functions without a name are one more likely where a callback around both is the same.
  const isLikely = fit === FIT.label || (relation === 'related' && contextOf(guard) !== undefined)
  return isLikely && relation !== 'same call site' && isOnlyWaiter()
}

/** The request, or the one around it, that was made in the context of a guard's task, if it may be that task's. */
function madeBeside(request: Request, guard: Request): Request | undefined {
  const context = contextOf(guard)
  if (context && guard.options.owner === undefined) return undefined
  let made = request
  for (const holder of contextsOf(request.holder)) {
    // Both have an owner, and not the same one.
    if (holder?.isOwner && guard.options.owner !== undefined) return undefined
    if (around(holder) === context) return made
    if (holder) made = holder
  }
  return undefined
}

/** The callback in which a guard was asked for, as far as it lasts; `undefined` outside of all. */
function contextOf(guard: Request): Request | undefined {
  return around(liveHolder(guard.holder))
}

/** The callback that a holder's code runs in: that of the holder, or the one around an owner. */
function around(holder: Request | undefined): Request | undefined {
  return holder?.isOwner ? liveHolder(holder.holder) : holder
}

/** Whether a request was made outside of all callbacks, with or without an owner. */
export function isOutside({ holder }: Request): boolean {
  return around(liveHolder(holder)) === undefined
}

function relationOf(a: Request, b: Request, places: Places): StackRelation {
  return stackRelation(places.of(a), places.of(b))
}
