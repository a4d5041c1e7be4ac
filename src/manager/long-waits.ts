/**
 * Reports locks that requests wait for too long: one report for each stuck lock, not for each waiter.
 *
 * Each manager has one timer. A request that begins to wait arms the timer, unless the timer already fires
 * before the wait reaches its limit. When the timer fires, it scans the queues. A wait that has exceeded its
 * limit makes the locks of its root holders *stuck*. A stuck lock is reported
 *
 * - when it becomes stuck;
 * - when another request holds it and has held it for longer than the limit, too; and
 * - each time the oldest wait has lasted twice as long as at the last report, and at least `longWaitMs`.
 *
 * Locks with the same holders and the same oldest waiter are reported once, for the first of them. The timer
 * is then armed for the next time at which a report can be due.
 *
 * Cost: nothing for a request that is granted at once; the comparison of two numbers for one that waits. A
 * scan costs a step for each waiter. Scans are far enough apart to take only a small part of the time.
 */

import type { Backend, Blocker, LockState } from '../backends/backend.ts'
import { namesIn } from '../core/plan.ts'
import type { RootHolder } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import { now, reportIdlyAfter } from './clock.ts'
import { GuardCycleReports } from './guard-cycle-reports.ts'
import type { GuardCycleSearch } from './guard-cycle-search.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import type { RootHolders } from './root-holders.ts'
import { isSame, ReportedLocks, type Stuck, type StuckNow } from './stuck-locks.ts'

/** The number of waiters for each millisecond that two scans must be apart. */
const WAITERS_PER_MS = 100

/**
 * The longest time before the first scan, in milliseconds. Usually nothing waits any more by then, and the
 * timer is not armed again. So it does not keep a manager in memory that the program has dropped.
 */
const FIRST_LOOK_MS = 1000

/** The limits of a {@link LongWaits}, and what it scans. */
export interface LongWaitOptions {
  /** The limit of every wait, in milliseconds. */
  readonly longWaitMs: number
  /** The limit of waits that have no `warnAfterMs` of their own, in milliseconds. */
  readonly warnAfterMs: number | undefined
  readonly backend: Backend<Request>
  readonly roots: RootHolders
  readonly callSites: CallSites
  readonly reports: Pick<Reports, 'slow'>
}

/** The first request in a lock's queue that has waited for longer than its limit. */
interface Overdue {
  readonly lock: LockState<Request>
  readonly request: Request
  readonly limitMs: number
}

/** The long waits of one manager. */
export class LongWaits {
  readonly #options: LongWaitOptions
  /** The limit of a wait that sets none. */
  readonly #limitMs: number
  /** The cycles of guards that were reported; used also when the event loop runs empty. */
  readonly guardCycles: GuardCycleReports
  readonly #stuck = new Map<string, Stuck>()
  /** When the timer will fire, in milliseconds since 1970; `Infinity` while none is armed. */
  #firesAt = Number.POSITIVE_INFINITY
  /** A request whose limit, by the coarse clock, is at this time or later needs no other timer. */
  #covers = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined
  /** Whether a scan found no waiter and a second one is due. */
  #isSecondDue = false
  /** The earliest time of the next scan: with many waiters, scans must be far apart. */
  #notBefore = 0

  constructor(options: LongWaitOptions) {
    this.#options = options
    this.guardCycles = new GuardCycleReports(options.backend, options.roots, options.callSites)
    this.#limitMs = Math.min(options.longWaitMs, options.warnAfterMs ?? Number.POSITIVE_INFINITY)
  }

