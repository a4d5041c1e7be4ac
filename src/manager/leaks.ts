/**
 * Reports guards that were garbage-collected without `release()`: nobody can release them any more.
 *
 * Registering an object for finalization costs more than a request, and most guards are released soon. So a
 * request first refers to its guard. A timer scans the locks some milliseconds later. It registers the guards
 * of the requests that still hold, and removes the references to them. The registered value refers to the
 * request, never to the guard.
 *
 * Cost: the change of one field for each guard. A scan costs a step for each request that holds. Scans are
 * far enough apart to take at most a hundredth of the time.
 */

import type { Backend } from '../backends/backend.ts'
import { namesIn } from '../core/plan.ts'
import type { CallSites } from './call-sites.ts'
import { now, reportIdlyAfter } from './clock.ts'
import type { Guard } from './guard.ts'
import type { Reports } from './reports.ts'
import type { Request } from './request.ts'

/** The least time from the first new guard to the scan that registers it, in milliseconds. */
const LOOK_AFTER_MS = 10
/** The time between two scans, as a multiple of the duration of the last one. */
const REST = 100

/** The value registered for a guard. */
interface Held {
  readonly request: Request
  readonly leaks: Leaks
}

/** Shared by all managers; `undefined` where the runtime has none. */
const registry =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry<Held>(({ request, leaks }) => leaks.collected(request))
    : undefined

/** Options of a {@link Leaks}. */
export interface LeakOptions {
  readonly backend: Backend<Request>
  readonly callSites: CallSites
  readonly reports: Pick<Reports, 'leaked'>
}

/** The guards of one manager. */
export class Leaks {
  readonly #options: LeakOptions
  #isLookDue = false
  #restMs = 0

  constructor(options: LeakOptions) {
    this.#options = options
  }

  /** Starts to watch a request's guard, which is about to be given to the program. */
  watch(request: Request, guard: Guard): void {
    request.youngGuard = guard
    if (!this.#isLookDue) this.#lookLater()
  }

  /** Reports a request whose guard was collected, if it still holds. */
  collected(request: Request): void {
    if (request.state !== 'holding') return
    const { since, label } = request
    const names = namesIn(request.plan)
    let waiters = 0
    for (const name of names) waiters += this.#options.backend.lock(name)?.waiting ?? 0
    this.#options.reports.leaked({
      version: 1,
      kind: 'leaked',
      label,
      names,
      sinceMs: since,
      heldMs: Math.max(0, now() - since),
      ...this.#options.callSites.callSiteOf(request),
      waiters,
    })
  }

  #lookLater(): void {
    this.#isLookDue = true
    reportIdlyAfter(Math.max(LOOK_AFTER_MS, this.#restMs), () => {
      this.#isLookDue = false
      const beganAt = now()
      this.#registerAll()
      this.#restMs = REST * (now() - beganAt)
    })
  }

  #registerAll(): void {
    for (const lock of this.#options.backend.locks()) {
      for (const request of lock.holders()) {
        const { youngGuard } = request
        if (youngGuard === undefined) continue
        request.youngGuard = undefined
        registry?.register(youngGuard, { request, leaks: this })
      }
    }
  }
}
