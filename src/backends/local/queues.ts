/**
 * Locks on one event loop: a queue for each name that anybody holds or waits for.
 *
 * A request enters the queues of all its names in one synchronous step and is granted when it leads
 * them all. It *leads* a queue when nobody before it is in its way: it is the first, or it is shared
 * and everybody before it is. Holders stay in their queues until they release.
 *
 * Invariants  In each queue those who lead come first, then those who do not (among the first, one that
 *             waits for other names may stand before one that is granted: both are shared). Only who
 *             leads all its queues is granted. Of the empty queues only a few are not forgotten.
 * Why no deadlock  those who wait stand by age, the same in every queue: who waits, waits for older
 *             ones only, and for holders. (Who waits while it *holds* is another matter, and may have
 *             others moved behind it: see manager/queue-rearrangement.ts.)
 * Cost        O(names) to enter, to leave and to grant, however many wait.
 */

import type { LockMode } from '../../core/modes.ts'
import type { Plan } from '../../core/plan.ts'

/** Who wants locks: the queues keep its tickets, and tell it when all of them lead. */
export interface Claim {
  /** Younger claims have larger numbers. */
  readonly id: number
  /** Its tickets: the one for the first name that it wants, which leads to the others. */
  readonly plan: Ticket
  /** How many of its tickets do not lead; {@link OUTSIDE} while it is in no queue. Written here only. */
  missing: number
  /** Called when the last missing ticket leads, unless that was so on entering. */
  onGranted(): void
}

/** What `missing` is while a claim is in no queue: before it enters, and after it has left. */
export const OUTSIDE = -1

/** A lock as a claim wants it, and its place in the queue of that name. */
export class Ticket<Owner extends Claim = Claim> implements Plan {
  readonly name: string
  readonly mode: LockMode
  /** The same claim's ticket for the next name of its plan. */
  next: Ticket<Owner> | undefined = undefined
  /** Whose it is, and where it stands: from when it enters. */
  claim!: Owner
  queue!: Queue<Owner>
  leads = false
  /** Its neighbours in the queue. */
  before: Ticket<Owner> | undefined = undefined
  after: Ticket<Owner> | undefined = undefined

  constructor(name: string, mode: LockMode) {
    this.name = name
    this.mode = mode
  }
}

/** Everybody who holds or waits for one name, in order. */
export class Queue<Owner extends Claim = Claim> {
  readonly name: string
  first: Ticket<Owner> | undefined = undefined
  last: Ticket<Owner> | undefined = undefined
  /** The number of tickets in it that do not lead. */
  waiting = 0
  /** How many are in it who want other names too. */
  withOthers = 0
  /** Whether it stays when it is empty. */
  isKept = false

  constructor(name: string) {
    this.name = name
  }
}

/** So many empty queues stay for the next who wants their names: to make and forget one is dear. */
const KEPT_QUEUES = 64
/** Queues of longer names do not stay: they would keep the memory of the name. */
const KEPT_LENGTH = 256

/** The queues of all names in use. */
export class Queues<Owner extends Claim> {
  readonly #queues = new Map<string, Queue<Owner>>()
  /** A ring. Every queue that is empty stands in it, or is forgotten. */
  readonly #kept = new Array<Queue<Owner> | undefined>(KEPT_QUEUES).fill(undefined)
  #nextKept = 0

  /** Whether a request for all of this would be granted at once. */
  isFree(plan: Plan): boolean {
    for (let at: Plan | undefined = plan; at; at = at.next) {
      const last = this.#queues.get(at.name)?.last
      if (last && !leadsBehind(last, at.mode)) return false
    }
    return true
  }

  /** Enters all queues of its plan at their ends. Granted at once if the claim misses nothing then. */
  enter(claim: Owner): void {
    this.#enter(claim, false)
  }

  /** Enters them before everybody. Holders who lose the lead must leave before anything else happens. */
  enterFirst(claim: Owner): void {
    this.#enter(claim, true)
  }

  /** Leaves all queues, as a holder or as one who waits no longer, and lets the next ones go on. */
  leave(claim: Owner): void {
    if (claim.missing === OUTSIDE) return
    claim.missing = OUTSIDE
    let ticket = claim.plan as Ticket<Owner> | undefined
    const others = ticket?.next === undefined ? 0 : 1
    for (; ticket; ticket = ticket.next) {
      const { queue, after } = ticket
      queue.withOthers -= others
      if (!ticket.leads) queue.waiting--
      unlink(ticket)
      if (queue.first === undefined) this.#keepOrForget(queue)
      else if (after && !after.leads) promote(after)
    }
  }

