/** Describes the waiting requests of a manager when the event loop runs empty. */

import type { Backend } from '../backends/backend.ts'
import { namesIn } from '../core/plan.ts'
import { guardCycleText, waitText } from '../core/report-text.ts'
import type { CallSites } from './call-sites.ts'
import type { DeadlockDetector } from './deadlock-detector.ts'
import type { Waits } from './empty-loop.ts'
import type { GuardCycleReports } from './guard-cycle-reports.ts'
import { Request } from './request.ts'
import type { RootHolders } from './root-holders.ts'

/** The most requests behind the same holders that a warning names. */
const MAX_ALIKE = 3
/** The most suspected guard cycles in a warning. */
const MAX_CYCLES = 3

/** The waiting requests of one manager. */
export class ManagerWaits implements Waits {
  readonly #backend: Backend<Request>
  readonly #roots: RootHolders
  readonly #callSites: CallSites
  readonly #detector: DeadlockDetector
  readonly #guardCycles: GuardCycleReports

  constructor(
    backend: Backend<Request>,
    roots: RootHolders,
    callSites: CallSites,
    detector: DeadlockDetector,
    guardCycles: GuardCycleReports,
  ) {
    this.#backend = backend
    this.#roots = roots
    this.#callSites = callSites
    this.#detector = detector
    this.#guardCycles = guardCycles
  }

  isAnyWaiting(): boolean {
    for (const lock of this.#backend.locks()) if (lock.waiting > 0) return true
    return false
  }

  lookAgain(): boolean {
    return this.#detector.lookAtSuspected()
  }

  waiting(): number[] {
    return this.#waiting().map(({ id }) => id)
  }

  describe(limit: number, at: number): string[] {
    const lines: string[] = []
    /** The number of requests behind each set of root holders. */
    const behind = new Map<string, number>()
    for (const request of this.#waiting()) {
      if (lines.length >= limit) break
      const roots = this.#roots.now(request)
      const key = roots
        .map(({ by, name }) => `${by instanceof Request ? by.id : by.label} ${name}`)
        .join()
      const before = behind.get(key) ?? 0
      behind.set(key, before + 1)
      if (before < MAX_ALIKE) lines.push(this.#lineOf(request, before === 0, at))
    }
    return lines
  }

  suspect(limit: number, at: number): string[] {
    const cycles = this.#guardCycles.unreported(this.#waiting().slice(0, limit), MAX_CYCLES, at)
    return cycles.flatMap((cycle) => guardCycleText(cycle).split('\n'))
  }

  #lineOf(request: Request, isFirst: boolean, at: number): string {
    return waitText({
      id: request.id,
      label: request.label,
      names: namesIn(request.plan),
      lastsMs: Math.max(0, at - request.since),
      ...this.#callSites.callSiteOf(request),
      holders: isFirst ? this.#roots.describe(request, at) : [],
    })
  }

  /** The waiting requests, the oldest first. */
  #waiting(): Request[] {
    const waiting = new Set<Request>()
    for (const lock of this.#backend.locks()) {
      if (lock.waiting > 0) for (const request of lock.waiters()) waiting.add(request)
    }
    return [...waiting].sort((a, b) => a.id - b.id)
  }
}
