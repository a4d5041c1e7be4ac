/**
 * Finds deadlocks. Only nested requests can deadlock.
 *
 * Steps      1. An edge can close a cycle when code subscribes to a nested request's promise, when a guard is
 *               granted, when a guard or a nested request moves to the enclosing holder, and when another
 *               cycle was broken. A cheap search shows whether a cycle may have closed. A branch guard
 *               (branch-guards.ts) is checked after the turn.
 *            2. If so, the requests that are involved read their await chains (proof.ts), still in this turn
 *               of the event loop.
 *            3. A cycle of the proved graph is a deadlock. A cycle of the wait-for graph that is not proved
 *               is checked again after this turn, and then suspected. found-cycles.ts handles both.
 *            4. A cycle that needs a soft edge is broken by rearranging the queues (queue-rearrangement.ts):
 *               at once along proved edges, after `deadlockAfterMs` along the others.
 * Cost       Nothing for a request that is not nested. For one that must wait while others wait for its
 *            holder: a search from both sides, until the shorter one is done. More only if that finds
 *            something.
 */

import { canProve, provesWaits } from '../core/await-chain.ts'
import { findPath, reachable } from '../graph/path.ts'
import { BranchGuards } from './branch-guards.ts'
import { afterThisTurn } from './clock.ts'
import { cycleAlong, cycleThrough, leadsByProof, leadsLikely } from './cycle.ts'
import { soon } from './deferred.ts'
import { withDetails } from './details.ts'
import { FoundCycles, type FoundCyclesOptions } from './found-cycles.ts'
import { canProveEnd, isLeftBehind, likelyWaitsFor, prove, provedWaitsFor } from './proof.ts'
import { Rearranger } from './queue-rearrangement.ts'
import { liveHolder, type Request } from './request.ts'
import { codeOf, isDoubtful, type WaitGraph } from './wait-graph.ts'

/** When a request is checked: in the turn in which a cycle may have closed, after it, or finally. */
type Look = 'at once' | 'after the turn' | 'after deadlockAfterMs'

/** The detector of one manager. */
export class DeadlockDetector {
  readonly #graph: WaitGraph
  readonly #found: FoundCycles
  readonly #rearranger: Rearranger
  readonly #branchGuards: BranchGuards
  readonly #deadlockAfterMs: number
  /** Whether likely waits count as proved. */
  readonly #isLikelyEnough: boolean
  /**
   * The requests that may have closed a cycle in this turn. A guard stands for the requests that its context
   * awaits.
   */
  readonly #toCheck = new Set<Request>()
  /** The requests to check again after this turn. */
  readonly #afterTurn = new Set<Request>()

