/**
 * Locks on one event loop: a queue for each name that anybody holds or waits for.
 *
 * A request enters the queues of all its names in one synchronous step and is granted when it leads
 * them all. It *leads* a queue when nobody before it is in its way: it is the first, or it is shared
 * and everybody before it is. Holders stay in their queues until they release.
 *
 * Counter     `missing` of a request is the number of its tickets that do not lead; OUTSIDE while it is in no
 *             queue: before it enters, and after it has left.
 * Invariants  In each queue those who lead come first, then those who do not (among the first, one that
 *             waits for other names may stand before one that is granted: both are shared). Only who
 *             leads all its queues is granted. Of the empty queues only a few are not forgotten.
 * Why no deadlock  those who wait stand by age, the same in every queue: who waits, waits for older
 *             ones only, and for holders. (Who waits while it *holds* is another matter, and may have
 *             others moved behind it: see wait-edges.ts.)
 * Cost        O(names) to enter, to leave and to grant, however many wait.
 */

import type { LockMode } from '../../core/modes.ts'
import type { Plan } from '../../core/plan.ts'
import { type BackendRequest, type LockState, OUTSIDE, type PlanNode } from '../backend.ts'

/** A lock as a request wants it, and its place in the queue of that name. */
export class Ticket<Request extends BackendRequest = BackendRequest> implements PlanNode {
  readonly name: string
  readonly mode: LockMode
  /** The same request's ticket for the next name of its plan. */
  next: Ticket<Request> | undefined = undefined
  /** Whose it is, and where it stands: from when it enters. */
  request!: Request
  queue!: Queue<Request>
  leads = false
  /** Its neighbours in the queue. */
  before: Ticket<Request> | undefined = undefined
  after: Ticket<Request> | undefined = undefined

  constructor(name: string, mode: LockMode) {
    this.name = name
    this.mode = mode
  }
}

/** Everybody who holds or waits for one name, in order. */
export class Queue<Request extends BackendRequest = BackendRequest> implements LockState<Request> {
  readonly name: string
  first: Ticket<Request> | undefined = undefined
  last: Ticket<Request> | undefined = undefined
  /** The number of tickets in it that do not lead. */
  waiting = 0
  /** How many are in it who want other names too. */
  withOthers = 0
  /** Whether it stays when it is empty. */
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

/** So many empty queues stay for the next who wants their names: to make and forget one is dear. */
const KEPT_QUEUES = 64
/** Queues of longer names do not stay: they would keep the memory of the name. */
const KEPT_LENGTH = 256

/** The queues of all names in use. */
export class Queues<Request extends BackendRequest> {
  readonly #queues = new Map<string, Queue<Request>>()
  /** A ring. Every queue that is empty stands in it, or is forgotten. */
  readonly #kept = new Array<Queue<Request> | undefined>(KEPT_QUEUES).fill(undefined)
  #nextKept = 0

  /** Whether a request for all of this would be granted at once. */
  isFree(plan: Plan): boolean {
    for (let at: Plan | undefined = plan; at; at = at.next) {
      if (!leadsBehind(this.#queues.get(at.name)?.last, at.mode)) return false
    }
    return true
  }

  /** Enters all queues of its plan at their ends. Granted at once if the request misses nothing then. */
  enter(request: Request): void {
    this.#enter(request, false)
  }

  /** Enters them before everybody. Holders who lose the lead must leave before anything else happens. */
  enterFirst(request: Request): void {
    this.#enter(request, true)
  }

  /** Leaves all queues, as a holder or as one who waits no longer, and lets the next ones go on. */
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

  /** The queue of a name. It may be empty; `undefined` where there is none. */
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

/** The tickets of a request's plan: every node of a plan is one, as the local backend makes them all. */
export function planOf<Request extends BackendRequest>({ plan }: Request): Ticket<Request> {
  return plan as Ticket<Request>
}

/** Whether a request is granted: it is in the queues, and leads them all. */
export function isGranted(request: BackendRequest): boolean {
  return request.missing === 0
}

/** A request's tickets, in the order of its plan; none when it is in no queue. */
export function* ticketsOf<Request extends BackendRequest>(
  request: Request,
): Generator<Ticket<Request>> {
  if (request.missing === OUTSIDE) return
  let ticket: Ticket<Request> | undefined = planOf(request)
  for (; ticket; ticket = ticket.next) yield ticket
}

/**
 * Moves a waiting request's ticket further back in its queue: to directly behind another one, which does
 * not lead. Whoever leads by that may be granted.
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

/** Before another ticket, or at the end; whoever loses the lead by it misses one more. */
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

/** Before another ticket, or at the end. */
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

/** Afterwards it knows no neighbours: whoever keeps it does not keep them in memory. */
function unlink(ticket: Ticket): void {
  const { queue, before, after } = ticket
  if (before) before.after = after
  else queue.first = after
  if (after) after.before = before
  else queue.last = before
  ticket.before = undefined
  ticket.after = undefined
}

/** From this ticket on, whoever now leads and did not. */
function promote(from: Ticket): void {
  for (let next: Ticket | undefined = from; next; next = next.after) {
    if (next.leads || !leadsBehind(next.before, next.mode)) return
    next.leads = true
    next.queue.waiting--
    if (--next.request.missing === 0) next.request.granted()
  }
}
