/** Chooses the victim of a cycle of requests, and makes the cycle's report, as plain data. */

import type { DeadlockHeldLock, DeadlockMember, DeadlockReport } from '../core/report.ts'
import { describeHolder } from './blockers.ts'
import { now } from './clock.ts'
import { type Cycle, isProved, nextOf } from './cycle.ts'
import type { Places } from './places.ts'
import { isEndProved } from './proof.ts'
import { liveHolder, type Request } from './request.ts'
import { locksOf, type WaitGraph } from './wait-graph.ts'

/** A member of a report names this many blockers. */
const MAX_BLOCKERS = 10

/** The victim of a cycle, whichever search found it: the youngest request. */
export function victimOf(cycle: Cycle): Request {
  const waiting = cycle.map((link) => link.waiting).filter((one) => liveHolder(one.holder))
  // There is one: only through a nested request that waits does a cycle leave a holder.
  return waiting.reduce((a, b) => (a.id > b.id ? a : b))
}

/** The report of a cycle, the victim first. */
export function reportOf(
  cycle: Cycle,
  victim: Request,
  hasVictim: boolean,
  places: Places,
  graph: WaitGraph,
): DeadlockReport {
  const at = now()
  const first = cycle.findIndex(({ waiting }) => waiting === victim)
  const links = [...cycle.slice(first), ...cycle.slice(0, first)]
  const members = links.map(({ waiting, blocker }, i): DeadlockMember => {
    const before = links.at(i - 1) as Cycle[number]
    const { name, mode, holders } = graph.lackBehind(waiting, blocker)
    const wantedFrom = graph.lackBehind(before.waiting, before.blocker).name
    const waitsAt = places.of(waiting)
    const awaitChain = places.ofChain(waiting, before.blocker)
    return {
      waiter: { kind: 'request', id: waiting.id, label: waiting.label },
      holds: locksOf(waiting.holder).map((lock): DeadlockHeldLock => {
        const isWanted = lock.name === wantedFrom && lock.by === before.blocker
        return {
          ...describeHolder(lock, lock.by, places, at),
          ...(isWanted && places.ofHeld(lock.by, lock.name)),
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
