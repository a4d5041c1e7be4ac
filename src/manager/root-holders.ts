/** Finds the holders that block requests, and describes them as plain data for refusals and reports. */

import { answersAtOnce, type Backend, type Blocker, type Other } from '../backends/backend.ts'
import type { LockMode } from '../core/modes.ts'
import type { LockHolder, NestedWait, RootHolder } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import { reportAfter } from './clock.ts'
import { isNestedIn } from './nesting.ts'
import { Request } from './request.ts'
import { codeOf } from './wait-graph.ts'

/** The time limit for a late backend to name the root holders. */
const MAX_ANSWER_MS = 200
/** The maximum number of root holders in a report, of all locks: the first that the backend names. */
const MAX_DESCRIBED = 10

/** The root holders that block one manager's requests. */
export class RootHolders {
  readonly #backend: Backend<Request>
  readonly #callSites: CallSites
  /** Whether the backend names the root holders at once. */
  readonly isImmediate: boolean

  constructor(backend: Backend<Request>, callSites: CallSites) {
    this.#backend = backend
    this.#callSites = callSites
    this.isImmediate = answersAtOnce(backend)
  }

  /** The holders that block a request; empty for a late backend. `name` limits them to one of its locks. */
  now(request: Request, name?: string): readonly Blocker<Request>[] {
    if (!this.isImmediate) return []
    const found = this.#backend.blockers(request, name)
    return isList(found) ? found : []
  }

  /**
   * The holders that block a request, once the backend has answered. Empty if the call fails or takes longer
   * than {@link MAX_ANSWER_MS}, since no request or report may wait longer for it.
   */
  async later(request: Request, name?: string): Promise<readonly Blocker<Request>[]> {
    let stop: (() => void) | undefined
    const tooLate = new Promise<readonly Blocker<Request>[]>((resolve) => {
      stop = reportAfter(MAX_ANSWER_MS, () => resolve([]))
    })
    try {
      return await Promise.race([this.#backend.blockers(request, name), tooLate])
    } catch {
      return []
    } finally {
      stop?.()
    }
  }

  /**
   * Calls `use` with the root holders of a request as plain data: at once if the backend answers at once.
   * `at` returns the time of the description, in milliseconds since 1970; it is called once.
   */
  withAll(
    request: Request,
    at: () => number,
    use: (holders: RootHolder[]) => void,
    name?: string,
  ): void {
    if (this.isImmediate) use(this.#describe(this.now(request, name), at(), request))
    else void this.later(request, name).then((found) => use(this.#describe(found, at(), request)))
  }

  /** The root holders of a request as plain data; empty for a late backend. */
  describe(request: Request, at: number, name?: string): RootHolder[] {
    return this.#describe(this.now(request, name), at, request)
  }

  #describe(found: readonly Blocker<Request>[], at: number, request: Request): RootHolder[] {
    return found.slice(0, MAX_DESCRIBED).map((blocker) => {
      const { name, mode, waitsFor, wanted, holders, waiters, by } = blocker
      const lock = { name, mode }
      const counts = { waitsFor: { name: waitsFor, mode: wanted, units: 1 }, holders, waiters }
      if (!(by instanceof Request)) {
        return { ...describeOther(lock, by, at), ...counts, isAround: false, nested: null }
      }
      const nested = this.#nestedWaitOf(by, at)
      return {
        ...describeHolder(lock, by, this.#callSites, at),
        ...counts,
        id: by.id,
        isAround: isNestedIn(request, by),
        nested: nested && nested.request !== request ? nested.wait : null,
      }
    })
  }

  /** A waiting nested request whose promise somebody awaits, usually its holder. */
  #nestedWaitOf(
    holder: Request,
    at: number,
  ): { readonly request: Request; readonly wait: NestedWait } | undefined {
    for (const request of codeOf(holder)?.nested ?? []) {
      if (request.state !== 'waiting' || !request.isAwaited || request.options.detached) continue
      const [lack] = this.#backend.waits?.lacks(request) ?? []
      if (lack === undefined) continue
      const { callSite } = this.#callSites.callSiteOf(request)
      return {
        request,
        wait: {
          label: request.label,
          waitsFor: { name: lack.name, mode: lack.mode, units: 1 },
          waitedMs: Math.max(0, at - request.since),
          ...(callSite !== undefined && { callSite }),
          behind: this.now(request, lack.name)
            .slice(0, MAX_DESCRIBED)
            .map(({ by }) => by.label),
        },
      }
    }
    return undefined
  }
}

/**
 * Describes a request that holds a lock as plain data. `at`: the current time, in milliseconds since 1970.
 */
export function describeHolder(
  lock: { readonly name: string; readonly mode: LockMode },
  holder: Request,
  callSites: CallSites,
  at: number,
): LockHolder {
  return { ...heldBy(lock, holder, at), ...callSites.callSiteOf(holder, lock.name) }
}

/** Describes a holder of another manager, as far as the store knows it. */
function describeOther(
  lock: { readonly name: string; readonly mode: LockMode },
  other: Other,
  at: number,
): LockHolder {
  const { callSite } = other
  return { ...heldBy(lock, other, at), ...(callSite !== undefined && { callSite }) }
}

function heldBy(
  { name, mode }: { readonly name: string; readonly mode: LockMode },
  { label, since }: Other,
  at: number,
): LockHolder {
  return { name, mode, units: 1, label, sinceMs: since, heldMs: Math.max(0, at - since) }
}

function isList<Item>(value: readonly Item[] | Promise<readonly Item[]>): value is readonly Item[] {
  return Array.isArray(value)
}
