/**
 * Deadlock detection: waiter -> lock -> its owner -> what that owner waits for, until it comes back.
 *
 * Source    the wait-for graph as PostgreSQL's lock manager walks it: detect, keep the finding as
 *           data, print later. The double reading is ours.
 * Steps     1. The waiter has published its wait (published-wait.ts) and set WAITER. If nobody waits for what it
 *              holds, and what its parents hold, no cycle can go through it.
 *           2. Else it walks the graph from itself. If every path back leads through a parent that need not
 *              wait for its task, the waiter only suspects a deadlock, and proofs are asked for (suspects.ts).
 *           3. Back at itself by certain edges: it takes the table lock, so that one cycle elects one
 *              victim.
 *           4. It walks again until two walks in a row agree in every owner, wait and epoch, and the thread
 *              of every member lived between them. A dead one is cleared up after, and it looks anew.
 *           5. Then the cycle is certain. The report is made, the wait given up, the table lock released.
 * Invariant Every edge is published before its waiter walks, so the last waiter of a cycle sees it
 *           whole and none is missed. A lock that changes hands without a wait can close a cycle too: who
 *           sleeps on it looks again. An epoch that did not change between two readings means an
 *           unbroken wait; between the end of the first reading and the start of the second every
 *           member waited, and a waiting owner frees nothing: there is no false report. Members that wait
 *           through a task run: nothing that they change meanwhile is walked.
 * Cost      nothing until a thread is about to sleep; then a look at the locks that it holds, and where
 *           somebody waits for them, one walk: a few loads for each member, one for each owner.
 */

import type { DeadlockReport } from '../../core/report.ts'
import { heirOf } from './abandoned.ts'
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
  /** The address of the lock that it waits for. */
  readonly word: number
  /** Whether it is among the suspects (suspects.ts). */
  isSuspected: boolean
  /** The deadlock whose victim it is. The published wait has ended then. */
  report: DeadlockReport | undefined
  /** How many owners its last look by itself went through. */
  steps: number
}

/**
 * Looks for a cycle through `owner`, which has published its wait. If there is one that needs no proof, the owner
 * is its victim: its wait is given up, and the report is in the search. If there is another one, it is suspected.
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
    // Not under the table lock, which the sweep takes. From now on no path leads through the dead one.
    noticeEndOf(table, owner, found.ended)
    findDeadlock(table, search)
  } else search.isSuspected = true
}

const needsNoProof: Counts = () => false

/** A certain cycle, or a member of it whose thread has ended. */
type Found =
  | { readonly report: DeadlockReport }
  | { readonly report?: undefined; readonly ended: number }

/** Walks until two walks agree, and all members lived between them: then the cycle is certain. */
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

/** A member whose thread has ended, and nobody has noticed yet. `owner` lives: it looks. */
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
 * Whether somebody may wait for a lock of this owner, or of one that waits with it: its parents, and for a
 * thread its tasks. If not, no cycle goes through it, and who waits for one of them later looks then.
 */
export function isWaitedFor(table: Table, owner: Owner): boolean {
  const { words, layout } = table
  const tag = tagOf(table, owner.id)
  const lenders = new Set<number>()
  for (let id = owner.id; id !== 0 && !lenders.has(id); id = parentOf(table, id)) lenders.add(id)
  // A task that waits is no heir: what is left is repaired in one step.
  const most = kindOf(table, owner.id) === THREAD_SLOT ? layout.owners : 0
  for (let id = 1; id <= most; id++) {
    const state = stateOf(table, id)
    const kind = kindIn(state)
    // By the thread's number: that of the leader is written later, where another thread begins a task.
    if (kind === TASK_SLOT && tagIn(state) === tag && leaderOf(table, id) === owner.id) {
      lenders.add(id)
    }
    if (kind === DEAD_SLOT && heirOf(table, id) !== 0) return true
  }
  for (const id of lenders) {
    // Its readers' bits do not say who waits for them.
    if (hasShared(table, id)) return true
    // A lock whose pending writer it is does not stand on its list yet.
    const pending = waitsForOf(table, id)
    for (const word of pending === 0 ? listOf(table, id) : [pending, ...listOf(table, id)]) {
      const seen = Atomics.load(words, word >> 2)
      if (ownerIn(seen) === id && (seen & WAITER) !== 0) return true
    }
  }
  return false
}

/** Whether two walks took the same path, by the same unbroken waits. */
export function agree(a: readonly Step[], b: readonly Step[]): boolean {
  return (
    a.length === b.length &&
    a.every((step, i) => {
      const other = b[i]
      return step.id === other?.id && step.word === other.word && step.epoch === other.epoch
    })
  )
}
