/**
 * Watches requests that are made while their holder holds something: the only ones that can deadlock.
 *
 * Two graphs. In the *wait-for graph* a request waits for those who hold its locks, and a holder for the
 * nested requests that its code awaits: a circle is a deadlock. In the *order graph of the queues* a
 * request also waits for those who only stand before it. A circle that needs such an edge is none of the
 * user's making: the nested request in it passes whoever waits for its own holder.
 *
 * Both get an edge that can close a circle only when somebody subscribes to the promise of a nested
 * request; when a guard is granted, or left behind by a callback: its release waits for all that is
 * awaited in the context that asked for it; and when one request passes another. So only then, and only
 * through that edge, a circle is looked for.
 *
 * The victim is the youngest nested request of the circle, whoever found it.
 *
 * Cost: nothing for a request that is not nested. For one that is, two look-ups for each lock held and
 * wanted. If it must wait, and others wait for what its holder has: a search through the holders whom it
 * waits for, and one through those who stand before it or wait for its holder, whichever are fewer.
 */

import {
  blockedBy,
  blockersOf,
  comesBefore,
  holdersBefore,
  type Queues,
  ticketsOf,
} from '../backends/local/queues.ts'
import { type Caller, DeadlockError } from '../core/errors.ts'
import type { WantedLock } from '../core/modes.ts'
import { locksIn } from '../core/plan.ts'
import type { DeadlockMember, DeadlockReport } from '../core/report.ts'
import {
  canReach,
  findCycle,
  findPath,
  isJoined,
  nodesBetween,
  nodesOnCycles,
} from '../explain/cycle.ts'
import { OrderGraph } from '../explain/order-graph.ts'
import { callAfter } from './clock.ts'
import { type Places, stackAt } from './places.ts'
import { labelOf, liveHolder, type Request, stopBy } from './request.ts'

/** So many suspicions are remembered. */
const MOST_SUSPECTED = 1000

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

/** A circle that was told. */
interface Circle {
  readonly members: readonly Request[]
  /** Whether one of them has moved on since. */
  isOpen: boolean
}

/** The watch of one manager. */
export class Watch {
  readonly #options: WatchOptions
  readonly #order: OrderGraph | undefined
  /** Circles that were told and may still stand. */
  readonly #standing = new Set<string>()
  /** The circles, and suspected ones, that a request is or was in. */
  readonly #circlesOf = new Map<Request, Circle[]>()
  /** Those in circles that are open now. */
  readonly #toCheckAgain = new Set<Request>()
  readonly #suspected = new Set<string>()

  constructor(options: WatchOptions) {
    this.#options = options
    this.#order = options.trackOrder ? new OrderGraph() : undefined
  }

