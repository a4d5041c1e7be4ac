/**
 * The wait-for graph and the queue graph of one manager's requests.
 *
 * In the *wait-for graph* a request waits for the holders of its locks. A holding waits for the nested
 * requests that are awaited by the code that is to end it. A cycle is a deadlock. In the *queue graph* a
 * request also waits for the requests ahead of it in its queues. Rearranging the queues removes such edges.
 *
 * Both graphs get an edge that can close a cycle only when somebody subscribes to the promise of a nested
 * request, when a guard is granted, or when a callback ends before its guard or nested request. A guard's
 * *context* is the code of the callback or owner that requested it; when that ends, of the enclosing one. The
 * guard's release waits for all that its context awaits. (Rearranging a queue adds edges too;
 * queue-rearrangement.ts says why they close no proved cycle.)
 */

import type { WaitEdges } from '../backends/backend.ts'
import type { WantedLock } from '../core/modes.ts'
import { locksIn } from '../core/plan.ts'
import { isJoined } from '../graph/path.ts'
import { contextsOf } from './nesting.ts'
import { liveHolder, type Request } from './request.ts'

/** The edges where the manager does not search for deadlocks: none. */
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

  /** The wait-for graph: the requests whose end a request or a holding waits for. */
  readonly waitsFor = (request: Request): Iterable<Request> =>
    request.state === 'waiting' ? this.edges.hardBlockers(request) : awaitedBy(request)

  /** The queue graph, with only the edges that a search needs to reach every holder that blocks a request. */
  readonly waitsBehind = (request: Request): Iterable<Request> =>
    request.state === 'waiting' ? this.edges.softBlockers(request) : awaitedBy(request)

  /**
   * The queue graph backwards: the requests that wait behind one, and the holdings of the code that awaits
   * it.
   */
  readonly blocks = (request: Request): Iterable<Request> => {
    const { isAwaited, holder } = request
    const waiters = this.edges.waitersBehind(request)
    return isAwaited && holder?.nested?.has(request) ? both(holdingsOf(holder), waiters) : waiters
  }

  /** Whether any request waits in the queues of these holdings. */
  isAnyInTheWay(holdings: Iterable<Request>): boolean {
    for (const holding of holdings) if (this.edges.hasWaiters(holding)) return true
    return false
  }

  /**
   * Whether a nested request can be in a cycle with its holder, if only because of its position in a queue.
   */
  mayClose(request: Request): boolean {
    const { holder, options } = request
    if (!request.isAwaited || options.detached || request.isGuard) return false
    if (holder === undefined || holder.state === 'ended') return false
    // No cycle if it waits for nothing: the usual case.
    if (request.state !== 'waiting' && !codeOf(request)?.nested?.size) return false
    // No cycle if nothing waits for its holder.
    if (!holder.isAwaited && !this.isAnyInTheWay(holdingsOf(holder))) return false
    return this.isJoined(request, holder)
  }

  /** Whether the queue graph leads from a request to a holding of its holder. */
  isJoined(request: Request, holder: Request): boolean {
    return isJoined(request, holdingsOf(holder), this.waitsBehind, this.blocks)
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
 * Finds, from a request outwards, the request that was made in the same context as a guard that blocks it.
 * Another branch of that context may release the guard. `undefined` where there is none.
 */
export function madeInContextOf(request: Request, guard: Request): Request | undefined {
  if (request.state !== 'waiting' || !guard.isGuard) return undefined
  const context = liveHolder(guard.holder)
  let made = request
  for (const holder of contextsOf(request.holder)) {
    if (holder === context) return made
    if (holder) made = holder
  }
  return undefined
}

/** Whether it is uncertain that a holding waits for what its context awaits. */
export function isDoubtful(holding: Request): boolean {
  return holding.isGuard && codeOf(holding)?.details?.hasBranches === true
}

/**
 * The request whose callback contains the code that is to end a holding. For a guard: the request in whose
 * callback it was asked for; `undefined` if it is detached, since it is not known where it is released.
 */
export function codeOf(request: Request): Request | undefined {
  if (request.state !== 'holding') return undefined
  if (!request.isGuard) return request
  return request.options.detached ? undefined : liveHolder(request.holder)
}

/** The holdings that a holder's code is to end: its own, and those of its guards. */
export function* holdingsOf(holder: Request): Generator<Request> {
  yield holder
  if (holder.guards) yield* holder.guards
}

/** A held lock, and the request that took it. */
export interface HeldLock extends WantedLock<string> {
  readonly by: Request
}

/** The locks of a holder, of its enclosing holders, and of the guards of their contexts. */
export function locksOf(holder: Request | undefined): HeldLock[] {
  const held: HeldLock[] = []
  // No enclosing holder waits for a detached holder, so their locks do not count as its own.
  for (const code of contextsOf(holder)) {
    if (code === undefined) break
    addLocks(held, code)
    if (code.guards) for (const guard of code.guards) addLocks(held, guard)
  }
  return held
}

/** The only lock of a holder, its enclosing holders and the guards; `undefined` where they have more. */
export function onlyLockOf(holder: Request | undefined): WantedLock<string> | undefined {
  const live = liveHolder(holder)
  if (live === undefined || live.isOwner || live.plan.next !== undefined || live.guards?.size)
    return undefined
  const isInside = !live.options.detached && liveHolder(live.holder) !== undefined
  return isInside ? undefined : live.plan
}

/** Adds the locks of a holding. Returns whether there was room for all of them. */
export function addLocks(
  held: HeldLock[],
  by: Request,
  maxLocks: number = Number.POSITIVE_INFINITY,
): boolean {
  if (by.isOwner) return true
  for (const { name, mode } of locksIn(by.plan)) {
    if (held.length === maxLocks) return false
    held.push({ name, mode, by })
  }
  return true
}

function* both(first: Iterable<Request>, second: Iterable<Request>): Generator<Request> {
  yield* first
  yield* second
}

function* awaitedBy(holding: Request): Generator<Request> {
  for (const nested of codeOf(holding)?.nested ?? NOBODY) if (nested.isAwaited) yield nested
}

const NOBODY: readonly Request[] = []