  constructor(options: FoundCyclesOptions) {
    const { graph, deadlockAfterMs } = options
    this.#graph = graph
    this.#deadlockAfterMs = deadlockAfterMs
    this.#isLikelyEnough = options.deadlockVictims === 'likely'
    this.#branchGuards = new BranchGuards(graph, (guard) => this.#canClose(guard))
    this.#found = new FoundCycles(options, (request) => this.#checkAfterTurn(request))
    this.#rearranger = new Rearranger(graph, deadlockAfterMs, (request) => {
      void this.#checkAll(new Set([request]), 'after deadlockAfterMs')
    })
  }

  readonly #provedWaitsFor = (request: Request): Iterable<Request> =>
    provedWaitsFor(this.#graph, request)

  /** Handles a subscription to a nested request's promise. */
  awaited(request: Request): void {
    const { holder, details } = request
    const isLeft = isLeftBehind(request)
    if (request.isAwaited && !isLeft) return
    request.isAwaited = true
    if (details && isLeft) details.leftBehind = 'awaited since'
    if (holder?.isOwner) holder.isAwaited = true
    if (this.#graph.mayClose(request)) this.#checkSoon([request])
  }

  /**
   * Handles a guard that is handed out, or moves to another context: its release waits for what that context
   * awaits.
   */
  guarded(guard: Request): void {
    if (this.#graph.isAnyInTheWay([guard])) this.#checkSoon([guard])
  }

  /** Handles a request that no longer waits or holds. This breaks every cycle that it was in. */
  ended(request: Request): void {
    if (this.#rearranger.isAny) this.#rearranger.cancel(request)
    if (this.#found.isAny) this.#dropCyclesOf(request)
  }

  /**
   * Handles a nested request that has moved to the enclosing holder, because its own holder has ended. The
   * enclosing code may already await it. That wait must be proved; it does not count as likely.
   */
  handedOn(nested: Request): void {
    withDetails(nested).leftBehind = 'left behind'
    this.#dropCyclesOf(nested)
    if (this.#graph.mayClose(nested)) this.#checkSoon([nested])
  }

  #dropCyclesOf(request: Request): void {
    const { closedBy, blockers } = this.#found.dropCyclesOf(request)
    this.#checkSoon(closedBy)
    // One request may have represented all that wait for a branch guard in these cycles.
    for (const blocker of blockers) {
      if (blocker.isGuard && !this.#canClose(blocker)) this.#checkSoon([blocker])
    }
    const isGuard = blockers.has(request) && request.callback === undefined
    if (isGuard) this.#checkSoon(liveHolder(request.holder)?.nested ?? [])
  }

  /** Whether a guard can close a cycle that is more than suspected. */
  #canClose(guard: Request): boolean {
    return canProveEnd(guard) || (this.#isLikelyEnough && !isDoubtful(guard))
  }

  /**
   * Checks the requests in a microtask, after the running operation. If that steals from many requests, all
   * have ended by then.
   */
  #checkSoon(requests: Iterable<Request>): void {
    for (const request of requests) {
      if (this.#toCheck.size === 0) void soon(() => this.#checkAll(this.#toCheck, 'at once'))
      this.#toCheck.add(request)
    }
  }

  #checkAfterTurn(request: Request): void {
    if (this.#afterTurn.size === 0) this.#lookAfterTurn()
    this.#afterTurn.add(request)
  }

  #lookAfterTurn(): void {
    afterThisTurn(() => void this.#checkAll(this.#afterTurn, 'after the turn'))
  }

  /** Checks the requests, the oldest first, and empties the set. */
  async #checkAll(requests: Set<Request>, look: Look): Promise<void> {
    // Until it is known whether waits can be proved, no guard can close a proved cycle.
    if (!provesWaits()) await canProve()
    if (look === 'after the turn') this.#branchGuards.putBack(requests)
    else if (look === 'at once' && this.#branchGuards.takeFrom(requests)) this.#lookAfterTurn()
    const all = [...requests]
      .filter((request) => this.#graph.mayClose(request))
      .sort((a, b) => a.id - b.id)
    requests.clear()
    if (all.length === 0) return
    await this.#proveAround(all)
    for (const request of all) this.#check(request, look)
  }

  /** Finds the cycle that a nested request closes. Reports it, or breaks it by rearranging the queues. */
  #check(request: Request, look: Look): void {
    const holder = request.holder
    if (holder === undefined || !this.#graph.mayClose(request)) return
    const proved = cycleThrough(request, this.#provedWaitsFor, leadsByProof)
    if (proved) {
      this.#found.add(proved, request, true)
      return
    }
    const isEnd = (node: Request): boolean => codeOf(node) === holder
    const path = findPath(request, isEnd, this.#graph.waitsFor)
    if (path) {
      this.#suspect(path, request, look)
      return
    }
    if (!this.#isLikelyEnough) this.#moved(this.#rearranger.alongProved(request, holder))
    if (!this.#graph.isJoined(request, holder)) return
    if (this.#isLikelyEnough || look === 'after deadlockAfterMs' || this.#deadlockAfterMs === 0) {
      this.#moved(this.#rearranger.alongAll(request, isEnd))
    } else if (look === 'at once') this.#checkAfterTurn(request)
    else this.#rearranger.later(request)
  }

  /** Handles a cycle that is not proved. */
  #suspect(path: readonly Request[], request: Request, look: Look): void {
    const likely =
      this.#isLikelyEnough &&
      cycleThrough(request, (node) => likelyWaitsFor(this.#graph, node), leadsLikely)
    if (likely) {
      this.#found.add(likely, request, true)
      return
    }
    const cycle = cycleAlong(path)
    const isKnown = this.#isLikelyEnough || this.#found.isKnown(cycle)
    if (look === 'at once' && !isKnown) this.#checkAfterTurn(request)
    else this.#found.add(cycle, request, false)
  }

  /** Checks moved requests: they may close cycles that are not proved. */
  #moved(requests: Iterable<Request>): void {
    for (const request of requests) if (request.isAwaited) this.#checkSoon([request])
  }

  /** Checks suspected cycles when the event loop runs empty: see {@link FoundCycles.lookAtSuspected}. */
  lookAtSuspected(): boolean {
    return this.#found.lookAtSuspected()
  }

  /** Makes all nested requests that may be in a cycle with these read their await chains. */
  async #proveAround(requests: readonly Request[]): Promise<void> {
    const [request] = requests
    const holder = requests.length === 1 ? request?.holder : undefined
    const { waitsBehind } = this.#graph
    // A cycle is complete where it reaches the holder again: its other nested requests need not be read.
    const onwards = (node: Request): Iterable<Request> =>
      holder !== undefined && codeOf(node) === holder && node !== request ? [] : waitsBehind(node)
    const nested: Request[] = []
    for (const node of reachable(requests, onwards)) if (node.holder) nested.push(node)
    await prove(nested)
  }
}