  /** Every queue, in no order. */
  all(): Iterable<Queue<Owner>> {
    return this.#queues.values()
  }

  /** The queue of a name that somebody holds or waits for. */
  get(name: string): Queue<Owner> | undefined {
    return this.#queues.get(name)
  }

  #enter(claim: Owner, isFirst: boolean): void {
    let missing = 0
    let ticket = claim.plan as Ticket<Owner> | undefined
    const others = ticket?.next === undefined ? 0 : 1
    for (; ticket; ticket = ticket.next) {
      let queue = this.#queues.get(ticket.name)
      if (queue === undefined) {
        queue = new Queue(ticket.name)
        this.#queues.set(ticket.name, queue)
      }
      ticket.claim = claim
      ticket.queue = queue
      queue.withOthers += others
      insert(ticket, isFirst ? queue.first : undefined)
      if (!ticket.leads) {
        missing++
        queue.waiting++
      }
    }
    claim.missing = missing
  }

  #keepOrForget(queue: Queue<Owner>): void {
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

/** Whether a claim is granted: it is in the queues, and leads them all. */
export function isGranted(claim: Claim): boolean {
  return claim.missing === 0
}

/** A claim's tickets, in the order of its plan; none when it is in no queue. */
export function* ticketsOf<Owner extends Claim>(claim: Owner): Generator<Ticket<Owner>> {
  if (claim.missing === OUTSIDE) return
  let ticket = claim.plan as Ticket<Owner> | undefined
  for (; ticket; ticket = ticket.next) yield ticket
}

/**
 * Those who must leave before a ticket can lead: the nearest ones only, for they wait for those before
 * them in turn. None if it leads.
 */
export function blockersOf<Owner extends Claim>(ticket: Ticket<Owner>): Owner[] {
  const blockers: Owner[] = []
  if (ticket.leads) return blockers
  for (let at = ticket.before; at; at = at.before) {
    if (at.mode === 'exclusive') {
      blockers.push(at.claim)
      break
    }
    if (ticket.mode === 'exclusive') blockers.push(at.claim)
  }
  return blockers
}

/** Those who have a ticket among their blockers. */
export function* blockedBy<Owner extends Claim>(ticket: Ticket<Owner>): Generator<Owner> {
  for (let at = ticket.after; at; at = at.after) {
    if (at.mode === 'exclusive') {
      yield at.claim
      return
    }
    if (ticket.mode === 'exclusive') yield at.claim
  }
}

/** Those who hold a name that a ticket does not lead, and cannot hold it together with this one. */
export function* holdersBefore<Owner extends Claim>(ticket: Ticket<Owner>): Generator<Owner> {
  if (ticket.leads) return
  for (let at = ticket.queue.first; at?.leads; at = at.after) {
    const isInTheWay = ticket.mode === 'exclusive' || at.mode === 'exclusive'
    if (isInTheWay && isGranted(at.claim)) yield at.claim
  }
}

/** Those who hold the name of a queue. */
export function* holdersOf<Owner extends Claim>(queue: Queue<Owner>): Generator<Owner> {
  for (let at = queue.first; at?.leads; at = at.after) if (isGranted(at.claim)) yield at.claim
}

/**
 * Moves a waiting claim's ticket further back in its queue: to directly behind another one, which does
 * not lead. Whoever leads by that may be granted.
 */
export function moveBehind<Owner extends Claim>(ticket: Ticket<Owner>, other: Ticket<Owner>): void {
  const { after, queue } = ticket
  if (ticket.leads) {
    ticket.claim.missing++
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
function insert<Owner extends Claim>(
  ticket: Ticket<Owner>,
  after: Ticket<Owner> | undefined,
): void {
  link(ticket, after)
  ticket.leads = leadsBehind(ticket.before, ticket.mode)
  for (let next = after; next?.leads && !leadsBehind(next.before, next.mode); next = next.after) {
    next.leads = false
    next.claim.missing++
    next.queue.waiting++
  }
}

/** Before another ticket, or at the end. */
function link<Owner extends Claim>(ticket: Ticket<Owner>, after: Ticket<Owner> | undefined): void {
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
    if (--next.claim.missing === 0) next.claim.onGranted()
  }
}
