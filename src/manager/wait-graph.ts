/**
 * Who waits for whom, of the requests of one manager.
 *
 * Two graphs. In the *wait-for graph* a request waits for those who hold its locks, and a holding for
 * the nested requests that the code awaits which is to end it: a cycle is a deadlock. In the *queue
 * graph* a request also waits for those who only stand before it: that can be mended by moving them.
 *
 * Both get an edge that can close a cycle only when somebody subscribes to the promise of a nested
 * request; when a guard is granted, or left behind by a callback: its release waits for all that is
 * awaited in the context that asked for it. (A move gives edges too: queue-rearrangement.ts says why these close no
 * cycle.)
 */

import type { WaitEdges } from '../backends/backend.ts'
import type { WantedLock } from '../core/modes.ts'
import { locksIn } from '../core/plan.ts'
import { isJoined } from '../graph/path.ts'
import { contextsOf } from './nesting.ts'
import { liveHolder, type Request } from './request.ts'

/** The edges where the manager does not look for deadlocks: none. */
export const NO_WAITS: WaitEdges<Request> = {
  hardBlockers: () => [],
  softBlockers: () => [],
  waitersBehind: () => [],
  hasWaiters: () => false,
  lacks: () => [],
  rearrange: () => new Set(),
}

/** The graph of one manager, over the edges that its backend knows. */
export class WaitGraph {
  readonly edges: WaitEdges<Request>

  constructor(edges: WaitEdges<Request>) {
    this.edges = edges
  }

  /** The wait-for graph: whose end a request or a holding waits for. */
  readonly waitsFor = (request: Request): Iterable<Request> =>
    request.state === 'waiting' ? this.edges.hardBlockers(request) : awaitedBy(request)

  /** The queue graph, as far as it leads to holders. */
  readonly standsBehind = (request: Request): Iterable<Request> =>
    request.state === 'waiting' ? this.edges.softBlockers(request) : awaitedBy(request)

  /** The queue graph backwards: who stands behind a request, and what the code is to end that awaits it. */
  readonly standsBefore = (request: Request): Iterable<Request> => {
    const { isAwaited, holder } = request
    const waiters = this.edges.waitersBehind(request)
    return isAwaited && holder?.nested?.has(request) ? both(holdingsOf(holder), waiters) : waiters
  }

  /** Whether somebody waits in the queues of some that hold. */
  isAnyInTheWay(holdings: Iterable<Request>): boolean {
    for (const holding of holdings) if (this.edges.hasWaiters(holding)) return true
    return false
  }

  /** Whether a nested request can be in a cycle with its holder, be it only by its place in a queue. */
  mayClose(request: Request): boolean {
    const { holder, options } = request
    if (!request.isAwaited || options.detached || request.isGuard) return false
    if (holder === undefined || holder.state === 'ended') return false
    // Most often it waits for nothing.
    if (request.state !== 'waiting' && !codeOf(request)?.nested?.size) return false
    // Nor does anything wait for its holder.
    if (!holder.isAwaited && !this.isAnyInTheWay(holdingsOf(holder))) return false
    return this.isJoined(request, holder)
  }

  /** Whether the queue graph leads from a request to a holding of its holder. */
  isJoined(request: Request, holder: Request): boolean {
    return isJoined(request, holdingsOf(holder), this.standsBehind, this.standsBefore)
  }

  /** The lock that a request waits for because of this holder, with all of its holders. */
  lackBehind(request: Request, blocker: Request): WantedLock<string> & { holders: Request[] } {
    for (const { name, mode, holders } of this.edges.lacks(request)) {
      const all = [...holders]
      if (all.includes(blocker)) return { name, mode, holders: all }
    }
    throw new Error(`request ${request.id} does not wait for request ${blocker.id}`)
  }
}

/**
 * A request that waits for a guard of a context around it, which another branch there may release: the one
 * of the requests from it outwards that was made in that context. `undefined` for any other request.
 */
export function madeBesideGuard(request: Request, guard: Request): Request | undefined {
  if (request.state !== 'waiting' || !guard.isGuard) return undefined
  const context = liveHolder(guard.holder)
  let made = request
  for (const holder of contextsOf(request.holder)) {
    if (holder === context) return made
    if (holder) made = holder
  }
  return undefined
}

/** Whether it is not certain that a holding waits for what its context awaits. */
export function isDoubtful(holding: Request): boolean {
  return holding.isGuard && codeOf(holding)?.details?.hasBranches === true
}

/**
 * In whose callback the code is that is to end a holding; of a guard, in whose it was asked for. Nobody
 * knows where a detached guard is released.
 */
export function codeOf(request: Request): Request | undefined {
  if (request.state !== 'holding') return undefined
  if (!request.isGuard) return request
  return request.options.detached ? undefined : liveHolder(request.holder)
}

/** The holdings that the code of a holder is to end: its own, and those of its guards. */
export function* holdingsOf(holder: Request): Generator<Request> {
  yield holder
  if (holder.guards) yield* holder.guards
}

/** A lock that is held, and who took it. */
export interface HeldLock extends WantedLock<string> {
  readonly by: Request
}

/** The locks that a holder has, with those around it and the guards of their contexts. */
export function locksOf(holder: Request | undefined): HeldLock[] {
  const held: HeldLock[] = []
  // Nobody around a detached holder waits for it: what they hold is none of its own.
  for (
    let at = liveHolder(holder);
    at;
    at = at.options.detached ? undefined : liveHolder(at.holder)
  ) {
    addLocks(held, at)
    if (at.guards) for (const guard of at.guards) addLocks(held, guard)
  }
  return held
}

/** The one lock that a holder has with those around it and the guards; `undefined` where it has more. */
export function onlyLockOf(holder: Request | undefined): WantedLock<string> | undefined {
  const live = liveHolder(holder)
  if (live === undefined || live.isOwner || live.plan.next !== undefined || live.guards?.size)
    return undefined
  const isInside = !live.options.detached && liveHolder(live.holder) !== undefined
  return isInside ? undefined : live.plan
}

function addLocks(held: HeldLock[], by: Request): void {
  if (by.isOwner) return
  for (const { name, mode } of locksIn(by.plan)) held.push({ name, mode, by })
}

function* both(first: Iterable<Request>, second: Iterable<Request>): Generator<Request> {
  yield* first
  yield* second
}

function* awaitedBy(holding: Request): Generator<Request> {
  for (const nested of codeOf(holding)?.nested ?? NOBODY) if (nested.isAwaited) yield nested
}

const NOBODY: readonly Request[] = []
