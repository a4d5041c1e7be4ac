/** The report of a cycle of requests, as plain data. */

import type { DeadlockMember, DeadlockReport } from '../core/report.ts'
import { describeHolder } from './blockers.ts'
import { now } from './clock.ts'
import { type Cycle, isProved, nextOf } from './cycle.ts'
import type { Places } from './places.ts'
import { isEndProved } from './proof.ts'
import { labelOf, liveHolder, type Request } from './request.ts'
import { locksOf, type WaitGraph } from './wait-graph.ts'

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
    const held = locksOf(waiting.holder)
    const shared = held.filter(({ mode }) => mode === 'shared').map(({ name }) => name)
    const wants = graph.lockBetween(waiting, blocker)
    const awaitChain = places.ofChain(waiting, before.blocker)
    return {
      thread: waiting.id,
      label: labelOf(waiting),
      holds: held.map(({ name }) => name),
      ...(shared.length > 0 && { holdsShared: shared }),
      heldBy: held.map((lock) => describeHolder(lock, lock.by, places, at)),
      waitsFor: wants.name,
      ...(wants.mode === 'shared' && { mode: wants.mode }),
      blocker: nextOf(links, i).waiting.id,
      waitedMs: Math.max(0, at - waiting.since),
      stack: places.of(waiting),
      proved: isEndProved(before.blocker, waiting),
      ...(awaitChain !== '' && { awaitChain }),
      ...places.ofHeld(before.blocker, graph.lockBetween(before.waiting, before.blocker).name),
    }
  })
  return {
    kind: 'deadlock',
    between: 'tasks',
    ...(!isProved(cycle) && { suspected: true }),
    hasVictim,
    detectedAtMs: at,
    victim: victim.id,
    cycle: members,
  }
}
