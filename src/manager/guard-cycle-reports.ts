/**
 * Reports each suspected cycle of guards once in a round of reports. While a cycle stands unchanged, only the
 * lock for which it was first reported shows it. Reports of its other locks refer to that lock.
 */

import type { Backend } from '../backends/backend.ts'
import type { GuardCycleMember, SlowWaitReport } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import { describeGuardCycle, type GuardLink, isStanding, keyOfGuardCycle } from './guard-cycle.ts'
import { GuardCycleSearch } from './guard-cycle-search.ts'
import type { Request } from './request.ts'
import type { RootHolders } from './root-holders.ts'

/** A reported cycle that stands, and the lock whose report shows it. */
interface Reported {
  readonly cycle: readonly GuardLink[]
  readonly lock: string
}

/** The suspected guard cycles of one manager, and those that were reported. */
export class GuardCycleReports {
  readonly #backend: Backend<Request>
  readonly #roots: RootHolders
  readonly #callSites: CallSites
  readonly #reported = new Map<string, Reported>()

  constructor(backend: Backend<Request>, roots: RootHolders, callSites: CallSites) {
    this.#backend = backend
    this.#roots = roots
    this.#callSites = callSites
  }

  /** Starts a round of reports: forgets the cycles that no longer stand. The search costs nothing yet. */
  newRound(): GuardCycleSearch {
    for (const [key, { cycle }] of this.#reported) {
      if (!isStanding(cycle)) this.#reported.delete(key)
    }
    return new GuardCycleSearch(this.#backend, this.#roots, this.#callSites)
  }

  /**
   * The part of a lock's report about the cycle that blocks its oldest waiter. `at`: the current time, in
   * milliseconds since 1970.
   */
  forLock(
    oldest: Request,
    lock: string,
    search: GuardCycleSearch,
    at: number,
  ): Pick<SlowWaitReport, 'guardCycle' | 'guardCycleReportedFor'> {
    const cycle = this.#cycleOf(oldest, search)
    if (cycle === undefined) return { guardCycle: [], guardCycleReportedFor: null }
    const key = keyOfGuardCycle(cycle)
    const known = this.#reported.get(key)
    if (known && known.lock !== lock) return { guardCycle: [], guardCycleReportedFor: known.lock }
    this.#reported.set(key, { cycle, lock })
    const guardCycle = describeGuardCycle(cycle, this.#callSites, at)
    return { guardCycle, guardCycleReportedFor: null }
  }

  /** At most `limit` cycles of the given waiting requests that were not reported yet. */
  unreported(requests: Iterable<Request>, limit: number, at: number): GuardCycleMember[][] {
    const search = this.newRound()
    const cycles: GuardCycleMember[][] = []
    for (const request of requests) {
      if (cycles.length >= limit) break
      const cycle = this.#cycleOf(request, search)
      if (cycle === undefined) continue
      const key = keyOfGuardCycle(cycle)
      if (this.#reported.has(key)) continue
      this.#reported.set(key, { cycle, lock: (cycle[0] as GuardLink).root.waitsFor })
      cycles.push(describeGuardCycle(cycle, this.#callSites, at))
    }
    return cycles
  }

  /** The reported cycle that a request is in; otherwise one that the search finds. */
  #cycleOf(request: Request, search: GuardCycleSearch): readonly GuardLink[] | undefined {
    for (const { cycle } of this.#reported.values()) {
      if (cycle.some(({ waiting }) => waiting === request)) return cycle
    }
    return search.cycleOf(request)
  }
}
