/**
 * The plan: a request made canonical. Every name once, in the one order in which all requests take
 * their locks; a name that was asked for in both modes is taken alone.
 */

import type { WantedLock } from './modes.ts'
import { compareNames } from './names.ts'

/** What a request takes, in order. Never empty. */
export type Plan = readonly WantedLock<string>[]

/** The plan for what is wanted; `compare` orders two names. Cost: a sort. */
export function planFor(
  wanted: readonly WantedLock<string>[],
  compare: (a: string, b: string) => number = compareNames,
): Plan {
  const sorted = [...wanted].sort((a, b) => compare(a.name, b.name))
  const plan: WantedLock<string>[] = []
  for (const want of sorted) {
    const last = plan.at(-1)
    if (last?.name !== want.name) plan.push(want)
    else if (want.mode === 'exclusive') plan[plan.length - 1] = want
  }
  return plan
}
