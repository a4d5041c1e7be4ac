/**
 * Nesting: which requests a holder waits for, and to whom they belong when it ends.
 *
 * A holder cannot end before the requests that its code awaits. Those that it leaves behind belong to the code
 * around it from then on; so do its guards.
 */

import { withDetails } from './details.ts'
import { Guard, holdingOf } from './guard.ts'
import { liveHolder, type Request } from './request.ts'
import { isIdle } from './task-owners.ts'

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

/** How many holders are around a request. */
export function depthOf({ holder }: Request): number {
  let depth = 0
  for (let at = holder; at; at = at.holder) depth++
  return depth
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

/** The deadlock detector, as far as it hears of requests that change their holder. */
interface Detector {
  guarded(guard: Request): void
  handedOn(nested: Request): void
  ended(request: Request): void
}

/** Moves the requests of one manager from holder to holder. */
export class Nesting {
  readonly #detector: Detector

  constructor(detector: Detector) {
    this.#detector = detector
  }

  /** A nested request becomes a guard of its context: its holder can end before it. */
  guardIn(holder: Request, request: Request): void {
    if (!holder.nested?.delete(request)) return
    holder.guards = (holder.guards ?? new Set()).add(request)
    // The detector hears of the others when their await chain has been read (outcomes.ts).
    if (!request.details?.resolve || request.options.owner) this.#detector.guarded(request)
  }

  /** A request ends: its unfinished nested requests, and its guards, move to the enclosing holder. */
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

  /** That request has left its queues: its guards can close cycles now, and an owner may be idle. */
  afterRelease(guards: Request['guards'], holder: Request | undefined): void {
    if (guards) for (const guard of guards) this.#detector.guarded(guard)
    if (holder && isIdle(holder)) this.#endOwner(holder)
  }

  /** Ends the holder that stands for an owner's code: it has nothing left to wait for or to release. */
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
 * A guard that is out stays so. A callback that has not returned it may have left it to other code than that
 * around it, so the await chain of its grant no longer counts.
 */
function handGuardsOn(guards: Iterable<Request>, ended: Request): void {
  const { holder } = ended
  for (const guard of guards) {
    guard.holder = holder
    if (guard.details && guard.details.returnedBy !== ended) guard.details.chain = undefined
    if (holder) holder.guards = (holder.guards ?? new Set()).add(guard)
  }
}
