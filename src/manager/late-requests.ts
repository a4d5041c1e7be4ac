/**
 * Tracks the requests of a late backend (`answersAtOnce`): those that wait or hold, their releases, and
 * failures.
 */

import type { Backend } from '../backends/backend.ts'
import { emitWarning } from '../core/emit-warning.ts'
import { labelText, listed, quoted, visible } from '../core/format.ts'
import { namesIn } from '../core/plan.ts'
import type { Request } from './request.ts'

/** The requests of one manager with a late backend. */
export class LateRequests {
  readonly #backend: Backend<Request>
  /** The requests that were not granted at once and have not ended. */
  readonly #open = new Set<Request>()
  readonly #releases = new Map<Request, Promise<void>>()

  constructor(backend: Backend<Request>) {
    this.#backend = backend
  }

  /** Whether any request waits, or holds after a wait. */
  get isAny(): boolean {
    return this.#open.size > 0
  }

  /** Adds a request that begins to wait. */
  add(request: Request): void {
    this.#open.add(request)
  }

  /**
   * Removes a request from the backend, if it is there. A returned promise settles when that is done. It
   * never rejects: the outcome of the request does not change.
   */
  leave(request: Request, state: Request['state']): Promise<void> | undefined {
    this.#open.delete(request)
    try {
      if (state === 'waiting') this.#backend.cancel(request)
      else if (state !== 'outside') {
        const released = this.#backend.release(request)
        if (released !== undefined) return this.#settled(request, released)
      }
    } catch (error) {
      warnOfLeaving(request, error)
    }
    return undefined
  }

  /** The unfinished release of a request that has ended. */
  releaseOf(request: Request): Promise<void> | undefined {
    return this.#releases.get(request)
  }

  /** Resolves when all releases are finished. */
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

/** Warns that a backend has failed to release the locks of a request, unless they are known to be lost. */
function warnOfLeaving(request: Request, error: unknown): void {
  if (request.failure?.kind === 'gone') return
  const names = listed(namesIn(request.plan).map(quoted))
  const reason = error instanceof Error ? error.message : String(error)
  emitWarning(
    visible(
      `${labelText(request.label)}: the backend has failed to release ${names}: ${reason}. They may stay ` +
        "held: look at the backend's store, and release them there.",
    ),
  )
}