  /** A nested request is about to enter its queues: what that says of the order of locks. */
  wanted(request: Request, caller: Caller): void {
    if (this.#order === undefined) return
    const held = locksOf(request.holder)
    const wanted = locksIn(request.plan)
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
    if (!isInTheWay(guard)) return
    for (const nested of codeOf(guard)?.nested ?? NOBODY) this.#check(nested)
  }

  /** A wait is over, or a holding: whatever circle it was in is open. */
  movedOn(request: Request): void {
    if (this.#circlesOf.size === 0) return
    const circles = this.#circlesOf.get(request)
    this.#circlesOf.delete(request)
    for (const circle of circles ?? []) {
      if (!circle.isOpen) this.#checkAgainSoon(circle.members)
      circle.isOpen = true
    }
  }

  /** The circle that a request closes, whose code waits for it: told, or opened where it can be. */
  #check(request: Request): void {
    const { holder, options } = request
    if (!request.isAwaited || options.detached || request.isGuard) return
    if (holder === undefined || holder.state === 'ended') return
    // Most often it waits for nobody.
    if (request.state !== 'waiting' && !codeOf(request)?.nested?.size) return
    if (!isInCircle(request, waitingFor(request))) return
    const isHolder = (node: Request): boolean => codeOf(node) === holder
    const cycle = findPath(request, isHolder, surelyWaitsFor)
    if (cycle) this.#tell(cycle)
    else {
      const doubtful = findPath(request, isHolder, waitsFor)
      if (doubtful) this.#suspect(doubtful)
    }
    this.#letPass(request)
  }

  /** A deadlock. One that was told before is not told again while it may stand. */
  #tell(cycle: readonly Request[]): void {
    const { deadlockAfterMs, tell } = this.#options
    const key = keyOf(cycle)
    const victim = victimOf(cycle)
    if (victim === undefined || this.#standing.has(key)) return
    this.#standing.add(key)
    this.#remember(cycle)
    tell.deadlock(this.#reportOf(cycle, victim))
    if (deadlockAfterMs === 0) {
      this.#rejectIfItStands(cycle, victim)
      return
    }
    const cancel =
      deadlockAfterMs === Number.POSITIVE_INFINITY
        ? undefined
        : callAfter(deadlockAfterMs, () => this.#rejectIfItStands(cycle, victim))
    stopBy(victim, () => {
      cancel?.()
      this.#standing.delete(key)
    })
  }

  /** What may be one. It is told once, as far as that is remembered. */
  #suspect(cycle: readonly Request[]): void {
    const key = keyOf(cycle)
    if (this.#suspected.has(key)) return
    this.#remember(cycle)
    if (this.#suspected.size >= MOST_SUSPECTED) this.#suspected.clear()
    this.#suspected.add(key)
    const report = this.#reportOf(cycle, victimOf(cycle))
    this.#options.tell.suspected({ ...report, suspected: true })
  }

  #rejectIfItStands(cycle: readonly Request[], victim: Request): void {
    this.#standing.delete(keyOf(cycle))
    // The victim may also wait in other circles by now: with another victim, or with itself.
    const now = stands(cycle) ? cycle : findCycle(victim, surelyWaitsFor)
    if (now && victimOf(now) === victim) this.#reject(victim, this.#reportOf(now, victim))
    this.#checkAgainSoon(cycle)
  }

  #remember(members: readonly Request[]): void {
    const circle = { members, isOpen: false }
    for (const member of members) {
      const circles = this.#circlesOf.get(member)
      if (circles) circles.push(circle)
      else this.#circlesOf.set(member, [circle])
    }
  }

  /** When all has happened that happens now. */
  #checkAgainSoon(members: readonly Request[]): void {
    if (this.#toCheckAgain.size === 0) void SETTLED.then(() => this.#checkAgain())
    for (const member of members) this.#toCheckAgain.add(member)
  }

  /** Circles are open. There may be others through the same requests, and some that they kept from passing. */
  #checkAgain(): void {
    const circular = nodesOnCycles(this.#toCheckAgain, standsBehind)
    this.#toCheckAgain.clear()
    const awaited = [...circular].filter(({ isAwaited }) => isAwaited)
    for (const request of awaited.sort((a, b) => a.id - b.id)) this.#check(request)
  }

  /**
   * Lets requests pass others who only stand before them, and wait for their holders: those who do so
   * because a request is now waited for, or has passed somebody. Each passes each once at most.
   */
  #letPass(awaited: Request): void {
    const passed = new Map<Request, Set<Request>>()
    /** New circles lead to those, by those before: who waits for it now, and who was passed by it. */
    const changed = new Map([[awaited, waitingFor(awaited)]])
    for (let isMoved = true; isMoved; ) {
      isMoved = false
      for (const request of nestedWaitersAround(changed)) {
        const before = passed.get(request) ?? new Set()
        const other = firstToPass(request, before)
        if (other === undefined) continue
        passed.set(request, before.add(other))
        this.#options.queues.moveBefore(other, request)
        changed.set(request, [request])
        isMoved = true
        break
      }
    }
  }

  #reject(victim: Request, report: DeadlockReport): void {
    const error = new DeadlockError(report)
    const place = this.#options.places.of(victim)
    if (place !== '') error.stack = stackAt(error, place)
    this.#options.fail(victim, error)
  }

