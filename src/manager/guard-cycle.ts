/** A suspected cycle of guards: its links, whether it stands, and its description in a report. */

import type { Blocker } from '../backends/backend.ts'
import type { GuardCycleMember } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import type { Request } from './request.ts'
import { describeHolder } from './root-holders.ts'
import { FIT, type Fit } from './task-evidence.ts'

/** A root holder that is a request of the same manager. */
export type Root = Blocker<Request> & { readonly by: Request }

/** A request that waits for a guard, which the task of the next link's request may hold. */
export interface GuardLink {
  readonly waiting: Request
  readonly root: Root
  /** How well the guard fits the task of the next request. */
  readonly fit: Fit
}

/** Whether a cycle is unchanged: its requests still wait, and its guards are still held. */
export function isStanding(cycle: readonly GuardLink[]): boolean {
  return cycle.every(({ waiting, root }) => waiting.state === 'waiting' && isHeld(root.by))
}

/** A key that identifies a cycle, whichever link it begins with. */
export function keyOfGuardCycle(cycle: readonly GuardLink[]): string {
  const links = cycle.map(({ waiting, root }) => `${waiting.id}>${root.by.id}`)
  return links.sort().join()
}

function isHeld({ state }: Request): boolean {
  return state === 'granted' || state === 'holding'
}

/** Describes a cycle as plain data. `at`: the current time, in milliseconds since 1970. */
export function describeGuardCycle(
  cycle: readonly GuardLink[],
  callSites: CallSites,
  at: number,
): GuardCycleMember[] {
  return cycle.map(({ waiting, root }, i) => {
    const before = cycle.at(i - 1) as GuardLink
    const { by: guard } = before.root
    const { callSite } = callSites.callSiteOf(waiting)
    return {
      label: waiting.label,
      waitsFor: { name: root.waitsFor, mode: root.wanted, units: 1 },
      waitedMs: Math.max(0, at - waiting.since),
      ...(callSite !== undefined && { callSite }),
      mayHold: describeHolder(before.root, guard, callSites, at),
      isCertain: before.fit === FIT.certain,
      withOwner: withOwner(waiting, guard),
    }
  })
}

/** Whether the request, the guard, both or neither have an owner. */
function withOwner(waiting: Request, guard: Request): GuardCycleMember['withOwner'] {
  const hasOwner = waiting.options.owner !== undefined
  if (hasOwner === (guard.options.owner !== undefined)) return hasOwner ? 'both' : 'neither'
  return hasOwner ? 'request' : 'guard'
}
