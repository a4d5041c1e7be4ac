/**
 * Guards that a branch of some code may have: nobody can prove that their release waits for anything.
 *
 * Such a guard closes no cycle that is proved, so the detector looks after the turn, and not at each grant: of
 * many branches that take one lock in turn, most have released it by then. All that wait for nothing else are in
 * one cycle with the guard and with what its context awaits: one of them stands for all, until the guard's end.
 */

import { liveHolder, type Request } from './request.ts'
import { codeOf, type WaitGraph } from './wait-graph.ts'

/** The branch guards of one manager. */
export class BranchGuards {
  readonly #graph: WaitGraph
  /** Whether a guard can close a cycle that is more than suspected: none of these guards. */
  readonly #canClose: (guard: Request) => boolean

  /** Those that are to be looked at after the turn. */
  readonly #aside = new Set<Request>()

  constructor(graph: WaitGraph, canClose: (guard: Request) => boolean) {
    this.#graph = graph
    this.#canClose = canClose
  }

  /**
   * Takes guards out of a set, and requests that wait for nothing but branch guards. Other guards leave what their
   * context awaits in their place. Returns whether there were branch guards, which it sets aside.
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
   * The requests that may be in a cycle with the guards that were set aside, or that such a guard has left in one
   * by its end. One stands for all that wait for nothing but one guard.
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

  /** The first guard that a request waits for, if it waits for nothing but such guards of its own context. */
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