  /** Arms the timer for a request that begins to wait, if necessary. */
  begun(request: Request): void {
    const limitMs = this.#limitOf(request)
    // The coarse time of the request is already known, and costs nothing here.
    const dueAt = request.coarseSince + limitMs
    if (this.#covers <= dueAt) return
    const isArmed = this.#disarm !== undefined
    // Uses the exact time: the coarse clock is behind after the event loop was blocked.
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
    const { overdue, nextAt, count } = this.#overdue(at)
    const { roots } = this.#options
    this.#notBefore = at + 1 + count / WAITERS_PER_MS
    if (roots.isImmediate) {
      const found = overdue.map(({ request, lock }) => roots.now(request, lock.name))
      this.#reportStuck(this.#stuckOf(overdue, found), nextAt)
      return
    }
    // A request that has just begun to wait may not have reached a late store. A second scan finds it.
    this.#isSecondDue = count === 0 && !this.#isSecondDue
    if (this.#isSecondDue) this.#armFor(at + Math.min(this.#limitMs, FIRST_LOOK_MS))
    const found = overdue.map(({ request, lock }) => roots.later(request, lock.name))
    void Promise.all(found).then((answers) =>
      this.#reportStuck(this.#stuckOf(overdue, answers), nextAt),
    )
  }

  /**
   * The first overdue wait of each lock, the time at which the next wait reaches its limit, and the number of
   * waits.
   */
  #overdue(at: number): { overdue: Overdue[]; nextAt: number; count: number } {
    const overdue: Overdue[] = []
    let nextAt = Number.POSITIVE_INFINITY
    let count = 0
    for (const lock of this.#options.backend.locks()) {
      if (lock.waiting === 0) continue
      let isOver = false
      for (const request of lock.waiters()) {
        if (request.state !== 'waiting') continue
        count++
        const limitMs = this.#limitOf(request)
        const dueAt = request.since + limitMs
        if (dueAt > at) nextAt = Math.min(nextAt, dueAt)
        else if (!isOver) {
          isOver = true
          overdue.push({ lock, request, limitMs })
        }
      }
    }
    return { overdue, nextAt, count }
  }

  /** The locks that are stuck now: those of the root holders. */
  #stuckOf(
    overdue: readonly Overdue[],
    found: readonly (readonly Blocker<Request>[])[],
  ): Map<string, StuckNow> {
    const stuck = new Map<string, StuckNow>()
    for (const [i, { lock, limitMs }] of overdue.entries()) {
      const holders = new Map<string, Blocker<Request>['by'][]>()
      for (const { name, by } of found[i] ?? []) {
        const ofLock = holders.get(name)
        if (ofLock) ofLock.push(by)
        else holders.set(name, [by])
      }
      for (const [name, ofLock] of holders) {
        if (!stuck.has(name)) stuck.set(name, { holders: ofLock, limitMs })
      }
      if (holders.size === 0) stuck.set(lock.name, { holders: [], limitMs })
    }
    return stuck
  }

  #reportStuck(stuckNow: ReadonlyMap<string, StuckNow>, nextWaitAt: number): void {
    const at = now()
    const search = this.guardCycles.newRound()
    for (const name of this.#stuck.keys()) if (!stuckNow.has(name)) this.#stuck.delete(name)
    const reported = new ReportedLocks(this.#stuck.values())
    let nextAt = nextWaitAt
    for (const [name, { holders, limitMs }] of stuckNow) {
      const lock = this.#options.backend.lock(name)
      const oldest = lock && oldestIn(lock)
      if (oldest === undefined) continue
      const waitedMs = at - oldest.since
      // The overdue wait has ended while a late backend answered.
      if (!this.#options.roots.isImmediate && waitedMs < limitMs) continue
      let stuck = this.#stuck.get(name)
      const [holder] = holders
      // Another holder counts as a new cause only after it has itself held the lock for that long.
      const isOther = stuck && holder && !isSame(stuck.holders[0], holder)
      if (isOther && at - holder.since >= limitMs) stuck = undefined
      if (stuck === undefined || waitedMs >= stuck.nextMs) {
        const { longWaitMs } = this.#options
        stuck = reported.of(oldest, holders, waitedMs)
        if (stuck === undefined) {
          stuck = { holders, waiter: oldest, nextMs: Math.max(2 * waitedMs, longWaitMs) }
          reported.add(stuck)
          this.#report(lock as LockState<Request>, oldest, at, search)
        }
        this.#stuck.set(name, stuck)
      }
      nextAt = Math.min(nextAt, oldest.since + stuck.nextMs)
      if (holder && !isSame(stuck.holders[0], holder)) {
        nextAt = Math.min(nextAt, holder.since + limitMs)
      }
    }
    this.#armFor(nextAt)
  }

  #report(lock: LockState<Request>, oldest: Request, at: number, search: GuardCycleSearch): void {
    const { callSites, reports, roots } = this.#options
    const { name, waiting } = lock
    const use = (holders: RootHolder[]): void =>
      reports.slow({
        version: 1,
        kind: 'slow',
        state: 'waiting',
        id: oldest.id,
        label: oldest.label,
        names: namesIn(oldest.plan),
        lastsMs: Math.max(0, at - oldest.since),
        ...callSites.callSiteOf(oldest),
        lock: name,
        waiters: waiting,
        holders,
        ...this.guardCycles.forLock(oldest, name, search, at),
      })
    roots.withAll(oldest, () => at, use, name)
  }
}

/** The request that has waited longest for a lock. */
function oldestIn(lock: LockState<Request>): Request | undefined {
  let oldest: Request | undefined
  for (const request of lock.waiters()) {
    if (request.state !== 'waiting') continue
    if (oldest === undefined || request.since < oldest.since) oldest = request
  }
  return oldest
}
