/**
 * Deadlock detection: waiter -> lock -> its owner -> what that owner waits for, until the path comes back.
 *
 * Source    the wait-for graph as PostgreSQL's lock manager walks it: detect, keep the finding as
 *           data, print later. The double reading is ours.
 * Steps     1. The waiter has published its wait (published-wait.ts) and set WAITER. If nobody waits for the
 *              locks that it, its parents or, for a thread, its tasks hold, no cycle can go through it.
 *           2. Otherwise it walks the graph from itself. If every path back leads through a parent that need
 *              not wait for its task, the waiter only suspects a deadlock, and asks for proofs (suspects.ts).
 *           3. If it comes back to itself by certain edges, it takes the table lock, so that one cycle elects
 *              one victim.
 *           4. It walks again until two consecutive walks agree in every owner, wait and epoch, and the
 *              thread of every member lived between them. If a member is dead, it cleans up after that
 *              member and starts a new search.
 *           5. Then the cycle is certain. It makes the report, gives up the wait, and releases the table
 *              lock.
 * Invariant Every edge is published before its waiter walks. So the last waiter of a cycle sees the whole
 *           cycle, and no cycle is missed. A lock that changes hands without a wait can close a cycle too: an
 *           owner that sleeps on it searches again. An epoch that did not change between two readings means
 *           an unbroken wait. Between the end of the first reading and the start of the second every member
 *           waited, and a waiting owner releases nothing: there is no false report. A member that waits
 *           only for a nested task still runs, but no walk reads the list that its thread changes.
 * Cost      nothing until a thread is about to sleep. Then it checks the locks that it holds. If somebody
 *           waits for them, it makes one walk: a few loads for each member, one for each owner.
 */

import type { DeadlockReport } from '../../core/report.ts'
import { recovererOf } from './abandoned.ts'
import { describeDeadlock } from './deadlock-report.ts'
import { noticeEndOf } from './deaths.ts'
import { hasShared, listOf } from './held-list.ts'
import { DEAD_SLOT, TASK_SLOT, THREAD_SLOT, WAITER } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import {
  kindIn,
  kindOf,
  leaderOf,
  lifelineOf,
  type Owner,
  parentOf,
  stateOf,
  tagIn,
  tagOf,
} from './owners.ts'
import { endWait, waitsForOf } from './published-wait.ts'
import { ownerIn, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'
import { type Counts, childrenIn, type Step, walk } from './wait-graph.ts'

/** One wait's search for a deadlock. */
export interface Search {
  readonly owner: Owner
  /** The address of the lock that the owner waits for. */
  readonly word: number
  /** Whether the wait is among the suspects (suspects.ts). */
  isSuspected: boolean
  /** The deadlock whose victim is this owner. The published wait has then ended. */
  report: DeadlockReport | undefined
  /** The number of owners that this wait's last search visited; searches by suspects.ts do not count. */
  steps: number
}

/**
 * Looks for a cycle through the search's owner, which has published its wait. If there is one that needs no
 * proof, the owner is its victim: its wait ends, and the report is in the search. Any other cycle makes the
 * wait a suspect.
 */
export function findDeadlock(table: Table, search: Search): void {
  const { owner } = search
  search.steps = 0
  if (!isWaitedFor(table, owner)) return
  const children = childrenIn(table)
  const seen = new Set<number>()
  const loose = walk(table, owner.id, children, () => true, seen)
  search.steps = seen.size
  if (!loose) return
  const certain = walk(table, owner.id, children, needsNoProof)
  const found = certain && confirm(table, owner, certain, needsNoProof)
  if (found?.report) search.report = found.report
  else if (found) {
    // Outside the table lock, because the sweep takes it. From now on no path leads through the dead owner.
    noticeEndOf(table, owner, found.ended)
    findDeadlock(table, search)
  } else search.isSuspected = true
}

const needsNoProof: Counts = () => false

/** A certain cycle, or a member of it whose thread has ended. */
type Found =
  | { readonly report: DeadlockReport }
  | { readonly report?: undefined; readonly ended: number }

/** Walks until two walks agree and all members lived between them: then the cycle is certain. */
export function confirm(
  table: Table,
  owner: Owner,
  seen: readonly Step[],
  counts: Counts,
): Found | undefined {
  return withTableLock(table, owner, () => {
    for (let first: readonly Step[] | undefined = seen; first; ) {
      const ended = endedIn(table, owner, first)
      if (ended !== undefined) return { ended }
      const second = walk(table, owner.id, childrenIn(table), counts)
      if (second && agree(first, second)) {
        const report = describeDeadlock(table, second)
        endWait(table, owner)
        return { report }
      }
      first = second
    }
    return undefined
  })
}

/** A member whose thread has ended unnoticed. Skips `owner`'s thread: it runs this code. */
function endedIn(table: Table, owner: Owner, steps: readonly Step[]): number | undefined {
  const asked = new Set([leaderOf(table, owner.id)])
  for (const { id } of steps) {
    const kind = kindOf(table, id)
    const leader = leaderOf(table, id)
    if ((kind !== THREAD_SLOT && kind !== TASK_SLOT) || asked.has(leader)) continue
    asked.add(leader)
    const lifeline = lifelineOf(table, leader)
    if (lifeline && hasEnded(lifeline)) return id
  }
  return undefined
}

/**
 * Whether somebody may wait for a lock of this owner, of its parents or, for a thread, of its tasks. If not,
 * no cycle goes through this owner now. An owner that later waits for one of these locks makes its own
 * search.
 */
export function isWaitedFor(table: Table, owner: Owner): boolean {
  const { words, layout } = table
  const tag = tagOf(table, owner.id)
  const holders = new Set<number>()
  for (let id = owner.id; id !== 0 && !holders.has(id); id = parentOf(table, id)) holders.add(id)
  // A waiting task is never a recovering owner: a repair is one synchronous step.
  const most = kindOf(table, owner.id) === THREAD_SLOT ? layout.owners : 0
  for (let id = 1; id <= most; id++) {
    const state = stateOf(table, id)
    const kind = kindIn(state)
    // Compare the thread's number too: a task that begins in another thread writes its leader later.
    if (kind === TASK_SLOT && tagIn(state) === tag && leaderOf(table, id) === owner.id) {
      holders.add(id)
    }
    if (kind === DEAD_SLOT && recovererOf(table, id) !== 0) return true
  }
  for (const id of holders) {
    // A reader's bit does not show who waits for it.
    if (hasShared(table, id)) return true
    // A pending writer's lock is not on its list yet.
    const pending = waitsForOf(table, id)
    for (const word of pending === 0 ? listOf(table, id) : [pending, ...listOf(table, id)]) {
      const seen = Atomics.load(words, word >> 2)
      if (ownerIn(seen) === id && (seen & WAITER) !== 0) return true
    }
  }
  return false
}

/** Whether two walks took the same path through the same unbroken waits. */
export function agree(a: readonly Step[], b: readonly Step[]): boolean {
  return (
    a.length === b.length &&
    a.every((step, i) => {
      const other = b[i]
      return step.id === other?.id && step.word === other.word && step.epoch === other.epoch
    })
  )
}
