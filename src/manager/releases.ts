/** Releases that take time, of backends that do not answer at once; and those that fail. */

import { emitWarning } from '../core/emit-warning.ts'
import { brief, listed, quoted, visible } from '../core/format.ts'
import { namesIn } from '../core/plan.ts'
import type { Request } from './request.ts'

/** The releases of one manager that are on their way. */
export class Releases {
  readonly #underWay = new Set<Promise<void>>()

  /** Adds one. The promise settles with it, and is never rejected: what the request comes to stands. */
  add(request: Request, released: Promise<void>): Promise<void> {
    const settled: Promise<void> = released
      .catch((error) => warnOfLeaving(request, error))
      .finally(() => this.#underWay.delete(settled))
    this.#underWay.add(settled)
    return settled
  }

  /** Resolves when all that are on their way have settled. */
  async all(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }
}

/** Warns that a backend has failed to free the locks of a request, unless they are known to be lost. */
export function warnOfLeaving(request: Request, error: unknown): void {
  if (request.failure?.kind === 'gone') return
  const names = listed(namesIn(request.plan).map(quoted))
  const reason = error instanceof Error ? error.message : String(error)
  emitWarning(
    visible(
      `${brief(request.label)}: the backend has failed to free ${names}: ${reason}. They may stay held.`,
    ),
  )
}
