/**
 * Reports guards that were garbage-collected without `release()`: nobody can release them any more.
 *
 * To register an object for finalization costs more than a request, and most guards are released soon. So a
 * guard that is still held when the next one is made goes into a ring. It is registered if it is still held
 * when it leaves the ring: when {@link SLOTS} others came after it, or {@link FLUSH_MS} after the first. The
 * ring refers to its guards strongly; what is registered refers to the request, never to the guard.
 *
 * Cost: the change of one field for each guard that is released before the next one is made.
 */

import type { Ticket } from '../backends/local/queues.ts'
import { namesIn } from '../core/plan.ts'
import type { LeakedReport } from '../core/report.ts'
import { now, reportIdlyAfter } from './clock.ts'
import { type Guard, holdingOf } from './guard.ts'
import type { Places } from './places.ts'
import { labelOf, type Request } from './request.ts'

/** The number of young guards in a ring; a power of two. */
const SLOTS = 64
/** Young guards are registered after this many milliseconds. */
const FLUSH_MS = 10

/** A guard that may leak: what is known of it when it is collected. */
interface Held {
  readonly request: Request
  readonly leaks: Leaks
}

/** One for all managers; absent where the runtime has none. */
const registry =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry<Held>(({ request, leaks }) => leaks.collected(request))
    : undefined

/** Options of a {@link Leaks}. */
export interface LeakOptions {
  readonly places: Places
  readonly report: (report: LeakedReport) => void
}

/** The guards of one manager. */
export class Leaks {
  readonly #options: LeakOptions
  /** The guard that was made last, since the ring was flushed. */
  #last: Guard | undefined
  readonly #ring = new Array<Guard | undefined>(SLOTS).fill(undefined)
  #next = 0

  constructor(options: LeakOptions) {
    this.#options = options
  }

  /** A guard is about to be given to the program. */
  watch(guard: Guard): void {
    const older = this.#last
    this.#last = guard
    if (older === undefined) this.#flushLater()
    else if (older.held) this.#keep(older)
  }

  /** The guard of a request was collected. */
  collected(request: Request): void {
    if (request.state !== 'holding') return
    const { since } = request
    let waiters = 0
    for (let at = request.plan as Ticket<Request> | undefined; at; at = at.next) {
      waiters += at.queue.waiting
    }
    this.#options.report({
      kind: 'leaked',
      label: labelOf(request),
      names: namesIn(request.plan),
      since,
      heldMs: Math.max(0, now() - since),
      ...this.#options.places.callSiteOf(request),
      waiters,
    })
  }

  #keep(guard: Guard): void {
    const at = this.#next
    this.#next = (at + 1) & (SLOTS - 1)
    this.#register(this.#ring[at])
    this.#ring[at] = guard
  }

  #flushLater(): void {
    reportIdlyAfter(FLUSH_MS, () => {
      this.#register(this.#last)
      this.#last = undefined
      for (const guard of this.#ring) this.#register(guard)
      this.#ring.fill(undefined)
    })
  }

  #register(guard: Guard | undefined): void {
    if (!guard?.held) return
    registry?.register(guard, { request: holdingOf(guard) as Request, leaks: this })
  }
}
