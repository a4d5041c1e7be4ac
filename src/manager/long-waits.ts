/**
 * Reports locks that requests wait for too long: one report for each stuck lock, not for each waiter.
 *
 * One timer for each manager. It is armed when a request begins to wait, unless it is armed for the time at
 * which that wait reaches its limit, or earlier. When it fires, it looks through the queues: a wait that
 * has lasted longer than its limit makes the locks of its root holders *stuck*. A stuck lock is reported when
 * it becomes so; when another request holds it and has held it for that long too; and each time the oldest
 * wait has lasted twice as long as at the last report, and at least `longWaitMs`. Then the timer is armed for
 * the next time at which a report can be due.
 *
 * Cost: nothing for a request that is granted at once; for one that waits, the comparison of two numbers. A
 * look costs a step for each waiter; looks are apart for so long that they take no more than a small part of
 * the time.
 */

import type { Queue, Queues, Ticket } from '../backends/local/queues.ts'
import { namesIn } from '../core/plan.ts'
import type { SlowReport } from '../core/report.ts'
import { describeRoots, rootsOf } from './blockers.ts'
import { now, reportIdlyAfter } from './clock.ts'
import { GuardCycleReports } from './guard-cycle-reports.ts'
import type { GuardCycleSearch } from './guard-cycles.ts'
import type { Places } from './places.ts'
import { labelOf, type Request } from './request.ts'

/** Two looks are apart for at least a millisecond for each so many waiters. */
const WAITERS_PER_MS = 100

/**
 * The first look comes after at most so many milliseconds. Most often nothing waits then, and the timer no
 * longer keeps a manager in memory that the program has dropped.
 */
const FIRST_LOOK_MS = 1000

/** The limits of a {@link LongWaits}, and what it looks through. */
export interface LongWaitOptions {
  /** The limit of every wait, in milliseconds. */
  readonly longWaitMs: number
  /** The limit of waits that have no `warnAfterMs` of their own, in milliseconds. */
  readonly warnAfterMs: number | undefined
  readonly queues: Queues<Request>
  readonly places: Places
  readonly report: (report: SlowReport) => void
}

/** A lock that was reported, and is still waited for too long. */
interface Stuck {
  readonly holder: Request | undefined
  /** The oldest wait is reported again when it has lasted for so many milliseconds. */
  nextMs: number
}

/** The long waits of one manager. */
export class LongWaits {
  readonly #options: LongWaitOptions
  /** The limit of a wait that has none of its own. */
  readonly #limitMs: number
  /** Which cycles of guards were reported; also for when the event loop runs empty. */
  readonly guardCycles: GuardCycleReports
  readonly #stuck = new Map<string, Stuck>()
  /** When the timer will fire, in milliseconds since 1970; `Infinity` while none is armed. */
  #firesAt = Number.POSITIVE_INFINITY
  /** Requests that reach their limits by the coarse clock at this time or later need no other timer. */
  #covers = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined
  /** No look comes before this time: with many waiters, looks must be far apart. */
  #notBefore = 0

  constructor(options: LongWaitOptions) {
    this.#options = options
    this.guardCycles = new GuardCycleReports(options.queues, options.places)
    this.#limitMs = Math.min(options.longWaitMs, options.warnAfterMs ?? Number.POSITIVE_INFINITY)
  }

  /** A request begins to wait. */
  begun(request: Request): void {
    const limitMs = this.#limitOf(request)
    // The time at which the request was made is coarse, and costs nothing here.
    const dueAt = request.since + limitMs
    if (this.#covers <= dueAt) return
    const isArmed = this.#disarm !== undefined
    // By the exact time: after the event loop was blocked, the coarse one is late.
    this.#armFor(now() + (isArmed ? limitMs : Math.min(limitMs, FIRST_LOOK_MS)))
    this.#covers = Math.min(this.#covers, dueAt)
  }

  #limitOf({ options }: Request): number {
    const { warnAfterMs } = options
    return warnAfterMs === undefined
      ? this.#limitMs
      : Math.min(warnAfterMs, this.#options.longWaitMs)
  }

  #armFor(dueAt: number): void {
    const at = Math.max(dueAt, this.#notBefore)
    if (at >= this.#firesAt) return
    this.#disarm?.()
    this.#firesAt = at
    this.#covers = Math.min(this.#covers, at)
    this.#disarm = reportIdlyAfter(Math.max(0, at - now()), () => {
      this.#disarm = undefined
      this.#firesAt = Number.POSITIVE_INFINITY
      this.#covers = Number.POSITIVE_INFINITY
      this.#look()
    })
  }

