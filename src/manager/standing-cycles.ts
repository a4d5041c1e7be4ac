/**
 * The cycles that were reported and stand. A cycle stands until one of its requests ends or changes its
 * holder.
 *
 * Cost: for each cycle, an entry for each request in it; nothing if there is no cycle.
 */

import { type Cycle, involvedIn, keyOf } from './cycle.ts'
import type { Request } from './request.ts'

/** A reported cycle that stands. */
export interface StandingCycle {
  readonly key: string
  readonly cycle: Cycle
  readonly involved: ReadonlySet<Request>
  /** The requests whose promises closed it when they were awaited. */
  readonly closedBy: Set<Request>
  /** Whether it was last reported as a deadlock, not as suspected. */
  isDeadlock: boolean
  /** The number of checks since it was first reported. */
  looks: number
  /** Whether it was checked when the event loop had run empty. */
  isLookedAtIdly: boolean
  /** Cancels the next check. */
  cancel: (() => void) | undefined
}

/** The standing cycles of one manager. */
export class StandingCycles {
  readonly #byKey = new Map<string, StandingCycle>()
  readonly #byRequest = new Map<Request, Set<StandingCycle>>()

  get size(): number {
    return this.#byKey.size
  }

  all(): readonly StandingCycle[] {
    return [...this.#byKey.values()]
  }

  /** The standing cycle that equals a cycle, if there is one. */
  get(cycle: Cycle): StandingCycle | undefined {
    return this.#byKey.get(keyOf(cycle))
  }

  has(standing: StandingCycle): boolean {
    return this.#byKey.get(standing.key) === standing
  }

  /** The cycles that a request is involved in. */
  of(request: Request): readonly StandingCycle[] {
    return [...(this.#byRequest.get(request) ?? [])]
  }

  add(cycle: Cycle, closedBy: Request): StandingCycle {
    const standing: StandingCycle = {
      key: keyOf(cycle),
      cycle,
      involved: involvedIn(cycle),
      closedBy: new Set([closedBy]),
      isDeadlock: false,
      looks: 0,
      isLookedAtIdly: false,
      cancel: undefined,
    }
    this.#byKey.set(standing.key, standing)
    for (const request of standing.involved) {
      const cycles = this.#byRequest.get(request)
      if (cycles) cycles.add(standing)
      else this.#byRequest.set(request, new Set([standing]))
    }
    return standing
  }

  remove(standing: StandingCycle): void {
    standing.cancel?.()
    this.#byKey.delete(standing.key)
    for (const request of standing.involved) {
      const cycles = this.#byRequest.get(request)
      cycles?.delete(standing)
      if (cycles?.size === 0) this.#byRequest.delete(request)
    }
  }
}
