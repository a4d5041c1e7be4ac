/**
 * Locks on one event loop: a queue for each name that requests hold or wait for.
 *
 * A request enters the queues of all its names in one synchronous step and is granted when it leads them all.
 * It *leads* a queue if nothing before it blocks it: it is the first, or it and all tickets before it are
 * shared. Holders stay in their queues until they release.
 *
 * Counter     A request's `missing` is the number of its tickets that do not lead; OUTSIDE while it is in no
 *             queue: before it enters, and after it has left.
 * Invariants  In each queue, the tickets that lead come before those that do not. A leading ticket of a
 *             request that still waits for other names may come before a leading ticket of a holder: both are
 *             shared. A request is granted only if it leads all its queues. Only a few empty queues are kept.
 * Why no deadlock  Waiters are ordered by age, the same in every queue, so a waiter waits only for older
 *             waiters and for holders. (A request that waits while it *holds* can deadlock, and then others
 *             may be moved behind it: see wait-edges.ts.)
 * Cost        O(names) to enter, to leave and to grant, for any number of waiters.
 */

import type { LockMode } from '../../core/modes.ts'
import type { Plan } from '../../core/plan.ts'
import { type BackendRequest, type LockState, OUTSIDE, type PlanNode } from '../backend.ts'

/** One lock of a request, and the request's position in the queue for that lock. */
export class Ticket<Request extends BackendRequest = BackendRequest> implements PlanNode {
  readonly name: string
  readonly mode: LockMode
  /** The same request's ticket for the next name of its plan. */
  next: Ticket<Request> | undefined = undefined
  /** Set when the request enters. */
  request!: Request
  queue!: Queue<Request>
  leads = false
  /** The neighbours in the queue. */
  before: Ticket<Request> | undefined = undefined
  after: Ticket<Request> | undefined = undefined

  constructor(name: string, mode: LockMode) {
    this.name = name
    this.mode = mode
  }
}

/** All holders and waiters for one name, in order. */
export class Queue<Request extends BackendRequest = BackendRequest> implements LockState<Request> {
  readonly name: string
  first: Ticket<Request> | undefined = undefined
  last: Ticket<Request> | undefined = undefined
  /** The number of tickets in it that do not lead. */
  waiting = 0
  /** The number of its tickets whose requests have other names too. */
  withOthers = 0
  /** Whether the queue is kept while it is empty. */
  isKept = false

  constructor(name: string) {
    this.name = name
  }

  get newest(): Request | undefined {
    return this.last?.request
  }

  *holders(): Generator<Request> {
    for (let at = this.first; at?.leads; at = at.after) if (isGranted(at.request)) yield at.request
  }

  *waiters(): Generator<Request> {
    let at = this.first
    while (at?.leads) at = at.after
    for (; at; at = at.after) yield at.request
  }
}

/**
 * The number of empty queues kept for later requests of their names: to make and delete a queue is expensive.
 */
const KEPT_QUEUES = 64
/** Queues of longer names are not kept: they would keep the name in memory. */
const KEPT_LENGTH = 256

/** The queues of all names in use. */
export class Queues<Request extends BackendRequest> {
  readonly #queues = new Map<string, Queue<Request>>()
  /** A ring. Every empty queue is in it: a queue that becomes empty enters the ring or is deleted. */
  readonly #kept = new Array<Queue<Request> | undefined>(KEPT_QUEUES).fill(undefined)
  #nextKept = 0

