/**
 * Finds the proved part of the wait-for graph: only a deadlock in it may have a victim.
 *
 * A subscription shows that somebody waits for a nested request, but not who: it may be a timer that the
 * holder's callback started and does not await. A holder is *proved* to wait for a request inside it
 *
 * - if its frame is in the request's await chain, which is read late, when a cycle has been found;
 * - if its callback returned the request's own promise; or
 * - if both have one owner, which asserts that its code is sequential, and the callback that made the request
 *   has not ended.
 *
 * In the proved graph a holding leads directly to the waiting requests inside it, at any depth.
 *
 * The code of the context that asked for a guard releases it. If this code waits for a request, the guard's
 * end is proved to wait for the request only
 *
 * - if neither belongs to one of several branches: no combinator is in either await chain (the guard's chain
 *   is read when the guard is granted); and
 * - if the callback that asked for the guard still runs, or has returned the guard. Otherwise it may have
 *   left the guard to a timer.
 */

import { canProve, provesWaits } from '../core/await-chain.ts'
import { showAwaits } from './await-frames.ts'
import { withDetails } from './details.ts'
import type { Request } from './request.ts'
import { codeOf, isDoubtful, madeInContextOf, type WaitGraph } from './wait-graph.ts'

/**
 * Makes each waiting nested request read its await chain. Cost: a microtask, and a few microseconds for each
 * request.
 */
export async function prove(requests: Iterable<Request>): Promise<void> {
  if (!(await canProve())) return
  for (const request of requests) {
    // Only a nested request keeps waiting after it is resumed.
    if (request.state !== 'waiting' || !request.details?.resolve) continue
    showAwaits(request)
    withDetails(request).isChainWanted = true
    request.wakeUp()
  }
  // All the requests are resumed before this function is.
  await undefined
}

/** Whether the holder around a waiting request is now proved to wait for it. Cost: that of {@link prove}. */
export async function isHolderProvedToWait(request: Request): Promise<boolean> {
  await prove([request])
  const { holder } = request
  return holder !== undefined && isProvedToWait(holder, request)
}

/** Whether a holder's code is proved to wait for a request that waits inside it. */
export function isProvedToWait(code: Request, waiting: Request): boolean {
  if (isInChain(code, waiting)) return true
  for (let at = waiting; at !== code; ) {
    const { holder } = at
    if (holder === undefined || !isStepProved(at, holder, waiting)) return false
    at = holder
  }
  return true
}

/** The proved part of the wait-for graph: the requests whose end a request or a holding waits for. */
export function* provedWaitsFor(graph: WaitGraph, request: Request): Generator<Request> {
  if (request.state !== 'waiting') {
    yield* provedBehind(request)
    return
  }
  for (const holder of graph.waitsFor(request)) {
    if (isWaitProved(request, holder)) yield holder
  }
}

/**
 * The proved part of the queue graph: it also leads to the requests ahead of a waiting request in its queues.
 */
export function* provedWaitsBehind(graph: WaitGraph, request: Request): Generator<Request> {
  yield* request.state === 'waiting' ? graph.waitsBehind(request) : provedBehind(request)
}

/**
 * The part of the wait-for graph that counts for `deadlockVictims: 'likely'`: all proved edges, and all
 * others that are not doubtful. Several branches can share one context, and it is not known which of them is
 * to release a guard. So two kinds of edges are doubtful: from a request to a guard of its own context, and
 * from a guard whose context certainly has branches to what that context awaits. An edge to a request that
 * has outlived the callback that made it is also doubtful, since perhaps no code waits for the request.
 */
export function* likelyWaitsFor(graph: WaitGraph, request: Request): Generator<Request> {
  if (request.state === 'waiting') {
    yield* provedWaitsFor(graph, request)
    return
  }
  yield* provedBehind(request)
  if (isDoubtful(request)) return
  for (const nested of graph.waitsFor(request)) if (!isLeftBehind(nested)) yield nested
}

