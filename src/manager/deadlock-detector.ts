/**
 * Finds deadlocks of nested requests: the only ones that can deadlock.
 *
 * Steps      1. An edge can close a cycle when somebody subscribes to a nested request's promise, when a
 *               guard is granted or left to other code, and when a cycle has opened. A search that costs
 *               little says whether one may have closed.
 *            2. If so, the requests that are involved read their await chains (proof.ts), still in this
 *               turn of the event loop.
 *            3. A cycle of the proved graph is a deadlock: reported, and its victim rejected when it has
 *               stood for `deadlockAfterMs` and is proved once more.
 *            4. A cycle of the wait-for graph that is not proved is looked at again after this turn, then
 *               reported as suspected. It is looked at again and again, at growing intervals: it may be
 *               proved later.
 *            5. A cycle that needs an edge of the queue graph is opened by rearranging the queues
 *               (queue-rearrangement.ts): at once along proved edges, along others after
 *               `deadlockAfterMs`.
 * Invariant  Only a cycle whose every holder is proved to wait has a victim, unless `deadlockVictims` is
 *            `'likely'`.
 * Cost       Nothing for a request that is not nested. For one that must wait while others wait for its
 *            holder: a search from both sides, until the shorter one is done. The rest only where that
 *            finds something.
 */

import { stackBeginningAt } from '../core/call-site.ts'
import { DeadlockError } from '../core/errors.ts'
import type { DeadlockReport } from '../core/report.ts'
import { findPath, isJoined, reachable } from '../graph/path.ts'
import { afterThisTurn, reportAfter, reportIdlyAfter } from './clock.ts'
import { type Cycle, cycleAlong, isLikely, isProved } from './cycle.ts'
import { reportOf, victimOf } from './deadlock-report.ts'
import { soon } from './deferred.ts'
import { withDetails } from './details.ts'
import type { Places } from './places.ts'
import {
  isProvedToWait,
  likelyWaitsFor,
  prove,
  provedStandsBehind,
  provedWaitsFor,
  waitingInside,
} from './proof.ts'
import { rearrange } from './queue-rearrangement.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { type StandingCycle, StandingCycles } from './standing-cycles.ts'
import { codeOf, holdingsOf, type WaitGraph } from './wait-graph.ts'

/** Which deadlocks have a victim. */
export type DeadlockVictims = 'proved' | 'likely'

/** Options of a {@link DeadlockDetector}. */
export interface DetectorOptions {
  readonly graph: WaitGraph
  readonly deadlockAfterMs: number
  readonly deadlockVictims: DeadlockVictims
  readonly places: Places
  readonly reports: Pick<Reports, 'deadlock' | 'suspected'>
  /** Ends a request that waits. */
  readonly fail: (request: Request, error: Error) => void
}

/** The longest time between two looks at a suspected cycle. */
const MAX_LOOK_MS = 10_000
/** With `deadlockAfterMs: Infinity`, queues are rearranged along edges that are not proved after so long. */
const REARRANGE_AFTER_MS = 1000

/** How a request is looked at: in the turn in which a cycle may have closed, after it, or at last. */
type Look = 'at once' | 'after the turn' | 'after deadlockAfterMs'

/** The detector of one manager. */
export class DeadlockDetector {
  readonly #options: DetectorOptions
  readonly #graph: WaitGraph
  readonly #standing = new StandingCycles()
  /** Those that may close cycles now. */
  readonly #toCheck = new Set<Request>()
  /** Those that are looked at again after this turn. */
  readonly #afterTurn = new Set<Request>()
  /** Those whose queues are rearranged along edges that are not proved, and what cancels that. */
  readonly #toRearrange = new Map<Request, () => void>()

  constructor(options: DetectorOptions) {
    this.#options = options
    this.#graph = options.graph
  }

  readonly #provedWaitsFor = (request: Request): Iterable<Request> =>
    provedWaitsFor(this.#graph, request)

  /** Whether what is likely counts as proved. */
  get #isLikelyEnough(): boolean {
    return this.#options.deadlockVictims === 'likely'
  }

