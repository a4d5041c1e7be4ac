/** Makes the report of a cycle of requests, as plain data. */

import type { DeadlockHeldLock, DeadlockMember, DeadlockReport } from '../core/report.ts'
import type { CallSites } from './call-sites.ts'
import { now } from './clock.ts'
import { type Cycle, isProved, nextOf, victimOf } from './cycle.ts'
import { isEndProved } from './proof.ts'
import type { Request } from './request.ts'
import { describeHolder } from './root-holders.ts'
import { locksOf, type WaitGraph } from './wait-graph.ts'

/** The most blockers that a member of a report names. */
const MAX_BLOCKERS = 10

/** The report of a cycle, the victim first. */
export function reportOf(
  cycle: Cycle,
  hasVictim: boolean,
  callSites: CallSites,
  graph: WaitGraph,
): DeadlockReport {
  const at = now()
  const victim = victimOf(cycle)
  const first = cycle.findIndex(({ waiting }) => waiting === victim)
  const links = [...cycle.slice(first), ...cycle.slice(0, first)]
  const members = links.map(({ waiting, blocker }, i): DeadlockMember => {
    const before = links.at(i - 1) as Cycle[number]
    const { name, mode, holders } = graph.lackBehind(waiting, blocker)
    const wantedFrom = graph.lackBehind(before.waiting, before.blocker).name
    const waitsAt = callSites.of(waiting)
    const awaitChain = callSites.ofChain(waiting, before.blocker)
    return {
      waiter: { kind: 'request', id: waiting.id, label: waiting.label },
      holds: locksOf(waiting.holder).map((lock): DeadlockHeldLock => {
        const isWanted = lock.name === wantedFrom && lock.by === before.blocker
        return {
          ...describeHolder(lock, lock.by, callSites, at),
          ...(isWanted && callSites.ofHeld(lock.by, lock.name)),
        }
      }),
      waitsFor: { name, mode, units: 1 },
      blockers: [
        nextOf(links, i).waiting.id,
        ...holders.filter((one) => one !== blocker).map(({ id }) => id),
      ].slice(0, MAX_BLOCKERS),
      waitedMs: Math.max(0, at - waiting.since),
      ...(waitsAt !== '' && { waitsAt }),
      ...(awaitChain !== '' && { awaitChain }),
      isProved: isEndProved(before.blocker, waiting),
      sharesOwner: sharesOwner(before.blocker, waiting),
    }
  })
  return {
    version: 1,
    kind: 'deadlock',
    between: 'tasks',
    confidence: isProved(cycle) ? 'proved' : 'suspected',
    hasVictim,
    detectedAtMs: at,
    victim: victim.id,
    cycle: members,
  }
}

function sharesOwner(holder: Request, waiting: Request): boolean {
  const { owner } = waiting.options
  return owner !== undefined && owner === holder.options.owner
}