/** Whether the end of a holding may wait for a request inside it: there is no evidence against it. */
export function isEndLikely(holding: Request, waiting: Request): boolean {
  if (isEndProved(holding, waiting)) return true
  const code = codeOf(holding)
  let at: Request | undefined = waiting
  while (at && at !== code && !isLeftBehind(at)) at = at.holder
  return code !== undefined && at === code && !isDoubtful(holding)
}

/** Whether nobody has subscribed to a request since the end of the callback that made it. */
export function isLeftBehind(request: Request): boolean {
  return request.details?.leftBehind === 'left behind'
}

/** The waits of a request: itself while it waits, or the requests that wait inside it. */
export function waitsOf(request: Request): Request[] {
  return request.state === 'waiting' ? [request] : waitingInside(request)
}

/** The awaited requests that wait inside a holder's code, at any depth. */
export function waitingInside(code: Request): Request[] {
  const waiting: Request[] = []
  const codes = [code]
  for (const { nested } of codes) {
    for (const request of nested ?? []) {
      if (!request.isAwaited) continue
      if (request.state === 'waiting') waiting.push(request)
      else if (!request.isGuard) codes.push(request)
    }
  }
  return waiting
}

/**
 * Whether a request is proved to wait for the end of a holding that blocks it. False if the holding is a
 * guard of an enclosing context, since another branch may release it. The exception: the request, or the
 * enclosing request that was made in the guard's context, names the guard's owner.
 */
export function isWaitProved(waiting: Request, blocker: Request): boolean {
  const made = madeInContextOf(waiting, blocker)
  return made === undefined || isOfOneOwner(made, blocker)
}

/**
 * Whether the end of a guard can be proved to wait for anything. False where another branch of its context
 * may have the guard.
 */
export function canProveEnd(guard: Request): boolean {
  const code = codeOf(guard)
  if (code === undefined || (code.isOwner && code.details?.hasBranches)) return false
  return isSequential(guard, code)
}

/** Whether the end of a holding is proved to wait for a request. */
export function isEndProved(holding: Request, waiting: Request): boolean {
  const code = codeOf(holding)
  if (code === undefined || !isProvedToWait(code, waiting)) return false
  return !holding.isGuard || (isSequential(holding, code) && isSequential(waiting, code))
}

function* provedBehind(holding: Request): Generator<Request> {
  const code = codeOf(holding)
  if (code === undefined) return
  for (const waiting of waitingInside(code)) if (isEndProved(holding, waiting)) yield waiting
}

/** Whether one link between a request and its holder is proved. */
function isStepProved(request: Request, holder: Request, waiting: Request): boolean {
  if (isOwners(request)) return !holder.details?.hasBranches
  return request.details?.returnedBy === holder || isInChain(holder, waiting)
}

/** Whether a guard or a waiting request is proved to belong to no branch of a context's code. */
function isSequential(request: Request, code: Request): boolean {
  if (isOwners(request) || request.details?.returnedBy === code) return true
  // An owner's code is sequential. Only the callback of one of its requests can have branches.
  const callback = code.isOwner ? ownersRequestAround(request) : code
  const isFirst = callback && request.details?.chain?.frames.get(frameOf(callback))
  return provesWaits() && isFirst === true
}

/** The nearest enclosing request that was made with an owner. */
function ownersRequestAround(request: Request): Request | undefined {
  let at = request.holder
  while (at && at.options.owner === undefined) at = at.holder
  return at
}

function isInChain(code: Request, waiting: Request): boolean {
  return provesWaits() && waiting.details?.chain?.frames.has(frameOf(code)) === true
}

/** Whether a request is awaited because it names an owner: not if it outlives the callback that made it. */
function isOwners({ options, details }: Request): boolean {
  return options.owner !== undefined && !details?.leftBehind
}

/** The frame of a holder's code; 0, which is in no chain, where it has none. */
function frameOf(code: Request): number {
  return code.details?.frame ?? 0
}

function isOfOneOwner(a: Request, b: Request): boolean {
  return a.options.owner !== undefined && a.options.owner === b.options.owner
}
