/**
 * The cycles that were reported and stand: until one of those involved ends, or is left to other code.
 *
 * Cost: for each cycle an entry for everybody in it; nothing where there is none.
 */

import { type Cycle, involvedIn, keyOf } from './cycle.ts'
import type { Request } from './request.ts'

/** A cycle that was reported and stands. */
export interface StandingCycle {
  readonly key: string
  readonly cycle: Cycle
  readonly involved: ReadonlySet<Request>
  /** Those whose promises, awaited, have closed it. */
  readonly closedBy: Set<Request>
  /** Whether it was reported as a deadlock, and not only as suspected. */
  isDeadlock: boolean
  /** How often it was looked at since. */
  looks: number
  /** Whether it was looked at when the event loop had run empty. */
  isLookedAtIdly: boolean
  /** Cancels the next look. */
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

  /** The same cycle, if it stands. */
  get(cycle: Cycle): StandingCycle | undefined {
    return this.#byKey.get(keyOf(cycle))
  }

  has(standing: StandingCycle): boolean {
    return this.#byKey.get(standing.key) === standing
  }

  /** Those that a request is involved in. */
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
