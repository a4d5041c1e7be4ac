/**
 * Nesting: the requests that are made inside a holder, and which holder gets them when that one ends.
 *
 * A holder cannot end before the requests that its code awaits. When it ends, its other unfinished nested
 * requests and its guards move to the enclosing holder.
 */

import { withDetails } from './details.ts'
import { Guard, holdingOf } from './guard.ts'
import { liveHolder, type Request } from './request.ts'
import { isIdle } from './task-owners.ts'

/**
 * The live holders whose code contains a holder's code, the holder itself first; then `undefined` for code in
 * no holder. Stops at a detached holder: the enclosing code does not wait for it, nor for anything in it.
 */
export function* contextsOf(holder: Request | undefined): Generator<Request | undefined> {
  for (let at = liveHolder(holder); ; at = liveHolder(at.holder)) {
    yield at
    if (at === undefined || at.options.detached) return
  }
}

/**
 * The holder of a request made through a scope: the scope's holder, or the one nested in it in whose callback
 * the code runs. `scope` is `undefined` if the scope belongs to no holder.
 */
export function holderInScope(
  scope: Request | undefined,
  current: Request | undefined,
): Request | undefined {
  const inner = liveHolder(current)
  if (inner === undefined || inner === scope) return scope
  const outer = liveHolder(scope)
  // The holder has ended, and no live holder encloses it: it is no longer known what was nested in it.
  if (scope !== undefined && outer === undefined) return scope
  return [...contextsOf(inner)].includes(outer) ? inner : scope
}

/** Whether a request was made in a holder's callback, at any depth. */
export function isNestedIn(request: Request, holder: Request): boolean {
  let at = request.holder
  while (at !== undefined && at !== holder) at = at.holder
  return at === holder
}

/** The number of holders around a request. */
export function depthOf({ holder }: Request): number {
  let depth = 0
  for (let at = holder; at; at = at.holder) depth++
  return depth
}

/**
 * Adds a request to its holder's nested requests. Also adds the holder of an owner to those of the enclosing
 * holder.
 */
export function nestIn(holder: Request, request: Request): void {
  holder.nested = (holder.nested ?? new Set()).add(request)
  if (holder.isOwner && holder.holder) nestIn(holder.holder, holder)
}

/** Whether a request's callback was called inside the callback of another manager's request. */
export function isInOtherManager({ around, context }: Request): boolean {
  let at = around
  while (at !== undefined && at.context === context) at = at.around
  return at !== undefined
}

/** Records that a callback returned a guard: the code that waits for the callback has it now. */
export function noteReturned(guards: ReadonlySet<Request>, holder: Request, value: unknown): void {
  if (!(value instanceof Guard)) return
  const guard = holdingOf(value) as Request
  if (guards.has(guard)) withDetails(guard).returnedBy = holder
}

/** The members of the deadlock detector that handle requests whose holder changes. */
interface Detector {
  guarded(guard: Request): void
  handedOn(nested: Request): void
  ended(request: Request): void
}

/** Moves the requests of one manager between holders. */
export class Nesting {
  readonly #detector: Detector

  constructor(detector: Detector) {
    this.#detector = detector
  }

  /** Turns a nested request into a guard of its context: its holder can end before it. */
  guardIn(holder: Request, request: Request): void {
    if (!holder.nested?.delete(request)) return
    holder.guards = (holder.guards ?? new Set()).add(request)
    // The detector gets the other guards when their await chains have been read (outcomes.ts).
    if (!request.details?.resolve || request.options.owner) this.#detector.guarded(request)
  }

  /** When a request ends, moves its unfinished nested requests and its guards to the enclosing holder. */
  handOn(request: Request, holder: Request | undefined): Request['guards'] {
    const { nested, guards } = request
    if (holder && !holder.nested?.delete(request)) holder.guards?.delete(request)
    request.holder = request.options.detached ? undefined : liveHolder(holder)
    request.nested = undefined
    request.guards = undefined
    if (nested) this.#handNestedOn(nested, request.holder)
    if (guards) handGuardsOn(guards, request)
    return guards
  }

  #handNestedOn(nested: Iterable<Request>, holder: Request | undefined): void {
    for (const request of nested) {
      request.holder = holder
      if (holder) holder.nested = (holder.nested ?? new Set()).add(request)
      this.#detector.handedOn(request)
    }
  }

  /** After a request has left its queues: its guards may close cycles now, and its owner may be idle. */
  afterRelease(guards: Request['guards'], holder: Request | undefined): void {
    if (guards) for (const guard of guards) this.#detector.guarded(guard)
    if (holder && isIdle(holder)) this.#endOwner(holder)
  }

  /** Ends the holder of an owner that has nothing left to wait for or to release. */
  #endOwner(owner: Request): void {
    if (owner.state === 'ended') return
    const { holder } = owner
    owner.state = 'ended'
    holder?.nested?.delete(owner)
    owner.holder = liveHolder(holder)
    this.#detector.ended(owner)
    if (holder && isIdle(holder)) this.#endOwner(holder)
  }
}

/**
 * Moves guards to the enclosing holder. A guard that the callback did not return may have gone to other code
 * than the enclosing code. So the await chain of its grant no longer counts.
 */
function handGuardsOn(guards: Iterable<Request>, ended: Request): void {
  const { holder } = ended
  for (const guard of guards) {
    guard.holder = holder
    if (guard.details && guard.details.returnedBy !== ended) guard.details.chain = undefined
    if (holder) holder.guards = (holder.guards ?? new Set()).add(guard)
  }
}
