/**
 * Judges whether a guard may belong to the task of a waiting request, where no callback shows it. Either both
 * are outside of all callbacks; or the guard has an owner, and the request, made in the same callback, does
 * not name it. If the request is nested deeper than the guard, its enclosing request in the guard's context
 * is compared instead.
 *
 * Evidence, from the strongest: one owner; one label that no other waiting request has; call sites in one
 * function; a call stack that was not kept, or stacks that first differ in a call whose function is on both.
 *
 * Evidence against it: the request was made before the guard was handed out; different owners; different
 * labels; other call stacks (functions further out, such as a router, are shared by all tasks). One call site
 * is evidence only if the request was made after an `await`, as in a loop. Tasks that compete for a lock also
 * request it at one call site.
 */

import type { CallSites } from './call-sites.ts'
import { contextsOf, isNestedIn } from './nesting.ts'
import { liveHolder, type Request } from './request.ts'
import { isSameTask, type StackRelation, stackRelation } from './stack-relation.ts'

/** How well a guard fits the task of a waiting request; smaller is better. */
export const FIT = { certain: 0, label: 1, function: 2, possible: 3 } as const

/** One of {@link FIT}. */
export type Fit = (typeof FIT)[keyof typeof FIT]

/** The facts about all waiting requests. */
export interface Waiting {
  readonly callSites: CallSites
  /** Whether only one waiting request has this label. The label then names one task, not a kind of task. */
  readonly isOfOneTask: (label: string) => boolean
}

/** How well a holding fits the task of a waiting request; `undefined` if it does not. */
export function fitOf(request: Request, holding: Request, waiting: Waiting): Fit | undefined {
  const code = holding.isGuard ? liveHolder(holding.holder) : holding
  if (code && isNestedIn(request, code)) return holding.options.detached ? undefined : FIT.certain
  const made = holding.isGuard ? madeInContext(request, holding) : undefined
  if (made === undefined) return undefined
  if (made.id <= holding.newestAtGrant) return undefined
  const [ownLabel, label] = [made.options.label, holding.options.label]
  if (ownLabel !== undefined && label !== undefined) {
    if (ownLabel !== label) return undefined
    if (waiting.isOfOneTask(label)) return FIT.label
  }
  const relation = relationOf(made, holding, waiting.callSites)
  if (relation === 'unrelated') return undefined
  if (relation === 'same call site' && !waiting.callSites.isAfterAwait(made)) return undefined
  // Without call stacks, nothing shows that the callback around the request is of the guard's task.
  if (relation === 'unknown' && made !== request && code === undefined) return undefined
  return isSameTask(relation) ? FIT.function : FIT.possible
}

/**
 * Whether a request may wait for a guard of its own task that was requested at another call site of the same
 * code. The same call site is no evidence by itself, since competing tasks share one. `isOnlyWaiter`: whether
 * no other request with its label waits for this lock.
 */
export function mayBeOwnGuard(
  request: Request,
  guard: Request,
  waiting: Waiting,
  isOnlyWaiter: () => boolean,
): boolean {
  const fit = fitOf(request, guard, waiting)
  if (fit === undefined || fit === FIT.certain) return false
  const relation = relationOf(madeInContext(request, guard) as Request, guard, waiting.callSites)
  if (relation === 'same function' || relation === 'recursion') return true
  // Functions without a name are more likely to be the same one if one callback encloses both.
  const isLikely = fit === FIT.label || (relation === 'related' && contextOf(guard) !== undefined)
  return isLikely && relation !== 'same call site' && isOnlyWaiter()
}

/**
 * The request, or the enclosing one, that was made in the context of a guard, if its task may have the guard.
 */
function madeInContext(request: Request, guard: Request): Request | undefined {
  const context = contextOf(guard)
  if (context && guard.options.owner === undefined) return undefined
  let made = request
  for (const holder of contextsOf(request.holder)) {
    // Both have an owner, and the owners differ.
    if (holder?.isOwner && guard.options.owner !== undefined) return undefined
    if (around(holder) === context) return made
    if (holder) made = holder
  }
  return undefined
}

/** The live callback in which a guard was requested; `undefined` outside of all callbacks. */
function contextOf(guard: Request): Request | undefined {
  return around(liveHolder(guard.holder))
}

/** The callback that contains a holder's code: the holder's own, or the one around an owner. */
function around(holder: Request | undefined): Request | undefined {
  return holder?.isOwner ? liveHolder(holder.holder) : holder
}

/** Whether a request was made outside of all callbacks, with or without an owner. */
export function isOutside({ holder }: Request): boolean {
  return around(liveHolder(holder)) === undefined
}

function relationOf(a: Request, b: Request, callSites: CallSites): StackRelation {
  return stackRelation(callSites.of(a), callSites.of(b))
}
