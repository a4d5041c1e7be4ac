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
 * itself waits for our holder, is passed. It cannot be granted before our holder has ended, and that
 * waits for us.
 *
 * Cost: nothing for a request that is not nested. For one that is, two look-ups for each lock held and
 * wanted; if it must wait, a search through those whom it waits for.
 */

import {
  blockersOf,
  isGranted,
  type Queue,
  type Ticket,
  ticketsOf,
} from '../backends/local/queues.ts'
import { type Caller, DeadlockError } from '../core/errors.ts'
import type { WantedLock } from '../core/modes.ts'
import type { DeadlockMember, DeadlockReport } from '../core/report.ts'
import { canReach, findCycle } from '../explain/cycle.ts'
import { OrderGraph } from '../explain/order-graph.ts'
import { type Places, stackAt } from './places.ts'
import { chainOf, labelOf, liveHolder, type Request } from './request.ts'

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

/** The watch of one manager. */
export class Watch {
  readonly #options: WatchOptions
  readonly #order: OrderGraph | undefined

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

  /** Where a nested request enters a queue: before the first who waits for its holder, if any does. */
  placeIn(
    request: Request,
  ): (queue: Queue<Request>, mode: WantedLock['mode']) => Ticket<Request> | undefined {
    const chain = new Set(chainOf(request.holder))
    const independent = new Set<Request>()
    const isOurs = (other: Request): boolean =>
      chain.has(other) ||
      (other.guard !== undefined && chain.has(liveHolder(other.holder) as Request))
    return (queue, mode) => {
      let place: Ticket<Request> | undefined
      for (let at = queue.first; at; at = at.after) {
        if (isGranted(at.claim)) {
          // Who asks again for what it has gets no place before others: that is what it must not do.
          // And alone nobody can come before one who holds.
          if (isOurs(at.claim) || (place && mode === 'exclusive')) return undefined
        } else if (place === undefined && canReach(at.claim, isOurs, waitsFor, independent)) {
          place = at
        }
        if (place && !at.leads) break
      }
      return place
    }
  }

  /** An edge of the wait-for graph has appeared: to a request from its holder, or by its passing. */
  check(request: Request): void {
    const cycle = findCycle(request, waitsFor)
    if (cycle === undefined) return
    const { deadlockAfterMs, tell } = this.#options
    const victim = victimOf(cycle)
    if (victim === undefined || isSuspected(cycle)) {
      tell.suspected({ ...this.#reportOf(cycle, victim), suspected: true })
      return
    }
    const report = this.#reportOf(cycle, victim)
    tell.deadlock(report)
    if (deadlockAfterMs === 0) this.#reject(victim, report)
    else setTimeout(() => this.#rejectIfItStands(request, victim), deadlockAfterMs)
  }

  #rejectIfItStands(request: Request, victim: Request): void {
    const cycle = victim.state === 'waiting' ? findCycle(victim, waitsFor) : undefined
    if (cycle && !isSuspected(cycle)) this.#reject(victim, this.#reportOf(cycle, victim))
    // It may have closed more than one circle.
    if (cycle && request.state === 'waiting') this.check(request)
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
  const holder = request.guard ? liveHolder(request.holder) : request
  for (const nested of holder?.nested ?? NOBODY) {
    if (nested.isAwaited && nested.guard === undefined) yield nested
  }
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

/** Whether somebody waits for a guard of its own context: they may be two branches, or one. */
function isSuspected(cycle: readonly Request[]): boolean {
  return cycle.some((request) => {
    const blocker = after(cycle, request)
    return (
      request.state === 'waiting' &&
      blocker.guard !== undefined &&
      liveHolder(blocker.holder) === liveHolder(request.holder)
    )
  })
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
