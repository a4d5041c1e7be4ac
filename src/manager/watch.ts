/**
 * Watches requests that are made while their holder holds something: the only ones that can deadlock.
 *
 * A request waits for those before it in its queues; a holder waits for the nested requests that its
 * code awaits. Both kinds of edges appear only when a nested request is made, or when somebody
 * subscribes to its promise, so only then a circle is looked for, and only through that request. A
 * guard's release waits for all that is awaited in the context that asked for the guard.
 *
 * The victim is the youngest nested request of the circle, whoever found it.
 *
 * To be nested must not make a deadlock where there is none: a request that only stands before us, and
 * itself waits for our holder, is passed, with all who come after it. It cannot be granted before our
 * holder has ended, and that waits for us.
 *
 * Cost: nothing for a request that is not nested. For one that is, two look-ups for each lock held and
 * wanted; if it must wait, a search through those whom it waits for.
 */

import {
  blockersOf,
  comesBefore,
  isGranted,
  type Queues,
  ticketsOf,
} from '../backends/local/queues.ts'
import { type Caller, DeadlockError } from '../core/errors.ts'
import type { WantedLock } from '../core/modes.ts'
import type { DeadlockMember, DeadlockReport } from '../core/report.ts'
import { canReach, findCycle, findPath } from '../explain/cycle.ts'
import { OrderGraph } from '../explain/order-graph.ts'
import { type Places, stackAt } from './places.ts'
import { chainOf, labelOf, liveHolder, type Request } from './request.ts'

/** What a watch is told, and tells. */
export interface WatchOptions {
  readonly queues: Queues<Request>
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

/** The watch of one manager. */
export class Watch {
  readonly #options: WatchOptions
  readonly #order: OrderGraph | undefined
  /** Circles that were told and may still stand. */
  readonly #standing = new Set<string>()

  constructor(options: WatchOptions) {
    this.#options = options
    this.#order = options.trackOrder ? new OrderGraph() : undefined
  }

  /** A nested request is about to enter its queues: what that says of the order of locks. */
  wanted(request: Request, caller: Caller): void {
    if (this.#order === undefined) return
    const held = locksOf(request.holder)
    if (this.#order.isKnown(held, request.plan)) return
    const { places, tell } = this.#options
    const reports = this.#order.record(held, request.plan, {
      label: () => labelOf(request),
      heldAt: ({ by, name }) => places.of(by, name),
      wantedAt: () => {
        places.keep(request, caller)
        return places.of(request)
      },
    })
    for (const report of reports) tell.possible(report)
  }

  /** Enters the queues for a nested request that must wait. */
  enter(request: Request): void {
    const { queues } = this.#options
    const passed = this.#firstToPass(request)
    if (passed !== undefined) {
      queues.enterBefore(passed, request, request.plan)
      if (findCycle(request, waitsFor) === undefined) return
      // It waits for whom it passed, some other way: a deadlock if its holder waits for it, and none else.
      queues.leave(request)
      request.path = undefined
    }
    queues.enter(request, request.plan)
  }

  /**
   * Before whom a nested request must enter the queues: the first of those who wait for one of its names
   * and, by whatever way, for its own holder.
   */
  #firstToPass(request: Request): Request | undefined {
    const chain = new Set(chainOf(request.holder))
    const independent = new Set<Request>()
    const isOurs = (other: Request): boolean =>
      chain.has(other) ||
      (other.guard !== undefined && chain.has(liveHolder(other.holder) as Request))
    let first: Request | undefined
    for (const { name } of request.plan) {
      for (let at = this.#options.queues.get(name)?.first; at; at = at.after) {
        if (isGranted(at.claim)) {
          // Who asks again for what it has gets no place before others: that is what it must not do.
          if (isOurs(at.claim)) return undefined
        } else if (first && !comesBefore(at.claim, first)) {
          if (!at.leads) break
        } else if (canReach(at.claim, isOurs, waitsFor, independent)) first = at.claim
      }
    }
    return first
  }

