/** The locks that requests wait for too long, with their reports. */

import type { Blocker } from '../backends/backend.ts'
import { Request } from './request.ts'

/** The holders of a lock in the order in which they got it, as far as its backend knows them. */
export type Holders = readonly Blocker<Request>['by'][]

/** A lock that is stuck now. */
export interface StuckNow {
  readonly holders: Holders
  readonly limitMs: number
}

/** A lock that was reported, in its own report or in another lock's, and that is still stuck. */
export interface Stuck {
  readonly holders: Holders
  /** The request that had waited longest for it then. */
  readonly waiter: Request
  /** The duration of the oldest wait, in milliseconds, at which it is reported again. */
  readonly nextMs: number
}

/** The reports of the locks that are stuck, by oldest waiter. */
export class ReportedLocks {
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

/** Whether two holders are the same, as far as their store knows them. */
export function isSame(
  one: Holders[number] | undefined,
  other: Holders[number] | undefined,
): boolean {
  if (one instanceof Request || other instanceof Request) return one === other
  return one?.label === other?.label && one?.since === other?.since
}