  /** Somebody has subscribed to a nested request's promise. */
  awaited(request: Request): void {
    const { holder, details } = request
    const isLeft = details?.leftBehind === 'left behind'
    if (request.isAwaited && !isLeft) return
    request.isAwaited = true
    if (details && isLeft) details.leftBehind = 'awaited since'
    if (holder?.isOwner) holder.isAwaited = true
    if (this.#mayClose(request)) this.#checkSoon([request])
  }

  /** A guard is out, or out in another context than before: its release waits for what the code there awaits. */
  guarded(guard: Request): void {
    if (this.#graph.isAnyInTheWay([guard])) this.#checkSoon(codeOf(guard)?.nested ?? [])
  }

  /** It waits no longer, or holds no longer: every cycle it was in is open. */
  ended(request: Request): void {
    if (this.#toRearrange.size > 0) this.#rearrangeNoMore(request)
    if (this.#standing.size > 0) this.#openCyclesOf(request)
  }

  #rearrangeNoMore(request: Request): void {
    this.#toRearrange.get(request)?.()
    this.#toRearrange.delete(request)
  }

  /**
   * A nested request was left to the code around its holder. What has awaited it so far may be awaited there:
   * that must be proved, and is not likely.
   */
  handedOn(nested: Request): void {
    withDetails(nested).leftBehind = 'left behind'
    this.#openCyclesOf(nested)
    if (this.#mayClose(nested)) this.#checkSoon([nested])
  }

  /**
   * The event loop has run empty: looks once more at each cycle that is only suspected. Whether there
   * are some that it has not looked at so.
   */
  lookAtSuspected(): boolean {
    let isAny = false
    for (const standing of this.#standing.all()) {
      if (standing.isDeadlock || standing.isLookedAtIdly) continue
      standing.isLookedAtIdly = true
      standing.cancel?.()
      void this.#lookAt(standing)
      isAny = true
    }
    return isAny
  }

  #openCyclesOf(request: Request): void {
    for (const standing of this.#standing.of(request)) {
      this.#standing.remove(standing)
      // Other cycles may go through the same requests, and some may have kept them from being moved.
      this.#checkSoon(standing.closedBy)
    }
  }

  /** When all has happened that happens now: of many that are stolen from at once, all have ended. */
  #checkSoon(requests: Iterable<Request>): void {
    for (const request of requests) {
      if (this.#toCheck.size === 0) void soon(() => this.#checkAll(this.#toCheck, 'at once'))
      this.#toCheck.add(request)
    }
  }

  #checkAfterTurn(request: Request): void {
    if (this.#afterTurn.size === 0) {
      afterThisTurn(() => void this.#checkAll(this.#afterTurn, 'after the turn'))
    }
    this.#afterTurn.add(request)
  }

  /** Checks the requests, the oldest first, and empties the set. */
  async #checkAll(requests: Set<Request>, look: Look): Promise<void> {
    const all = [...requests]
      .filter((request) => this.#mayClose(request))
      .sort((a, b) => a.id - b.id)
    requests.clear()
    if (all.length === 0) return
    await this.#proveAround(all)
    for (const request of all) this.#check(request, look)
  }

  /** The cycle that a nested request closes: reported, or opened where the queues can be rearranged. */
  #check(request: Request, look: Look): void {
    const holder = request.holder
    if (holder === undefined || !this.#mayClose(request)) return
    const proved = cycleThrough(request, this.#provedWaitsFor)
    if (proved) {
      this.#report(proved, request, true)
      return
    }
    const isEnd = (node: Request): boolean => codeOf(node) === holder
    const path = findPath(request, isEnd, this.#graph.waitsFor)
    if (path) {
      this.#suspect(path, request, look)
      return
    }
    if (!this.#isLikelyEnough) this.#rearrangeProved(request, holder)
    if (!this.#isStillJoined(request, holder)) return
    const { deadlockAfterMs } = this.#options
    if (this.#isLikelyEnough || look === 'after deadlockAfterMs' || deadlockAfterMs === 0) {
      const { waitsFor, standsBehind } = this.#graph
      this.#moved(rearrange(this.#graph, [request], isEnd, waitsFor, standsBehind))
    } else if (look === 'at once') this.#checkAfterTurn(request)
    else this.#rearrangeLater(request)
  }

  /** A cycle is there that is not proved. */
  #suspect(path: readonly Request[], request: Request, look: Look): void {
    const likely =
      this.#isLikelyEnough && cycleThrough(request, (node) => likelyWaitsFor(this.#graph, node))
    if (likely) {
      this.#report(likely, request, true)
      return
    }
    const cycle = cycleAlong(path)
    const isKnown = this.#isLikelyEnough || this.#standing.get(cycle) !== undefined
    if (look === 'at once' && !isKnown) this.#checkAfterTurn(request)
    else this.#report(cycle, request, false)
  }

  /** Moves those that wait for the holder, by proved edges, behind what it is proved to wait for. */
  #rearrangeProved(request: Request, holder: Request): void {
    const starts = request.state === 'waiting' ? [request] : waitingInside(request)
    const proved = starts.filter((waiting) => isProvedToWait(holder, waiting))
    if (proved.length === 0) return
    const isEnd = (node: Request): boolean => codeOf(node) === holder || proved.includes(node)
    const standsBehind = (node: Request): Iterable<Request> => provedStandsBehind(this.#graph, node)
    this.#moved(rearrange(this.#graph, proved, isEnd, this.#provedWaitsFor, standsBehind))
  }

  #rearrangeLater(request: Request): void {
    const { deadlockAfterMs } = this.#options
    if (this.#toRearrange.has(request)) return
    const look = (): void => {
      this.#toRearrange.delete(request)
      void this.#checkAll(new Set([request]), 'after deadlockAfterMs')
    }
    const afterMs =
      deadlockAfterMs === Number.POSITIVE_INFINITY ? REARRANGE_AFTER_MS : deadlockAfterMs
    this.#toRearrange.set(request, reportAfter(afterMs, look))
  }

  /** Those that were moved may close cycles that are not proved. */
  #moved(requests: Iterable<Request>): void {
    for (const request of requests) if (request.isAwaited) this.#checkSoon([request])
  }

  /** Reports a cycle, unless it stands and was reported as this before. */
  #report(cycle: Cycle, closedBy: Request, isDeadlock: boolean): void {
    const known = this.#standing.get(cycle)
    known?.closedBy.add(closedBy)
    if (known && (known.isDeadlock || !isDeadlock)) return
    const standing = known ?? this.#standing.add(cycle, closedBy)
    this.#tell(standing, isDeadlock ? 'deadlock' : 'suspected')
    // Proved later, it has stood for long enough.
    if (isDeadlock && (known?.looks || this.#options.deadlockAfterMs === 0)) this.#reject(standing)
    else if (!known) this.#lookLater(standing)
  }

  #lookLater(standing: StandingCycle): void {
    const { deadlockAfterMs } = this.#options
    const { looks } = standing
    if (deadlockAfterMs === Number.POSITIVE_INFINITY) return
    const look = (): void => void this.#lookAt(standing)
    standing.cancel =
      looks === 0
        ? reportAfter(deadlockAfterMs, look)
        : reportIdlyAfter(Math.min(Math.max(deadlockAfterMs, 1) * 2 ** looks, MAX_LOOK_MS), look)
  }

  /** Rejects the victim of a cycle that stands, if it is proved now. */
  async #lookAt(standing: StandingCycle): Promise<void> {
    const { cycle, closedBy } = standing
    standing.looks++
    await prove(cycle.map((link) => link.waiting))
    if (!this.#standing.has(standing)) return
    if (isProved(cycle) || (this.#isLikelyEnough && isLikely(cycle))) {
      if (!standing.isDeadlock) this.#tell(standing, 'deadlock')
      this.#reject(standing)
      return
    }
    if (standing.isDeadlock) this.#tell(standing, 'suspected')
    this.#lookLater(standing)
    // Another cycle through the same requests may be proved by now. All that are due are looked at together.
    for (const request of closedBy) this.#checkAfterTurn(request)
  }

  #tell(standing: StandingCycle, kind: 'deadlock' | 'suspected'): void {
    standing.isDeadlock = kind === 'deadlock'
    this.#options.reports[kind](this.#reportOf(standing))
  }

  #reject(standing: StandingCycle): void {
    const victim = victimOf(standing.cycle)
    const error = new DeadlockError(this.#reportOf(standing))
    const place = this.#options.places.of(victim)
    if (place !== '') error.stack = stackBeginningAt(error, place)
    this.#options.fail(victim, error)
  }

  #reportOf({ cycle, isDeadlock }: StandingCycle): DeadlockReport {
    const { places, deadlockAfterMs } = this.#options
    const hasVictim = isDeadlock && deadlockAfterMs !== Number.POSITIVE_INFINITY
    return reportOf(cycle, victimOf(cycle), hasVictim, places, this.#graph)
  }

  /** Whether a nested request can be in a cycle with its holder, be it only by its place in a queue. */
  #mayClose(request: Request): boolean {
    const { holder, options } = request
    if (!request.isAwaited || options.detached || request.isGuard) return false
    if (holder === undefined || holder.state === 'ended') return false
    // Most often it waits for nothing.
    if (request.state !== 'waiting' && !codeOf(request)?.nested?.size) return false
    // Nor does anything wait for its holder.
    if (!holder.isAwaited && !this.#graph.isAnyInTheWay(holdingsOf(holder))) return false
    return this.#isStillJoined(request, holder)
  }

  #isStillJoined(request: Request, holder: Request): boolean {
    const { standsBehind, standsBefore } = this.#graph
    return isJoined(request, holdingsOf(holder), standsBehind, standsBefore)
  }

  /** Has all nested requests that may be in a cycle with these read their await chains. */
  async #proveAround(requests: readonly Request[]): Promise<void> {
    const [request] = requests
    const holder = requests.length === 1 ? request?.holder : undefined
    const { standsBehind } = this.#graph
    // A cycle has come round where it reaches the holder again: what else waits in there is not asked.
    const onwards = (node: Request): Iterable<Request> =>
      holder !== undefined && codeOf(node) === holder && node !== request ? [] : standsBehind(node)
    const nested: Request[] = []
    for (const node of reachable(requests, onwards)) if (node.holder) nested.push(node)
    await prove(nested)
  }
}

/** A cycle of a graph through a request, or through one that waits inside its callback. */
function cycleThrough(
  request: Request,
  edges: (from: Request) => Iterable<Request>,
): Cycle | undefined {
  const starts = request.state === 'waiting' ? [request] : waitingInside(request)
  for (const start of starts) {
    const path = findPath(start, (node) => node === start, edges)
    if (path) return cycleAlong(path.slice(0, -1))
  }
  return undefined
}
