/**
 * Branch guards: guards in code that may have several branches (`Promise.all`). It is not known which branch
 * will release such a guard, so it cannot be proved that the release waits for anything.
 *
 * A branch guard closes no proved cycle, so the detector checks it after the turn and not at each grant. If
 * many branches take one lock in turn, most have released it by then. All requests that wait only for one
 * branch guard close the same cycle. So the detector checks one in place of all, until the guard ends.
 */

import { liveHolder, type Request } from './request.ts'
import { codeOf, type WaitGraph } from './wait-graph.ts'

/** The branch guards of one manager. */
export class BranchGuards {
  readonly #graph: WaitGraph
  /** Whether a guard can close a cycle that is more than suspected. False for branch guards. */
  readonly #canClose: (guard: Request) => boolean

  /** The guards to check after the turn. */
  readonly #aside = new Set<Request>()

  constructor(graph: WaitGraph, canClose: (guard: Request) => boolean) {
    this.#graph = graph
    this.#canClose = canClose
  }

  /**
   * Removes from a set the branch guards, and the requests that wait only for branch guards. Replaces each
   * other guard by the nested requests of the code that has it. Sets the branch guards aside; returns whether
   * these are the first since {@link putBack}.
   */
  takeFrom(requests: Set<Request>): boolean {
    const before = this.#aside.size
    for (const request of requests) {
      if (!request.isGuard) {
        const guard = this.#onlyGuardBefore(request)
        if (guard === undefined) continue
        if (request.isAwaited) this.#aside.add(guard)
      } else if (!this.#canClose(request)) this.#aside.add(request)
      else for (const nested of codeOf(request)?.nested ?? []) requests.add(nested)
      requests.delete(request)
    }
    return before === 0 && this.#aside.size > 0
  }

  /**
   * Takes back the guards that were set aside, and adds to a set the requests that their code awaits. These
   * requests may be in a cycle, even if such a guard was released meanwhile. One request represents all that
   * wait only for the same guard.
   */
  putBack(requests: Set<Request>): void {
    this.takeFrom(requests)
    const guards = new Set(this.#aside)
    this.#aside.clear()
    const codes = new Set<Request | undefined>()
    for (const guard of guards) codes.add(liveHolder(guard.holder))
    for (const code of codes) {
      for (const nested of code?.nested ?? []) {
        if (!nested.isAwaited) continue
        const guard = this.#onlyGuardBefore(nested)
        if (guard === undefined || guards.delete(guard)) requests.add(nested)
      }
    }
  }

  /** The first guard that a request waits for, if it waits only for branch guards of its own context. */
  #onlyGuardBefore(request: Request): Request | undefined {
    const { holder, state } = request
    if (state !== 'waiting' || !holder?.guards?.size) return undefined
    let first: Request | undefined
    for (const blocker of this.#graph.edges.hardBlockers(request)) {
      if (!blocker.isGuard || codeOf(blocker) !== holder || this.#canClose(blocker))
        return undefined
      first ??= blocker
    }
    return first
  }
}