  /** An edge of the wait-for graph has appeared, from its holder to a request: the circle that it closes. */
  check(request: Request): void {
    const { deadlockAfterMs, tell } = this.#options
    const { holder, options } = request
    if (holder === undefined || holder.state === 'ended' || options.detached || request.guard)
      return
    const isHolder = (node: Request): boolean => codeOf(node) === holder
    const cycle = findPath(request, isHolder, surelyWaitsFor)
    const victim = cycle && victimOf(cycle)
    if (cycle === undefined || victim === undefined) {
      const doubtful = findPath(request, isHolder, waitsFor)
      if (doubtful) {
        tell.suspected({ ...this.#reportOf(doubtful, victimOf(doubtful)), suspected: true })
      }
      return
    }
    const key = keyOf(cycle)
    if (this.#standing.has(key)) return
    this.#standing.add(key)
    tell.deadlock(this.#reportOf(cycle, victim))
    if (deadlockAfterMs === 0) this.#rejectIfItStands(cycle, victim)
    else setTimeout(() => this.#rejectIfItStands(cycle, victim), deadlockAfterMs)
  }

  #rejectIfItStands(cycle: readonly Request[], victim: Request): void {
    this.#standing.delete(keyOf(cycle))
    // The victim may also wait in other circles by now: with another victim, or with itself.
    const now = stands(cycle) ? cycle : findCycle(victim, surelyWaitsFor)
    if (now && victimOf(now) === victim) this.#reject(victim, this.#reportOf(now, victim))
    // More circles than one may have gone through each.
    for (const member of cycle) if (member.isAwaited && member.state !== 'ended') this.check(member)
  }

  #reject(victim: Request, report: DeadlockReport): void {
    const error = new DeadlockError(report)
    const place = this.#options.places.of(victim)
    if (place !== '') error.stack = stackAt(error, place)
    this.#options.fail(victim, error)
  }

  #reportOf(cycle: readonly Request[], victim: Request | undefined): DeadlockReport {
    const { places } = this.#options
    const waiting = cycle.filter((request) => request.state === 'waiting')
    const first = Math.max(0, waiting.indexOf(victim as Request))
    const members: DeadlockMember[] = []
    for (let i = 0; i < waiting.length; i++) {
      const request = waiting[(first + i) % waiting.length] as Request
      const next = waiting[(first + i + 1) % waiting.length] as Request
      const before = waiting[(first + i - 1 + waiting.length) % waiting.length] as Request
      const held = locksOf(request.holder)
      const shared = held.filter(({ mode }) => mode === 'shared').map(({ name }) => name)
      const wants = waitOf(request, after(cycle, request))
      const wantedFromUs = waitOf(before, after(cycle, before))
      const heldAt = places.of(after(cycle, before), wantedFromUs.name)
      members.push({
        thread: request.id,
        label: labelOf(request),
        holds: held.map(({ name }) => name),
        ...(shared.length > 0 && { holdsShared: shared }),
        waitsFor: wants.name,
        ...(wants.mode === 'shared' && { mode: wants.mode }),
        blocker: next.id,
        waitedMs: Date.now() - request.since,
        stack: places.of(request, wants.name),
        ...(heldAt !== '' && { heldAt }),
      })
    }
    return {
      kind: 'deadlock',
      between: 'tasks',
      detectedAtMs: Date.now(),
      victim: members[0]?.thread ?? 0,
      cycle: members,
    }
  }
}

/** A lock that is held, and who took it. */
interface HeldLock extends WantedLock<string> {
  readonly by: Request
}

/** The locks that a holder has, with those around it and the guards of their contexts. */
export function locksOf(holder: Request | undefined): HeldLock[] {
  const held: HeldLock[] = []
  for (let at = liveHolder(holder); at; at = liveHolder(at.holder)) {
    addLocks(held, at)
    if (at.nested === undefined) continue
    for (const nested of at.nested) {
      if (nested.guard && nested.state === 'holding') addLocks(held, nested)
    }
  }
  return held
}

function addLocks(held: HeldLock[], by: Request): void {
  for (let i = 0; i < by.plan.length; i++) {
    const { name, mode } = by.plan[i] as WantedLock<string>
    held.push({ name, mode, by })
  }
}

/** The wait-for graph: whose end a request or a holding waits for. */
function* waitsFor(request: Request): Generator<Request> {
  if (request.state === 'waiting') {
    for (const ticket of ticketsOf(request)) yield* blockersOf(ticket)
    return
  }
  for (const nested of codeOf(request)?.nested ?? NOBODY) {
    if (nested.isAwaited && nested.guard === undefined) yield nested
  }
}

/** In whose callback the code is that is to end a holding; of a guard, in whose it was asked for. */
function codeOf(request: Request): Request | undefined {
  if (request.state !== 'holding') return undefined
  return request.guard ? liveHolder(request.holder) : request
}

const NOBODY: readonly Request[] = []

/** The youngest nested request that waits. */
function victimOf(cycle: readonly Request[]): Request | undefined {
  let victim: Request | undefined
  for (const request of cycle) {
    if (request.state !== 'waiting' || liveHolder(request.holder) === undefined) continue
    if (victim === undefined || request.id > victim.id) victim = request
  }
  return victim
}

/** The wait-for graph without the edges to guards of one's own context: they may be two branches, or one. */
function* surelyWaitsFor(request: Request): Generator<Request> {
  for (const blocker of waitsFor(request)) {
    const isOwnGuard =
      request.state === 'waiting' &&
      blocker.guard !== undefined &&
      liveHolder(blocker.holder) === liveHolder(request.holder)
    if (!isOwnGuard) yield blocker
  }
}

function stands(cycle: readonly Request[]): boolean {
  return cycle.every((request) => [...surelyWaitsFor(request)].includes(after(cycle, request)))
}

/** What tells a circle from others, wherever one begins. */
function keyOf(cycle: readonly Request[]): string {
  const ids = cycle.map(({ id }) => id)
  const first = ids.indexOf(Math.min(...ids))
  return [...ids.slice(first), ...ids.slice(0, first)].join()
}

function after(cycle: readonly Request[], request: Request): Request {
  return cycle[(cycle.indexOf(request) + 1) % cycle.length] as Request
}

/** The lock that a request waits for because of this blocker. */
function waitOf(request: Request, blocker: Request): WantedLock<string> {
  const tickets = [...ticketsOf(request)]
  const ticket = tickets.find((one) => blockersOf(one).includes(blocker)) ?? tickets[0]
  const name = ticket?.queue.name ?? ''
  return { name, mode: ticket?.mode ?? 'exclusive' }
}
