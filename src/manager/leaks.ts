/**
 * Reports guards that were garbage-collected without `release()`: nobody can release them any more.
 *
 * To register an object for finalization costs more than a request. Most guards are released soon, so a new
 * one goes into a ring, and is registered only if it is still held when it leaves the ring: when
 * {@link SLOTS} others came after it, or {@link FLUSH_MS} after the ring was first written. The ring refers
 * to its guards strongly; what is registered refers to the request, never to the guard.
 *
 * Cost: two entries in an array for each guard.
 */

import type { Ticket } from '../backends/local/queues.ts'
import { namesIn } from '../core/plan.ts'
import type { LeakedReport } from '../core/report.ts'
import { heldSince, waitersIn } from './blockers.ts'
import { now, reportIdlyAfter } from './clock.ts'
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

/** What a {@link Leaks} works with. */
export interface LeakOptions {
  readonly places: Places
  readonly report: (report: LeakedReport) => void
}

/** The guards of one manager. */
export class Leaks {
  readonly #options: LeakOptions
  readonly #guards = new Array<object | undefined>(SLOTS).fill(undefined)
  readonly #requests = new Array<Request | undefined>(SLOTS).fill(undefined)
  #next = 0
  #isTimed = false

  constructor(options: LeakOptions) {
    this.#options = options
  }

  /** A guard for a request is about to be given to the program. */
  watch(guard: object, request: Request): void {
    if (!this.#isTimed) this.#flushLater()
    const at = this.#next
    this.#next = (at + 1) & (SLOTS - 1)
    const older = this.#requests[at]
    if (older !== undefined && older.state !== 'ended') {
      register(this.#guards[at], older, this)
    }
    this.#guards[at] = guard
    this.#requests[at] = request
  }

  /** The guard of a request was collected. */
  collected(request: Request): void {
    if (request.state !== 'holding') return
    const since = heldSince(request)
    let waiters = 0
    for (let at = request.plan as Ticket<Request> | undefined; at; at = at.next) {
      waiters += waitersIn(at.queue)
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

  #flushLater(): void {
    this.#isTimed = registry !== undefined
    if (!this.#isTimed) return
    reportIdlyAfter(FLUSH_MS, () => {
      this.#isTimed = false
      for (let at = 0; at < SLOTS; at++) {
        const request = this.#requests[at]
        if (request === undefined) continue
        if (request.state !== 'ended') register(this.#guards[at], request, this)
        this.#guards[at] = undefined
        this.#requests[at] = undefined
      }
    })
  }
}

function register(guard: object | undefined, request: Request, leaks: Leaks): void {
  if (guard !== undefined) registry?.register(guard, { request, leaks })
}
