/**
 * The plan: a request in canonical form. Every name appears once, in the one order in which all requests take
 * their locks. A name requested in both modes is taken exclusively.
 *
 * A plan is a linked list, not an array: most requests have one name, and then need no further allocation.
 */

import type { WantedLock } from './modes.ts'
import { compareNames } from './names.ts'

/** A request's locks in order, as a linked list that begins with this one. */
export interface Plan extends WantedLock<string> {
  readonly next: Plan | undefined
}

/** A lock from which a plan can be made. */
type Link<Self> = WantedLock<string> & { next: Self | undefined }

/** Lists up to this length are sorted by insertion: the general sort costs more than a request. */
const SHORT = 16

/**
 * Makes the plan for at least one requested lock. `compare` orders two names. Changes the list. Cost: a sort.
 */
export function planFor<Lock extends Link<Lock>>(
  wanted: Lock[],
  compare: (a: string, b: string) => number = compareNames,
): Lock {
  if (wanted.length > SHORT) wanted.sort((a, b) => compare(a.name, b.name))
  else sortShort(wanted, compare)
  let plan = wanted[wanted.length - 1] as Lock
  for (let i = wanted.length - 2; i >= 0; i--) {
    const lock = wanted[i] as Lock
    if (lock.name !== plan.name) {
      lock.next = plan
      plan = lock
    } else if (lock.mode === 'exclusive') {
      lock.next = plan.next
      plan = lock
    }
  }
  return plan
}

/** The locks of a plan, in their order. */
export function locksIn(plan: Plan): WantedLock<string>[] {
  const locks: WantedLock<string>[] = []
  for (let at: Plan | undefined = plan; at; at = at.next) locks.push(at)
  return locks
}

/** The names of a plan, in their order. */
export function namesIn(plan: Plan): string[] {
  return locksIn(plan).map(({ name }) => name)
}

function sortShort<Lock extends WantedLock<string>>(
  wanted: Lock[],
  compare: (a: string, b: string) => number,
): void {
  for (let i = 1; i < wanted.length; i++) {
    const lock = wanted[i] as Lock
    let at = i
    for (; at > 0 && compare((wanted[at - 1] as Lock).name, lock.name) > 0; at--) {
      wanted[at] = wanted[at - 1] as Lock
    }
    wanted[at] = lock
  }
}