  #reportOf(cycle: readonly Request[], victim: Request | undefined): DeadlockReport {
    const { places } = this.#options
    const waits = cycle
      .map((request, i) => ({ request, blocker: cycle[(i + 1) % cycle.length] as Request }))
      .filter(({ request }) => request.state === 'waiting')
      .map((wait) => ({ ...wait, wants: waitOf(wait.request, wait.blocker) }))
    const first = Math.max(
      0,
      waits.findIndex(({ request }) => request === victim),
    )
    const fromVictim = [...waits.slice(first), ...waits.slice(0, first)]
    const members = fromVictim.map(({ request, wants }, i): DeadlockMember => {
      const next = fromVictim[(i + 1) % waits.length]
      const before = fromVictim.at(i - 1)
      const held = locksOf(request.holder)
      const shared = held.filter(({ mode }) => mode === 'shared').map(({ name }) => name)
      return {
        thread: request.id,
        label: labelOf(request),
        holds: held.map(({ name }) => name),
        ...(shared.length > 0 && { holdsShared: shared }),
        waitsFor: wants.name,
        ...(wants.mode === 'shared' && { mode: wants.mode }),
        blocker: next?.request.id ?? 0,
        waitedMs: Date.now() - request.since,
        stack: places.of(request),
        ...(before && places.ofHeld(before.blocker, before.wants.name)),
      }
    })
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

function addLocks(held: HeldLock[], by: Request): void {
  for (const { name, mode } of locksIn(by.plan)) held.push({ name, mode, by })
}

/** The wait-for graph: whose end a request or a holding waits for. */
function* waitsFor(request: Request): Generator<Request> {
  if (request.state !== 'waiting') yield* awaitedBy(request)
  else for (const ticket of ticketsOf(request)) yield* holdersBefore(ticket)
}

/** The same with those who only stand before it: the nearest, and the first holder as a short cut. */
function* standsBehind(request: Request): Generator<Request> {
  if (request.state !== 'waiting') yield* awaitedBy(request)
  else {
    for (const ticket of ticketsOf(request)) {
      for (const holder of holdersBefore(ticket)) {
        yield holder
        break
      }
      yield* blockersOf(ticket)
    }
  }
}

function* awaitedBy(holding: Request): Generator<Request> {
  for (const nested of codeOf(holding)?.nested ?? NOBODY) if (nested.isAwaited) yield nested
}

/** `standsBehind` backwards: who stands behind a request, or waits for it in the code that made it. */
function* standsBefore(request: Request): Generator<Request> {
  if (request.isAwaited && request.holder?.nested?.has(request)) yield* holdingsOf(request.holder)
  for (const ticket of ticketsOf(request)) yield* blockedBy(ticket)
}

/** Whose end waits for a nested request that is awaited: its holder's, and that of its holder's guards. */
function waitingFor({ holder }: Request): Request[] {
  return holder ? [...holdingsOf(holder)] : []
}

/** Whether a request stands behind some by whom it is waited for. */
function isInCircle(request: Request, by: Iterable<Request>): boolean {
  return isJoined(request, by, standsBehind, standsBefore)
}

/**
 * The nested requests that wait and are awaited, in the circles through some by those who wait for them:
 * the first of these first, where it waits, then the oldest.
 */
function* nestedWaitersAround(changed: ReadonlyMap<Request, Request[]>): Generator<Request> {
  const circular = [...changed].filter(([request, by]) => isInCircle(request, by))
  const [first] = changed.keys()
  if (first && first === circular[0]?.[0] && isNestedWaiter(first)) yield first
  const waiters = new Set<Request>()
  for (const [request, by] of circular) {
    for (const one of nodesBetween(request, by, standsBehind, standsBefore)) {
      if (one !== first && isNestedWaiter(one)) waiters.add(one)
    }
  }
  yield* [...waiters].sort((a, b) => a.id - b.id)
}

function isNestedWaiter({ state, isAwaited, holder, options }: Request): boolean {
  return state === 'waiting' && isAwaited && holder !== undefined && !options.detached
}

/** The first who stands in a request's way and only waits, by whatever way for its holder. */
function firstToPass(request: Request, but: ReadonlySet<Request>): Request | undefined {
  const { holder } = request
  if (holder === undefined) return undefined
  const isHolder = (node: Request): boolean => codeOf(node) === holder
  const independent = new Set<Request>()
  let first: Request | undefined
  for (const ticket of ticketsOf(request)) {
    for (let at = ticket.queue.first; at && at !== ticket; at = at.after) {
      const { claim } = at
      if (claim.state !== 'waiting' || but.has(claim)) continue
      if (at.mode === 'shared' && ticket.mode === 'shared') continue
      if (first && !comesBefore(claim, first)) continue
      if (canReach(claim, isHolder, standsBehind, independent)) first = claim
    }
  }
  // In a deadlock nobody gets further by passing.
  return first && findPath(request, isHolder, waitsFor) ? undefined : first
}

/** Whether somebody waits in the queues of one that holds. */
function isInTheWay(holding: Request): boolean {
  for (const { queue } of ticketsOf(holding)) if (queue.last && !queue.last.leads) return true
  return false
}

/**
 * In whose callback the code is that is to end a holding; of a guard, in whose it was asked for. Nobody
 * knows where a detached guard is released.
 */
function codeOf(request: Request): Request | undefined {
  if (request.state !== 'holding') return undefined
  if (!request.isGuard) return request
  return request.options.detached ? undefined : liveHolder(request.holder)
}

/** The holdings that the code of a holder is to end: its own, and those of its guards. */
function* holdingsOf(holder: Request): Generator<Request> {
  yield holder
  if (holder.guards) yield* holder.guards
}

const NOBODY: readonly Request[] = []
const SETTLED = Promise.resolve()

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
      blocker.isGuard &&
      liveHolder(blocker.holder) === liveHolder(request.holder)
    if (!isOwnGuard) yield blocker
  }
}

function stands(cycle: readonly Request[]): boolean {
  return cycle.every((request, i) =>
    [...surelyWaitsFor(request)].includes(cycle[(i + 1) % cycle.length] as Request),
  )
}

/** What tells a circle from others, wherever one begins. */
function keyOf(cycle: readonly Request[]): string {
  const ids = cycle.map(({ id }) => id)
  const first = ids.indexOf(ids.reduce((a, b) => Math.min(a, b)))
  return [...ids.slice(first), ...ids.slice(0, first)].join()
}

/** The lock that a request waits for because of this blocker. */
function waitOf(request: Request, blocker: Request): WantedLock<string> {
  const tickets = [...ticketsOf(request)]
  const ticket = tickets.find((one) => [...holdersBefore(one)].includes(blocker)) ?? tickets[0]
  const name = ticket?.queue.name ?? ''
  return { name, mode: ticket?.mode ?? 'exclusive' }
}