  #look(): void {
    const at = now()
    const waits = this.#waits(at)
    const search = this.guardCycles.newRound()
    for (const name of this.#stuck.keys()) if (!waits.stuck.has(name)) this.#stuck.delete(name)
    let { nextAt } = waits
    for (const [name, { holder, limitMs }] of waits.stuck) {
      const queue = this.#options.queues.get(name)
      const oldest = queue && oldestIn(queue)
      if (oldest === undefined) continue
      const waitedMs = at - oldest.since
      let stuck = this.#stuck.get(name)
      // Another holder is as much in the way when it has held for that long itself.
      const isOther = stuck && holder && stuck.holder !== holder
      if (isOther && at - holder.since >= limitMs) stuck = undefined
      if (stuck === undefined || waitedMs >= stuck.nextMs) {
        const { longWaitMs } = this.#options
        stuck = { holder, nextMs: Math.max(2 * waitedMs, longWaitMs) }
        this.#stuck.set(name, stuck)
        this.#report(queue as Queue<Request>, oldest, at, search)
      }
      nextAt = Math.min(nextAt, oldest.since + stuck.nextMs)
      if (holder && stuck.holder !== holder) {
        nextAt = Math.min(nextAt, holder.since + limitMs)
      }
    }
    this.#notBefore = at + 1 + waits.count / WAITERS_PER_MS
    this.#armFor(nextAt)
  }

  /** The locks that are stuck now, each with a root holder, and when the next wait reaches its limit. */
  #waits(at: number): {
    readonly stuck: Map<string, { readonly holder: Request | undefined; readonly limitMs: number }>
    readonly nextAt: number
    readonly count: number
  } {
    const stuck = new Map<string, { holder: Request | undefined; limitMs: number }>()
    let nextAt = Number.POSITIVE_INFINITY
    let count = 0
    for (const queue of this.#options.queues.all()) {
      if (queue.waiting === 0) continue
      let over: Ticket<Request> | undefined
      for (let ticket = queue.last; ticket && !ticket.leads; ticket = ticket.before) {
        count++
        const dueAt = ticket.claim.since + this.#limitOf(ticket.claim)
        if (dueAt <= at) over = ticket
        else nextAt = Math.min(nextAt, dueAt)
      }
      if (over === undefined) continue
      const limitMs = this.#limitOf(over.claim)
      const roots = rootsOf([over])
      for (const { ticket } of roots) {
        const { name } = ticket.queue
        if (!stuck.has(name)) stuck.set(name, { holder: ticket.claim, limitMs })
      }
      if (roots.length === 0) stuck.set(queue.name, { holder: undefined, limitMs })
    }
    return { stuck, nextAt, count }
  }

  #report(queue: Queue<Request>, oldest: Request, at: number, search: GuardCycleSearch): void {
    const { places, report } = this.#options
    const ticket = ticketIn(oldest, queue)
    const holders = describeRoots([ticket], places, at, oldest)
    report({
      version: 1,
      kind: 'slow',
      state: 'waiting',
      label: labelOf(oldest),
      names: namesIn(oldest.plan),
      lastsMs: Math.max(0, at - oldest.since),
      ...places.callSiteOf(oldest),
      lock: queue.name,
      waiters: queue.waiting,
      holders,
      ...this.guardCycles.forLock(oldest, queue.name, search, at),
    })
  }
}

/** The request that has waited longest for the lock of a queue. */
function oldestIn(queue: Queue<Request>): Request | undefined {
  let oldest: Request | undefined
  for (let at = queue.last; at && !at.leads; at = at.before) {
    if (oldest === undefined || at.claim.since <= oldest.since) oldest = at.claim
  }
  return oldest
}

function ticketIn(request: Request, queue: Queue<Request>): Ticket<Request> {
  let ticket: Ticket<Request> = request.plan
  while (ticket.queue !== queue && ticket.next) ticket = ticket.next
  return ticket
}
