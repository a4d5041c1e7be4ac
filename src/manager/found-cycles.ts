/**
 * Reports the cycles that the detector finds, checks them again while they stand, and rejects victims.
 *
 * Steps      1. A cycle is reported as suspected, or as a deadlock. It is reported again when it becomes
 *               proved, and when its proof is lost.
 *            2. A deadlock that has stood for `deadlockAfterMs`, and is proved again, has a victim.
 *            3. A suspected cycle is checked again at growing intervals: it may be proved later.
 * Invariant  Only a cycle whose every holder is proved to wait has a victim, unless `deadlockVictims` is
 *            `'likely'`.
 */

import { stackBeginningAt } from '../core/call-site.ts'
import { DeadlockError } from '../core/errors.ts'
import type { DeadlockReport } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import { reportAfter, reportIdlyAfter } from './clock.ts'
import { type Cycle, isLikely, isProved, victimOf } from './cycle.ts'
import { reportOf } from './deadlock-report.ts'
import { prove } from './proof.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { type StandingCycle, StandingCycles } from './standing-cycles.ts'
import type { WaitGraph } from './wait-graph.ts'

/** Which deadlocks have a victim. */
export type DeadlockVictims = 'proved' | 'likely'

/** Options of {@link FoundCycles}. */
export interface FoundCyclesOptions {
  readonly graph: WaitGraph
  readonly deadlockAfterMs: number
  readonly deadlockVictims: DeadlockVictims
  readonly callSites: CallSites
  readonly reports: Pick<Reports, 'deadlock' | 'suspected'>
  /** Ends a waiting request with an error. */
  readonly fail: (request: Request, error: Error) => void
}

/** The longest time between two checks of a suspected cycle, in milliseconds. */
const MAX_LOOK_MS = 10_000

/** The cycles that the detector of one manager has found. */
export class FoundCycles {
  readonly #options: FoundCyclesOptions
  readonly #standing = new StandingCycles()
  /** Schedules a check of a request after this turn of the event loop. */
  readonly #checkAgain: (request: Request) => void

  constructor(options: FoundCyclesOptions, checkAgain: (request: Request) => void) {
    this.#options = options
    this.#checkAgain = checkAgain
  }

  get isAny(): boolean {
    return this.#standing.size > 0
  }

  /** Whether a cycle was reported and still stands. */
  isKnown(cycle: Cycle): boolean {
    return this.#standing.get(cycle) !== undefined
  }

  /** Reports a cycle, unless it stands and was already reported as this kind. Schedules its next check. */
  add(cycle: Cycle, closedBy: Request, isDeadlock: boolean): void {
    const known = this.#standing.get(cycle)
    known?.closedBy.add(closedBy)
    if (known && (known.isDeadlock || !isDeadlock)) return
    const standing = known ?? this.#standing.add(cycle, closedBy)
    this.#report(standing, isDeadlock ? 'deadlock' : 'suspected')
    // A known cycle that was checked before need not stand for any longer.
    if (isDeadlock && (known?.looks || this.#options.deadlockAfterMs === 0)) this.#reject(standing)
    else if (!known) this.#lookLater(standing)
  }

  #lookLater(standing: StandingCycle): void {
    const { deadlockAfterMs } = this.#options
    const { looks } = standing
    if (deadlockAfterMs === Number.POSITIVE_INFINITY) return
    const look = (): void => void this.#lookAt(standing)
    standing.cancel =
      looks === 0
        ? reportAfter(deadlockAfterMs, look)
        : reportIdlyAfter(Math.min(Math.max(deadlockAfterMs, 1) * 2 ** looks, MAX_LOOK_MS), look)
  }

  /** Checks a standing cycle: if it is proved now, rejects its victim, otherwise schedules the next check. */
  async #lookAt(standing: StandingCycle): Promise<void> {
    const { cycle, closedBy } = standing
    standing.looks++
    await prove(cycle.map((link) => link.waiting))
    if (!this.#standing.has(standing)) return
    if (isProved(cycle) || (this.#options.deadlockVictims === 'likely' && isLikely(cycle))) {
      if (!standing.isDeadlock) this.#report(standing, 'deadlock')
      this.#reject(standing)
      return
    }
    if (standing.isDeadlock) this.#report(standing, 'suspected')
    this.#lookLater(standing)
    // Another cycle through the same requests may be proved by now. All that are due are checked together.
    for (const request of closedBy) this.#checkAgain(request)
  }

  #report(standing: StandingCycle, kind: 'deadlock' | 'suspected'): void {
    standing.isDeadlock = kind === 'deadlock'
    this.#options.reports[kind](this.#reportOf(standing))
  }

  /** Rejects the victim; with `deadlockAfterMs: Infinity`, a deadlock is only reported. */
  #reject(standing: StandingCycle): void {
    if (this.#options.deadlockAfterMs === Number.POSITIVE_INFINITY) return
    const victim = victimOf(standing.cycle)
    const error = new DeadlockError(this.#reportOf(standing))
    const calls = this.#options.callSites.of(victim)
    if (calls !== '') error.stack = stackBeginningAt(error, calls)
    this.#options.fail(victim, error)
  }

  #reportOf({ cycle, isDeadlock }: StandingCycle): DeadlockReport {
    const { graph, callSites, deadlockAfterMs } = this.#options
    const hasVictim = isDeadlock && deadlockAfterMs !== Number.POSITIVE_INFINITY
    return reportOf(cycle, hasVictim, callSites, graph)
  }

  /**
   * Drops the cycles of a request that ends or changes its holder: they are broken. Returns the
   * requests that closed them, and the blockers in them.
   */
  dropCyclesOf(request: Request): {
    readonly closedBy: Request[]
    readonly blockers: Set<Request>
  } {
    const closedBy: Request[] = []
    const blockers = new Set<Request>()
    for (const standing of this.#standing.of(request)) {
      this.#standing.remove(standing)
      closedBy.push(...standing.closedBy)
      for (const { blocker } of standing.cycle) blockers.add(blocker)
    }
    return { closedBy, blockers }
  }

  /** Checks each suspected cycle once when the event loop runs empty. Returns whether it checks any now. */
  lookAtSuspected(): boolean {
    let isAny = false
    for (const standing of this.#standing.all()) {
      if (standing.isDeadlock || standing.isLookedAtIdly) continue
      standing.isLookedAtIdly = true
      standing.cancel?.()
      void this.#lookAt(standing)
      isAny = true
    }
    return isAny
  }
}
