/**
 * The plan: a request made canonical. Every name once, in the one order in which all requests take
 * their locks; a name that was asked for in both modes is taken alone.
 */

import type { WantedLock } from './modes.ts'
import { compareNames } from './names.ts'

/** What a request takes, in order. Never empty. */
export type Plan = readonly WantedLock<string>[]

/** Lists up to this length are sorted by insertion: the general sort costs more than a request. */
const SHORT = 16

/** The plan for what is wanted; `compare` orders two names. Cost: a sort. */
export function planFor(
  wanted: readonly WantedLock<string>[],
  compare: (a: string, b: string) => number = compareNames,
): Plan {
  if (wanted.length > SHORT) return once([...wanted].sort((a, b) => compare(a.name, b.name)))
  const plan: WantedLock<string>[] = []
  for (let i = 0; i < wanted.length; i++) {
    const want = wanted[i] as WantedLock<string>
    let at = i
    for (; at > 0 && compare((plan[at - 1] as WantedLock<string>).name, want.name) > 0; at--) {
      plan[at] = plan[at - 1] as WantedLock<string>
    }
    plan[at] = want
  }
  return once(plan)
}

/** Drops the repetitions of a sorted list, in place; the stronger mode stays. */
function once(sorted: WantedLock<string>[]): Plan {
  let length = 1
  for (let i = 1; i < sorted.length; i++) {
    const want = sorted[i] as WantedLock<string>
    if (want.name !== sorted[length - 1]?.name) sorted[length++] = want
    else if (want.mode === 'exclusive') sorted[length - 1] = want
  }
  if (length < sorted.length) sorted.length = length
  return sorted
}
