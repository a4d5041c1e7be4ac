/**
 * Watches requests that are made while their holder holds something: the only ones that can deadlock.
 *
 * Whenever a promise or a guard gives the graphs of wait-graph.ts an edge that can close a circle, one is
 * looked for through that edge, and through no other. A circle in the wait-for graph is told, and stands
 * until one of its members ends; then whoever closed it is looked at again. A circle that needs an edge
 * of the queue graph is opened by moving requests, before anything comes of it (passing.ts).
 *
 * Cost: nothing for a request that is not nested. For one that is, the look-ups of the order graph. If
 * it must wait, and others wait for what its holder has: a search through those for whom it waits, and
 * one through those who wait for its holder, until the shorter of the two is done.
 */

import type { Caller } from '../core/errors.ts'
import { DeadlockError } from '../core/errors.ts'
import { locksIn } from '../core/plan.ts'
import type { DeadlockReport } from '../core/report.ts'
import { findPath, isJoined } from '../explain/cycle.ts'
import { OrderGraph } from '../explain/order-graph.ts'
import { reportAfter } from './clock.ts'
import { reportOf, victimOf } from './deadlock-report.ts'
import { letPass } from './passing.ts'
import { type Places, stackAt } from './places.ts'
import { labelOf, type Request } from './request.ts'
import {
  codeOf,
  holdingsOf,
  isAnyInTheWay,
  isDoubtful,
  locksOf,
  onlyLockOf,
  standsBefore,
  standsBehind,
  surelyWaitsFor,
  waitsFor,
} from './wait-graph.ts'

/** What a watch is told, and tells. */
export interface WatchOptions {
  readonly deadlockAfterMs: number
  /** Whether to keep an order graph. */
  readonly trackOrder: boolean
  readonly places: Places
  readonly tell: {
    deadlock(report: DeadlockReport): void
    suspected(report: DeadlockReport): void
    possible(report: ReturnType<OrderGraph['record']>[number]): void
  }
  /** Ends a request that waits. */
  readonly fail: (request: Request, error: Error) => void
}

/** A circle that was told and stands. */
interface Circle {
  readonly key: string
  readonly members: readonly Request[]
  /** Whose promises, awaited, have closed it. */
  readonly closedBy: Set<Request>
  /** Keeps its victim from being rejected. */
  spare: (() => void) | undefined
}

/** The watch of one manager. */
export class Watch {
  readonly #options: WatchOptions
  readonly #order: OrderGraph | undefined
  /** The circles that were told and stand, deadlocks and suspected ones, by what tells them apart. */
  readonly #standing = new Map<string, Circle>()
  /** The same, by their members. */
  readonly #circlesOf = new Map<Request, Set<Circle>>()
  /** Those who may close circles now. */
  readonly #toCheck = new Set<Request>()

  constructor(options: WatchOptions) {
    this.#options = options
    this.#order = options.trackOrder ? new OrderGraph() : undefined
  }

