/** The report of a deadlock between threads, as plain data. */

import { innermost } from '../../core/call-site.ts'
import { nowMs } from '../../core/clock.ts'
import type { LockMode } from '../../core/modes.ts'
import type { DeadlockHeldLock, DeadlockMember, DeadlockReport, Waiter } from '../../core/report.ts'
import { entriesSeen } from './held-list.ts'
import { holdersOf } from './holders.ts'
import { TASK_SLOT } from './layout.ts'
import { kindOf, labelOf, leaderOf, type Owner } from './owners.ts'
import { stackOf, waitingMode, waitingSince, waitsForOf } from './published-wait.ts'
import { sharedBy } from './readers.ts'
import { nodeOf, numberOf, type Table } from './table.ts'
import type { Step } from './wait-graph.ts'

/** A member of a report names at most this many blockers. */
const MAX_BLOCKERS = 10

/** The report of a thread or task that requests a lock it already holds. */
export function describeSelfDeadlock(
  table: Table,
  owner: Owner,
  lock: number,
  isShared: boolean,
  stack: string,
): DeadlockReport {
  const at = nowMs()
  const member: DeadlockMember = {
    waiter: { ...waiterOf(table, owner.id), label: owner.label },
    holds: inOrder(holdingsOf(table, owner.id, at, lock)),
    waitsFor: { name: lock, mode: isShared ? 'shared' : 'exclusive', units: 1 },
    blockers: [owner.id],
    waitedMs: 0,
    ...(stack !== '' && { waitsAt: stack }),
    isProved: true,
  }
  return reportOf([member], at)
}

/**
 * The report of a cycle, from the first owner of the path. An owner that waits only because the next one
 * waits is no member: its locks are listed with the next member's.
 */
export function describeDeadlock(table: Table, path: readonly Step[]): DeadlockReport {
  const at = nowMs()
  const links = linksOf(path)
  const cycle = links.map(({ waiting, dependents }, i): DeadlockMember => {
    const before = links.at(i - 1) as Link
    const next = links[(i + 1) % links.length] as Link
    const blocker = next.dependents[0] ?? next.waiting
    const wantedFrom = numberOf(table, before.waiting.word)
    const lock = numberOf(table, waiting.word)
    const waitsAt = stackOf(table, waiting.id)
    return {
      waiter: waiterOf(table, waiting.id),
      holds: inOrder(
        [...dependents, waiting].flatMap(({ id }) => holdingsOf(table, id, at, wantedFrom)),
      ),
      waitsFor: { name: lock, mode: waitingMode(table, waiting.id), units: 1 },
      blockers: [
        next.waiting.id,
        ...holdersOf(table, lock, waiting.id).filter((id) => id !== blocker.id),
      ].slice(0, MAX_BLOCKERS),
      waitedMs: Math.max(0, at - waitingSince(table, waiting.id)),
      ...(waitsAt !== '' && { waitsAt }),
      isProved: true,
    }
  })
  return reportOf(cycle, at)
}

/** An owner that waits for a lock, and the owners before it on the path that wait only because it waits. */
interface Link {
  readonly waiting: Step
  readonly dependents: readonly Step[]
}

function linksOf(path: readonly Step[]): Link[] {
  const links: Link[] = []
  const first = path.findIndex(({ word }) => word !== 0)
  let dependents: Step[] = []
  // Start after the first owner that waits for a lock: its dependents are known when the loop reaches it.
  for (const step of [...path.slice(first + 1), ...path.slice(0, first + 1)]) {
    if (step.word === 0) dependents.push(step)
    else {
      links.push({ waiting: step, dependents })
      dependents = []
    }
  }
  return [...links.slice(-1), ...links.slice(0, -1)]
}

function reportOf(cycle: readonly DeadlockMember[], at: number): DeadlockReport {
  return {
    version: 1,
    kind: 'deadlock',
    between: 'threads',
    confidence: 'proved',
    hasVictim: true,
    detectedAtMs: at,
    victim: (cycle[0] as DeadlockMember).waiter.id,
    cycle,
  }
}

function waiterOf(table: Table, id: number): Waiter {
  const label = labelOf(table, id)
  return kindOf(table, id) === TASK_SLOT
    ? { kind: 'task', id, label, thread: leaderOf(table, id) }
    : { kind: 'thread', id, label }
}

/**
 * The locks that an owner holds at `at`, in milliseconds since 1970. `wantedFrom`: the one that is waited
 * for.
 */
function holdingsOf(table: Table, id: number, at: number, wantedFrom: number): DeadlockHeldLock[] {
  // A thread that waits only for a task still runs, and can take and release locks meanwhile.
  const entries = entriesSeen(table, id)
  const shared = entries.delete(nodeOf(table, id)) ? sharedBy(table, id) : []
  const label = labelOf(table, id)
  const { heldAt, ...known } = originOf(table, id, at)
  const describe = (name: number, mode: LockMode): DeadlockHeldLock => ({
    name,
    mode,
    units: 1,
    label,
    ...known,
    ...(name === wantedFrom && heldAt !== undefined && { heldAt }),
  })
  return [
    ...[...entries].map((word) => describe(numberOf(table, word), 'exclusive')),
    ...shared.map((lock) => describe(lock, 'shared')),
  ]
}

/**
 * Since when an owner has held its locks, and where it requested them. Only an asynchronous holding that does
 * not wait publishes both; for others, nothing.
 */
function originOf(
  table: Table,
  id: number,
  at: number,
): Pick<DeadlockHeldLock, 'sinceMs' | 'heldMs' | 'callSite' | 'heldAt'> {
  if (kindOf(table, id) !== TASK_SLOT || waitsForOf(table, id) !== 0) return {}
  const sinceMs = waitingSince(table, id)
  const heldAt = stackOf(table, id)
  const callSite = innermost(heldAt)
  return {
    // 0 between getting its locks and publishing the time.
    ...(sinceMs > 0 && { sinceMs, heldMs: Math.max(0, at - sinceMs) }),
    ...(callSite !== undefined && { callSite, heldAt }),
  }
}

function inOrder(holds: DeadlockHeldLock[]): DeadlockHeldLock[] {
  return holds.sort((a, b) => Number(a.name) - Number(b.name))
}
