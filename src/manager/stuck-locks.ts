/** Locks that requests wait for too long: which were reported, and in whose report. */

import type { Blocker } from '../backends/backend.ts'
import { Request } from './request.ts'

/** Who holds a lock, as far as its backend tells: in the order in which they got it. */
export type Holders = readonly Blocker<Request>['by'][]

/** A lock that is stuck now. */
export interface StuckNow {
  readonly holders: Holders
  readonly limitMs: number
}

/** A lock that was reported, by itself or in the report of another one, and is still waited for too long. */
export interface Stuck {
  readonly holders: Holders
  /** The oldest that waited for it then. */
  readonly waiter: Request
  /** The oldest wait is reported again when it has lasted for so many milliseconds. */
  readonly nextMs: number
}

/** What was reported of the locks that are stuck, by the oldest waiter. */
export class Told {
  readonly #ofWaiter = new Map<Request, Stuck[]>()

  constructor(stuck: Iterable<Stuck>) {
    for (const one of new Set(stuck)) this.add(one)
  }

  add(stuck: Stuck): void {
    const others = this.#ofWaiter.get(stuck.waiter)
    if (others) others.push(stuck)
    else this.#ofWaiter.set(stuck.waiter, [stuck])
  }

  /** The last report of a lock with this waiter and these holders, unless the next is due. */
  of(waiter: Request, holders: Holders, waitedMs: number): Stuck | undefined {
    return this.#ofWaiter
      .get(waiter)
      ?.find((stuck) => waitedMs < stuck.nextMs && areSame(stuck.holders, holders))
  }
}

function areSame(some: Holders, others: Holders): boolean {
  return some.length === others.length && some.every((one, i) => isSame(one, others[i]))
}

/** Whether two holders are the same one, as far as their store tells. */
export function isSame(
  one: Holders[number] | undefined,
  other: Holders[number] | undefined,
): boolean {
  if (one instanceof Request || other instanceof Request) return one === other
  return one?.label === other?.label && one?.since === other?.since
}