  /** A nested request is about to enter its queues: what that says of the order of locks. */
  wanted(request: Request, caller: Caller): void {
    if (this.#order === undefined) return
    const only = onlyLockOf(request.holder)
    const { plan } = request
    if (only && plan.next === undefined && this.#order.isPairKnown(only, plan)) return
    const held = locksOf(request.holder)
    const wanted = locksIn(plan)
    if (this.#order.isKnown(held, wanted)) return
    const { places, tell } = this.#options
    const reports = this.#order.record(held, wanted, {
      label: () => labelOf(request),
      heldAt: ({ by, name }) => ({ heldAt: '', ...places.ofHeld(by, name) }),
      wantedAt: () => {
        places.keep(request, caller)
        return places.of(request)
      },
    })
    for (const report of reports) tell.possible(report)
  }

  /** Whoever gets a nested request's promise now waits for it. */
  awaited(request: Request): void {
    if (request.isAwaited) return
    request.isAwaited = true
    this.#check(request)
  }

  /**
   * A guard is out, or out in another context than before: its release waits for what the code there
   * awaits.
   */
  guarded(guard: Request): void {
    if (isAnyInTheWay([guard])) this.#checkSoon(codeOf(guard)?.nested ?? [])
  }

  /** It waits no longer, or holds no longer: whatever circle it was in is open. */
  ended(request: Request): void {
    if (this.#standing.size === 0) return
    for (const circle of this.#circlesOf.get(request) ?? []) this.#open(circle)
  }

  /** A nested request was left to the code around: the guards of the context do not wait for it now. */
  handedOn(nested: Request): void {
    if (this.#standing.size === 0) return
    for (const circle of this.#circlesOf.get(nested) ?? []) {
      const waitsForIt = circle.members.at(circle.members.indexOf(nested) - 1)
      if (waitsForIt?.isGuard) this.#open(circle)
    }
  }

  /** The circle that a request closes, whose code waits for it: told, or opened where it can be. */
  #check(request: Request): void {
    const { holder, options } = request
    if (!request.isAwaited || options.detached || request.isGuard) return
    if (holder === undefined || holder.state === 'ended') return
    // Most often it waits for nobody.
    if (request.state !== 'waiting' && !codeOf(request)?.nested?.size) return
    // Nor does anybody wait for its holder.
    if (!holder.isAwaited && !isAnyInTheWay(holdingsOf(holder))) return
    if (!isJoined(request, holdingsOf(holder), standsBehind, standsBefore)) return
    const isEnd = (node: Request): boolean => codeOf(node) === holder
    const isSureEnd = (node: Request): boolean => isEnd(node) && !isDoubtful(node)
    const sure = findPath(request, isSureEnd, surelyWaitsFor)
    if (sure) this.#tell(sure, request)
    const cycle = sure ?? findPath(request, isEnd, waitsFor)
    if (cycle === undefined) letPass(request, holder)
    else if (!sure) this.#suspect(cycle, request)
  }

  /** A deadlock. */
  #tell(cycle: readonly Request[], closedBy: Request): void {
    const circle = this.#newlyClosed(cycle, closedBy)
    if (circle === undefined) return
    const { deadlockAfterMs, tell } = this.#options
    tell.deadlock(this.#reportOf(circle))
    if (deadlockAfterMs === 0) this.#endOne(circle)
    else if (deadlockAfterMs !== Number.POSITIVE_INFINITY) {
      circle.spare = reportAfter(deadlockAfterMs, () => this.#endOne(circle))
    }
  }

  /** What may be one. */
  #suspect(cycle: readonly Request[], closedBy: Request): void {
    const circle = this.#newlyClosed(cycle, closedBy)
    if (circle) this.#tellSuspected(circle)
  }

  #tellSuspected(circle: Circle): void {
    this.#options.tell.suspected({ ...this.#reportOf(circle), suspected: true })
  }

  /** Rejects the victim of a circle that stands, unless branches have shown meanwhile. */
  #endOne(circle: Circle): void {
    if (!circle.members.some(isDoubtful)) this.#reject(circle)
    else {
      this.#tellSuspected(circle)
      this.#checkSoon(circle.closedBy)
    }
  }

  /** A circle, unless it was told before and stands. */
  #newlyClosed(members: readonly Request[], closedBy: Request): Circle | undefined {
    const key = keyOf(members)
    const before = this.#standing.get(key)
    if (before) {
      before.closedBy.add(closedBy)
      return undefined
    }
    const circle: Circle = { key, members, closedBy: new Set([closedBy]), spare: undefined }
    this.#standing.set(key, circle)
    for (const member of members) {
      const circles = this.#circlesOf.get(member)
      if (circles) circles.add(circle)
      else this.#circlesOf.set(member, new Set([circle]))
    }
    return circle
  }

  #open(circle: Circle): void {
    circle.spare?.()
    this.#standing.delete(circle.key)
    for (const member of circle.members) {
      const circles = this.#circlesOf.get(member)
      circles?.delete(circle)
      if (circles?.size === 0) this.#circlesOf.delete(member)
    }
    // There may be other circles through the same requests, and some that they kept from passing.
    this.#checkSoon(circle.closedBy)
  }

  /** When all has happened that happens now: of many that are robbed at once, all have ended. */
  #checkSoon(requests: Iterable<Request>): void {
    for (const request of requests) {
      if (this.#toCheck.size === 0) then.call(SETTLED, () => this.#checkNow())
      this.#toCheck.add(request)
    }
  }

  #checkNow(): void {
    // The oldest first: whoever passes first comes first.
    const requests = [...this.#toCheck].sort((a, b) => a.id - b.id)
    this.#toCheck.clear()
    for (const request of requests) this.#check(request)
  }

  #reject(circle: Circle): void {
    const victim = victimOf(circle.members)
    const error = new DeadlockError(this.#reportOf(circle))
    const place = this.#options.places.of(victim)
    if (place !== '') error.stack = stackAt(error, place)
    this.#options.fail(victim, error)
  }

  #reportOf({ members }: Circle): DeadlockReport {
    return reportOf(members, victimOf(members), this.#options.places)
  }
}

const SETTLED = Promise.resolve()
/** Not the promise's own: it may have been replaced. */
const { then } = Promise.prototype

/** What tells a circle from others, wherever one begins. */
function keyOf(cycle: readonly Request[]): string {
  const ids = cycle.map(({ id }) => id)
  const first = ids.indexOf(ids.reduce((a, b) => Math.min(a, b)))
  return [...ids.slice(first), ...ids.slice(0, first)].join()
}