  /** Whether a request for the whole plan would be granted at once. */
  isFree(plan: Plan): boolean {
    for (let at: Plan | undefined = plan; at; at = at.next) {
      if (!leadsBehind(this.#queues.get(at.name)?.last, at.mode)) return false
    }
    return true
  }

  /**
   * Enters all queues of the plan at their ends. The request is granted at once if its `missing` is then 0.
   */
  enter(request: Request): void {
    this.#enter(request, false)
  }

  /**
   * Enters all queues at their front. Holders that no longer lead must leave before anything else happens.
   */
  enterFirst(request: Request): void {
    this.#enter(request, true)
  }

  /** Leaves all queues, as a holder or as a waiter that gives up, and grants the next ones. */
  release(request: Request): void {
    if (request.missing === OUTSIDE) return
    request.missing = OUTSIDE
    let ticket: Ticket<Request> | undefined = planOf(request)
    const others = ticket.next === undefined ? 0 : 1
    for (; ticket; ticket = ticket.next) {
      const { queue, after } = ticket
      queue.withOthers -= others
      if (!ticket.leads) queue.waiting--
      unlink(ticket)
      if (queue.first === undefined) this.#keepOrForget(queue)
      else if (after && !after.leads) promote(after)
    }
  }

  /** Every queue, in no order. Some may be empty. */
  all(): Iterable<Queue<Request>> {
    return this.#queues.values()
  }

  /** Returns the queue of a name, which may be empty; `undefined` if there is none. */
  get(name: string): Queue<Request> | undefined {
    return this.#queues.get(name)
  }

  #enter(request: Request, isFirst: boolean): void {
    let missing = 0
    let ticket: Ticket<Request> | undefined = planOf(request)
    const others = ticket.next === undefined ? 0 : 1
    for (; ticket; ticket = ticket.next) {
      let queue = this.#queues.get(ticket.name)
      if (queue === undefined) {
        queue = new Queue(ticket.name)
        this.#queues.set(ticket.name, queue)
      }
      ticket.request = request
      ticket.queue = queue
      queue.withOthers += others
      insert(ticket, isFirst ? queue.first : undefined)
      if (!ticket.leads) {
        missing++
        queue.waiting++
      }
    }
    request.missing = missing
  }

  #keepOrForget(queue: Queue<Request>): void {
    if (queue.isKept) return
    if (queue.name.length > KEPT_LENGTH) {
      this.#queues.delete(queue.name)
      return
    }
    const old = this.#kept[this.#nextKept]
    this.#kept[this.#nextKept] = queue
    this.#nextKept = (this.#nextKept + 1) % KEPT_QUEUES
    queue.isKept = true
    if (old === undefined) return
    old.isKept = false
    if (old.first === undefined) this.#queues.delete(old.name)
  }
}

/** Returns the tickets of a request's plan: the local backend made every node of it as a ticket. */
export function planOf<Request extends BackendRequest>({ plan }: Request): Ticket<Request> {
  return plan as Ticket<Request>
}

/** Whether a request is granted: it is in the queues, and leads them all. */
export function isGranted(request: BackendRequest): boolean {
  return request.missing === 0
}

/** Iterates over a request's tickets, in the order of its plan; none if the request is in no queue. */
export function* ticketsOf<Request extends BackendRequest>(
  request: Request,
): Generator<Ticket<Request>> {
  if (request.missing === OUTSIDE) return
  let ticket: Ticket<Request> | undefined = planOf(request)
  for (; ticket; ticket = ticket.next) yield ticket
}

/**
 * Moves a waiting request's ticket further back in its queue: to directly behind `other`, which does not
 * lead. Requests that lead all their queues after that are granted.
 */
export function moveBehind<Request extends BackendRequest>(
  ticket: Ticket<Request>,
  other: Ticket<Request>,
): void {
  const { after, queue } = ticket
  if (ticket.leads) {
    ticket.request.missing++
    queue.waiting++
  }
  unlink(ticket)
  link(ticket, other.after)
  ticket.leads = false
  if (after && !after.leads) promote(after)
}

function leadsBehind(before: Ticket | undefined, mode: LockMode): boolean {
  return before === undefined || (mode === 'shared' && before.mode === 'shared' && before.leads)
}

/**
 * Inserts before `after`, or at the end. A ticket that no longer leads adds one to its request's `missing`.
 */
function insert<Request extends BackendRequest>(
  ticket: Ticket<Request>,
  after: Ticket<Request> | undefined,
): void {
  link(ticket, after)
  ticket.leads = leadsBehind(ticket.before, ticket.mode)
  for (let next = after; next?.leads && !leadsBehind(next.before, next.mode); next = next.after) {
    next.leads = false
    next.request.missing++
    next.queue.waiting++
  }
}

/** Links before `after`, or at the end. */
function link<Request extends BackendRequest>(
  ticket: Ticket<Request>,
  after: Ticket<Request> | undefined,
): void {
  const { queue } = ticket
  const before = after ? after.before : queue.last
  ticket.before = before
  ticket.after = after
  if (before) before.after = ticket
  else queue.first = ticket
  if (after) after.before = ticket
  else queue.last = ticket
}

/** Clears the neighbours too: a reference to the ticket then does not keep them in memory. */
function unlink(ticket: Ticket): void {
  const { queue, before, after } = ticket
  if (before) before.after = after
  else queue.first = after
  if (after) after.before = before
  else queue.last = before
  ticket.before = undefined
  ticket.after = undefined
}

/** Makes the tickets from this one on lead if they now can. */
function promote(from: Ticket): void {
  for (let next: Ticket | undefined = from; next; next = next.after) {
    if (next.leads || !leadsBehind(next.before, next.mode)) return
    next.leads = true
    next.queue.waiting--
    if (--next.request.missing === 0) next.request.granted()
  }
}
