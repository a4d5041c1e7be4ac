/**
 * Owner death: what happens to the locks of a thread that ended while it held them.
 *
 * Source    POSIX robust mutexes (EOWNERDEAD, pthread_mutex_consistent). Ours: the recovering owner gets all
 *           locks in one step.
 * Steps     1. A thread notices the death (lifelines.ts). It is the parent, or a thread that waits for a lock
 *              (wait.ts), calls `tryHold` (holder-checks.ts), walks the wait-for graph (deadlock.ts), calls
 *              `recover` (recovery.ts), or finds no free owner slot (owner-slots.ts). The parent cleans up
 *              after the thread that its event names. Any other thread then checks all lifelines. The slots
 *              of each thread that is found to have ended become DEAD.
 *           2. Sweep: it marks every lock that a dead owner holds ABANDONED, and wakes its sleepers. A lock
 *              that the owner held shared loses this reader only, because a reader changes nothing. A lock
 *              whose pending writer it was is open to all again. A dead thread may have consumed a wake-up or
 *              owed one, for any lock. So the sweep wakes the sleepers of every published wait, of any owner.
 *              Dead slots without locks become free.
 *           3. The next thread that requests an abandoned lock gets OwnerDiedError. With `onOwnerDied` it
 *              becomes the recovering owner instead: it writes one word in the dead thread's slot, which
 *              gives it all locks of that thread and its tasks at once. Others wait meanwhile.
 *           4. The recovering owner reports that everything is consistent: the slot becomes CONSISTENT, then a
 *              sweep releases the locks and gives back the slots. If it cannot, it withdraws, and everything
 *              stays as after step 2.
 * Invariant Any thread can do each step again, from any point where it stopped. If a thread dies in a step,
 *           that death is noticed in turn, and the next sweep does the rest. A slot is free only when no lock
 *           carries its number. Only a sweep gives back a dead slot, and only one sweep runs at a time
 *           (table-lock.ts). So a number that the sweep has read does not become another owner's before the
 *           sweep writes.
 *
 *           A lock that carries a dead owner is on that owner's list, or is the lock of its intent:
 *           - The kernels publish no intent. They push a lock on the list in the straight-line code that
 *             begins with its compare-exchange, and pop it in the code that ends with its store or exchange
 *             of 0. There is no call or loop in between. Engines end a thread only where a function begins or
 *             returns, and where a loop iterates (the interrupt checks of V8 and JavaScriptCore). So they
 *             never do it between the two. `lock2` takes two locks in straight-line code;
 *             `unlock2` pops both, and then stores; `$exchange2`, `lockAll` and `unlockAll` do one lock
 *             after the other, each completely. test/backends/threads/kernel.test.ts checks kernel.wat.
 *           - All other code publishes an intent before either step (`intend`): acquire.ts before it takes
 *             a lock, even as a pending writer only; release.ts before it takes a lock out of the middle of
 *             the list; task.ts before it releases one. The sweep does the same when it releases an owner's
 *             locks.
 *           - Before a reader sets its bit, it notes in its slot in which row the bit may be. It clears the
 *             note after the bit (readers.ts). The slot notes at most READS locks and only counts
 *             the others; for those, a sweep reads all rows.
 *           - A list is damaged if it names a lock that its owner does not hold, or misses a lock that
 *             someone waits for. From then on the sweep looks for that owner's locks in the whole table.
 * Time      The parent's event loop notices a death, or a thread that waits for a lock of the dead thread
 *           does, within MAX_SLEEP_MS (wait.ts). A waiter to which the dead thread owed a wake-up checks
 *           again within the same time, unless a sweep wakes it first. A sweep reads each slot, and each lock
 *           of the dead: some hundred nanoseconds each. If a dead owner held more than READS locks shared,
 *           the sweep reads all rows, some nanoseconds a lock.
 *
 * A thread's own slot is the leader. Its tasks have slots too, whose SLOT.thread is the leader.
 */

import { recovererOf } from './abandoned.ts'
import { DEAD_SLOT, FREE_SLOT, TASK_SLOT, THREAD_SLOT } from './layout.ts'
import { hasEnded, hasEndedLately, type Lifeline, onThreadEnd } from './lifelines.ts'
import {
  changeKind,
  kindIn,
  kindOf,
  leaderOf,
  lifelineOf,
  type Owner,
  stateOf,
  tagIn,
} from './owners.ts'
import { sweep } from './sweep.ts'
import type { Table } from './table.ts'

/**
 * Checks whether the thread of an owner, or that of its recovering owner, has ended. If so, cleans up after
 * it and after all other ended threads: threads often end together. `ask` is {@link hasEnded} for callers
 * that ask once rather than repeatedly.
 *
 * @throws LockUsageError if there is no such owner: the table is damaged.
 */
export function noticeEndOf(
  table: Table,
  owner: Owner,
  id: number,
  ask: (lifeline: Lifeline) => boolean = hasEndedLately,
): void {
  if (id === 0) return
  for (const one of [id, recovererOf(table, id)]) {
    if (one === 0) continue
    // Clean up by the thread's number, which is never used again: the slot may be another thread's by now.
    const lifeline = lifelineOf(table, leaderOf(table, one))
    if (!lifeline || !ask(lifeline)) continue
    clearUpAfter(table, owner, endedTags(table).add(lifeline.tag))
    return
  }
}

/** Cleans up after the thread with this number, if the table knows it. */
export function clearUp(table: Table, owner: Owner, tag: number): void {
  clearUpAfter(table, owner, new Set([tag]))
}

/** The numbers of all threads that have ended, as far as their lifelines show it. */
function endedTags(table: Table): Set<number> {
  const ended = new Set<number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== THREAD_SLOT) continue
    const lifeline = lifelineOf(table, id)
    if (lifeline && hasEnded(lifeline)) ended.add(lifeline.tag)
  }
  return ended
}

function clearUpAfter(table: Table, owner: Owner, tags: ReadonlySet<number>): void {
  let found = false
  for (let id = 1; id <= table.layout.owners; id++) {
    const state = stateOf(table, id)
    const kind = kindIn(state)
    if (kind === FREE_SLOT || !tags.has(tagIn(state))) continue
    found = true
    if (kind === THREAD_SLOT || kind === TASK_SLOT) changeKind(table, id, state, DEAD_SLOT)
  }
  if (found) sweep(table, owner)
}

/** This thread's tables, in which it cleans up after the threads that it started. */
const watched = new Set<{ readonly table: WeakRef<Table>; readonly owner: Owner }>()

onThreadEnd((tag) => {
  for (const entry of watched) {
    const table = entry.table.deref()
    if (table) clearUp(table, entry.owner, tag)
    else watched.delete(entry)
  }
})

/** Makes this thread clean up in a table after the threads that it started. */
export function watch(table: Table, owner: Owner): void {
  watched.add({ table: new WeakRef(table), owner })
}

/** Undoes {@link watch}. */
export function unwatch(owner: Owner): void {
  for (const entry of watched) if (entry.owner === owner) watched.delete(entry)
}
