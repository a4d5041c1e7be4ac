/** The requests of a backend that answers late: those under way, releases that take time, and failures. */

import type { Backend } from '../backends/backend.ts'
import { emitWarning } from '../core/emit-warning.ts'
import { brief, listed, quoted, visible } from '../core/format.ts'
import { namesIn } from '../core/plan.ts'
import type { Request } from './request.ts'

/** The requests of one manager whose backend answers late. */
export class LateRequests {
  readonly #backend: Backend<Request>
  /** The requests that were not granted at once, and have not ended. */
  readonly #open = new Set<Request>()
  readonly #releases = new Map<Request, Promise<void>>()

  constructor(backend: Backend<Request>) {
    this.#backend = backend
  }

  /** Whether a request waits or holds that waited. */
  get isAny(): boolean {
    return this.#open.size > 0
  }

  /** A request begins to wait. */
  add(request: Request): void {
    this.#open.add(request)
  }

  /**
   * Lets the backend forget a request, if it has that. A promise settles when that is done, and is never
   * rejected: what the request comes to stands.
   */
  leave(request: Request, state: Request['state']): void | Promise<void> {
    this.#open.delete(request)
    try {
      if (state === 'waiting') this.#backend.cancel(request)
      else if (state !== 'outside') {
        const released = this.#backend.release(request)
        return released && this.#settled(request, released)
      }
    } catch (error) {
      warnOfLeaving(request, error)
    }
    return undefined
  }

  /** The release of a request that has ended, if it is on its way. */
  releaseOf(request: Request): Promise<void> | undefined {
    return this.#releases.get(request)
  }

  /** Resolves when all locks are free that are being released. */
  async released(): Promise<void> {
    while (this.#releases.size > 0) await Promise.all(this.#releases.values())
  }

  #settled(request: Request, released: Promise<void>): Promise<void> {
    const settled = released
      .catch((error) => warnOfLeaving(request, error))
      .finally(() => this.#releases.delete(request))
    this.#releases.set(request, settled)
    return settled
  }
}

/** Warns that a backend has failed to free the locks of a request, unless they are known to be lost. */
function warnOfLeaving(request: Request, error: unknown): void {
  if (request.failure?.kind === 'gone') return
  const names = listed(namesIn(request.plan).map(quoted))
  const reason = error instanceof Error ? error.message : String(error)
  emitWarning(
    visible(
      `${brief(request.label)}: the backend has failed to free ${names}: ${reason}. They may stay held.`,
    ),
  )
}
