/**
 * The plan: a request made canonical. Every name once, in the one order in which all requests take
 * their locks; a name that was asked for in both modes is taken alone.
 */

import type { WantedLock } from './modes.ts'
import { compareNames } from './names.ts'

/** What a request takes, in order. Never empty. */
export type Plan<Want extends WantedLock<string> = WantedLock<string>> = readonly Want[]

/** Lists up to this length are sorted by insertion: the general sort costs more than a request. */
const SHORT = 16

/** The plan for what is wanted, made of that same list; `compare` orders two names. Cost: a sort. */
export function planFor<Want extends WantedLock<string>>(
  wanted: Want[],
  compare: (a: string, b: string) => number = compareNames,
): Plan<Want> {
  if (wanted.length > SHORT) wanted.sort((a, b) => compare(a.name, b.name))
  else {
    for (let i = 1; i < wanted.length; i++) {
      const want = wanted[i] as Want
      let at = i
      for (; at > 0 && compare((wanted[at - 1] as Want).name, want.name) > 0; at--) {
        wanted[at] = wanted[at - 1] as Want
      }
      wanted[at] = want
    }
  }
  return once(wanted)
}

/** Drops the repetitions of a sorted list, in place; the stronger mode stays. */
function once<Want extends WantedLock<string>>(sorted: Want[]): Plan<Want> {
  let length = 1
  for (let i = 1; i < sorted.length; i++) {
    const want = sorted[i] as Want
    if (want.name !== sorted[length - 1]?.name) sorted[length++] = want
    else if (want.mode === 'exclusive') sorted[length - 1] = want
  }
  if (length < sorted.length) sorted.length = length
  return sorted
}
