/**
 * Which waits are proved: the part of the wait-for graph in which a deadlock may have a victim.
 *
 * That somebody waits for a nested request says nothing of who: it may be a timer that its holder's
 * callback has started and does not wait for. A holder is *proved* to wait for a request inside it
 *
 * - if its frame stands in the request's await chain, read late, when a cycle has been found;
 * - if its callback returned the request's own promise; or
 * - if both have one owner, who asserts that its code is sequential, and no callback has left the request
 *   behind.
 *
 * In the proved graph a holding leads directly to the waiting requests inside it, at any depth.
 *
 * A guard is released by the code of the context that asked for it. That this code waits for something
 * proves it of the guard only if neither came from one of several branches: no combinator stands in
 * either await chain, the guard's having been read when it was granted; and if the guard has not outlived the
 * callback that asked for it, which may have left it to a timer, or was returned by that.
 */

import { canProve, provesWaits } from '../core/await-chain.ts'
import { showAwaits } from './await-frames.ts'
import { withDetails } from './details.ts'
import type { Request } from './request.ts'
import { codeOf, isDoubtful, madeBesideGuard, type WaitGraph } from './wait-graph.ts'

/**
 * Has each of the requests that wait read its await chain. Cost: a microtask, and some microseconds for
 * each request.
 */
export async function prove(requests: Iterable<Request>): Promise<void> {
  if (!(await canProve())) return
  for (const request of requests) {
    // Only a nested request goes on waiting when it was resumed.
    if (request.state !== 'waiting' || !request.details?.resolve) continue
    showAwaits(request)
    withDetails(request).isChainWanted = true
    request.wakeUp()
  }
  // All of them were resumed before this is.
  await undefined
}

/** Whether the holder around a waiting request is proved to wait for it, now. Cost: as {@link prove}. */
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

/** The proved part of the wait-for graph: whose end a request or a holding waits for. */
export function* provedWaitsFor(graph: WaitGraph, request: Request): Generator<Request> {
  if (request.state !== 'waiting') {
    yield* provedBehind(request)
    return
  }
  for (const holder of graph.waitsFor(request)) {
    if (isWaitProved(request, holder)) yield holder
  }
}

/** The same with the requests that stand before one in its queues. */
export function* provedStandsBehind(graph: WaitGraph, request: Request): Generator<Request> {
  yield* request.state === 'waiting' ? graph.standsBehind(request) : provedBehind(request)
}

/**
 * The part of the wait-for graph that counts for `deadlockVictims: 'likely'`: all that is proved, and all
 * else but what is doubtful. One context can be that of several branches, and nobody knows which of them is
 * to release a guard: perhaps not the one that waits for it, or, where there were branches for sure, not the
 * one that waits for something else. A request that was left behind may be waited for by nobody.
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

/** Whether nothing speaks against it that the end of a holding waits for a request inside it. */
export function isEndLikely(holding: Request, waiting: Request): boolean {
  if (isEndProved(holding, waiting)) return true
  const code = codeOf(holding)
  let at: Request | undefined = waiting
  while (at && at !== code && !isLeftBehind(at)) at = at.holder
  return code !== undefined && at === code && !isDoubtful(holding)
}

/** Whether nobody has subscribed to a request since the callback ended in which it was made. */
export function isLeftBehind(request: Request): boolean {
  return request.details?.leftBehind === 'left behind'
}

/** The requests that wait inside a holder's code and are waited for there, at any depth. */
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
 * Whether a request is proved to wait for a holding in its way to end. A guard of a context around it is no
 * proof, unless its owner made the request, or the one around it, and waits for it.
 */
export function isWaitProved(waiting: Request, blocker: Request): boolean {
  const beside = madeBesideGuard(waiting, blocker)
  return beside === undefined || isOfOneOwner(beside, blocker)
}

/**
 * Whether the end of a guard can be proved to wait for anything: not where it may be another branch of its
 * context that has the guard.
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

/** Whether a guard, or a request that waits, is proved to belong to no branch of a context's code. */
function isSequential(request: Request, code: Request): boolean {
  if (isOwners(request) || request.details?.returnedBy === code) return true
  // The code of an owner is in one piece. Branches can only be in the callback of one of its requests.
  const callback = code.isOwner ? ownersRequestAround(request) : code
  const isFirst = callback && request.details?.chain?.frames.get(frameOf(callback))
  return provesWaits() && isFirst === true
}

/** The nearest request around one that was made with an owner. */
function ownersRequestAround(request: Request): Request | undefined {
  let at = request.holder
  while (at && at.options.owner === undefined) at = at.holder
  return at
}

function isInChain(code: Request, waiting: Request): boolean {
  return provesWaits() && waiting.details?.chain?.frames.has(frameOf(code)) === true
}

/** Whether an owner vouches for a request: not for one that a callback of the owner's has left behind. */
function isOwners({ options, details }: Request): boolean {
  return options.owner !== undefined && !details?.leftBehind
}

/** No chain has a frame with the number 0. */
function frameOf(code: Request): number {
  return code.details?.frame ?? 0
}

function isOfOneOwner(a: Request, b: Request): boolean {
  return a.options.owner !== undefined && a.options.owner === b.options.owner
}
