/**
 * Nesting: which requests a holder waits for, and to whom they belong when it ends.
 *
 * A holder cannot end before the requests that its code awaits. Those that it leaves behind belong to the code
 * around it from then on; so do its guards.
 */

import { withDetails } from './details.ts'
import { Guard, holdingOf } from './guard.ts'
import { liveHolder, type Request } from './request.ts'

/**
 * The live holders whose code a holder's code is in, itself first, and `undefined` for code in none. It ends
 * with a detached one: code around that does not wait for it, and so for nothing in it.
 */
export function* contextsOf(holder: Request | undefined): Generator<Request | undefined> {
  for (let at = liveHolder(holder); ; at = liveHolder(at.holder)) {
    yield at
    if (at === undefined || at.options.detached) return
  }
}

/**
 * The holder that a request belongs to which is made through a holder's scope: that one, or one nested in
 * it, in whose callback the code runs. `scope` is `undefined` where the scope belongs to no holder.
 */
export function holderInScope(
  scope: Request | undefined,
  current: Request | undefined,
): Request | undefined {
  const inner = liveHolder(current)
  if (inner === undefined || inner === scope) return scope
  const outer = liveHolder(scope)
  // Nobody knows any more what was nested in a holder that has ended outside of all others.
  if (scope !== undefined && outer === undefined) return scope
  return [...contextsOf(inner)].includes(outer) ? inner : scope
}

/** Whether a request was made in a holder's callback, or further inside. */
export function isNestedIn(request: Request, holder: Request): boolean {
  let at = request.holder
  while (at !== undefined && at !== holder) at = at.holder
  return at === holder
}

/** Enters a request into what its holder waits for. An owner's holder is in what is around it. */
export function nestIn(holder: Request, request: Request): void {
  holder.nested = (holder.nested ?? new Set()).add(request)
  if (holder.isOwner && holder.holder) nestIn(holder.holder, holder)
}

/** Whether a request's callback was called inside that of another manager's request. */
export function isInOtherManager({ around, context }: Request): boolean {
  let at = around
  while (at !== undefined && at.context === context) at = at.around
  return at !== undefined
}

/** Notes that a callback has returned a guard: the code that waits for the callback has it now. */
export function noteReturned(guards: ReadonlySet<Request>, holder: Request, value: unknown): void {
  if (!(value instanceof Guard)) return
  const guard = holdingOf(value) as Request
  if (guards.has(guard)) withDetails(guard).returnedBy = holder
}

/** When a holder ends, its unfinished nested requests move to the enclosing holder. */
export function handOn(
  nested: Iterable<Request>,
  holder: Request | undefined,
  detector: { handedOn(request: Request): void },
): void {
  for (const request of nested) {
    request.holder = holder
    if (holder) holder.nested = (holder.nested ?? new Set()).add(request)
    detector.handedOn(request)
  }
}

/**
 * A guard that is out stays so. A callback that has not returned it may have left it to other code than that
 * around it, so the await chain of its grant no longer counts.
 */
export function handGuardsOn(guards: Iterable<Request>, ended: Request): void {
  const { holder } = ended
  for (const guard of guards) {
    guard.holder = holder
    if (guard.details && guard.details.returnedBy !== ended) guard.details.chain = undefined
    if (holder) holder.guards = (holder.guards ?? new Set()).add(guard)
  }
}
