/** The report of a deadlock, as plain data: read from the owners' slots, once the cycle is certain. */

import { nowMs } from '../../core/clock.ts'
import type { DeadlockMember, DeadlockReport } from '../../core/report.ts'
import { entriesSeen } from './held-list.ts'
import { labelOf, leaderOf, type Owner } from './owners.ts'
import { stackOf, waitingMode, waitingSince } from './published-wait.ts'
import { sharedBy } from './readers.ts'
import { nodeOf, numberOf, type Table } from './table.ts'
import type { Step } from './wait-graph.ts'

/** The report of a thread that asks for a lock it holds itself. */
export function describeSelfDeadlock(
  table: Table,
  owner: Owner,
  lock: number,
  isShared: boolean,
  stack: string,
): DeadlockReport {
  const member: DeadlockMember = {
    thread: owner.id,
    label: owner.label,
    ...asReported(holdingsOf(table, owner.id)),
    waitsFor: lock,
    ...(isShared && { mode: 'shared' as const }),
    blocker: owner.id,
    waitedMs: 0,
    stack,
  }
  return { kind: 'deadlock', detectedAtMs: nowMs(), victim: owner.id, cycle: [member] }
}

/** The cycle as data. Owners that wait through another one lend it what they hold. */
export function describe(table: Table, path: readonly Step[]): DeadlockReport {
  const waiting = path.filter((step) => step.word !== 0)
  const at = nowMs()
  let lent: Holdings = { holds: [], holdsShared: [] }
  const cycle: DeadlockMember[] = []
  // Start behind the first member, so that what is lent to it is known when the way comes round.
  for (const step of [...path.slice(1), ...path.slice(0, 1)]) {
    const holdings = join(lent, holdingsOf(table, step.id))
    lent = step.word === 0 ? holdings : { holds: [], holdsShared: [] }
    if (step.word === 0) continue
    const following = waiting[(waiting.indexOf(step) + 1) % waiting.length] as Step
    cycle.push({
      thread: leaderOf(table, step.id),
      label: labelOf(table, step.id),
      ...asReported(holdings),
      waitsFor: numberOf(table, step.word),
      ...(waitingMode(table, step.id) === 'shared' && { mode: 'shared' }),
      blocker: leaderOf(table, following.id),
      waitedMs: Math.max(0, at - waitingSince(table, step.id)),
      stack: stackOf(table, step.id),
    })
  }
  cycle.unshift(...cycle.splice(-1))
  return {
    kind: 'deadlock',
    detectedAtMs: at,
    victim: (cycle[0] as DeadlockMember).thread,
    cycle,
  }
}

/** What an owner holds: all of it, and what of that it holds shared. */
interface Holdings {
  readonly holds: readonly number[]
  readonly holdsShared: readonly number[]
}

function holdingsOf(table: Table, id: number): Holdings {
  // A thread that waits only through a task can take and free locks meanwhile.
  const entries = entriesSeen(table, id)
  const holdsShared = entries.delete(nodeOf(table, id)) ? sharedBy(table, id) : []
  const alone = [...entries].map((word) => numberOf(table, word))
  return { holds: [...alone, ...holdsShared], holdsShared }
}

function join(a: Holdings, b: Holdings): Holdings {
  return {
    holds: [...a.holds, ...b.holds],
    holdsShared: [...a.holdsShared, ...b.holdsShared],
  }
}

function asReported({ holds, holdsShared }: Holdings): Pick<DeadlockMember, keyof Holdings> {
  const sorted = [...holds].sort((a, b) => a - b)
  return { holds: sorted, ...(holdsShared.length > 0 && { holdsShared }) }
}
