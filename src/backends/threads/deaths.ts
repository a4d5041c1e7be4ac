/**
 * Owner death: what becomes of the locks of a thread that ended while it held them.
 *
 * Source    POSIX robust mutexes (EOWNERDEAD, pthread_mutex_consistent); that the heir gets all locks in
 *           one step is ours.
 * Steps     1. Some thread notices the death (lifelines.ts): the parent; one that waits (wait.ts), only tries
 *              (holder-checks.ts) or walks the wait-for graph (deadlock.ts); one that calls `recover`
 *              (recovery.ts); or one that finds all owners in use (owner-slots.ts). It then looks at the
 *              lifelines of all: the slots of every thread that ended become DEAD.
 *           2. Sweep: every lock that a dead owner holds is marked ABANDONED, and its sleepers are woken.
 *              A lock that it held shared is free, for a reader changes nothing, and so is one whose
 *              pending writer it was. A dead thread may have swallowed a wake-up or owed one, for whatever lock: so the
 *              sleepers of every published wait are woken, whoever published it. Dead slots without locks
 *              are free.
 *           3. Whoever then asks for an abandoned lock gets OwnerDiedError; or, with `onOwnerDied`, makes
 *              itself the heir by one word in the dead thread's slot, which gives it all the locks at
 *              once: those of the thread and of its tasks. Others wait meanwhile.
 *           4. The heir says that all is sound: the slot becomes SOUND, then a sweep frees the locks and
 *              the slots. If it cannot, it withdraws, and all stays as after step 2.
 * Invariant Each step can be done by anyone, again, from wherever it was left: whoever dies in it is
 *           noticed in turn, and the sweep after that does the rest. A slot is free only when no lock
 *           carries its number; only a sweep frees it, and only one sweeps at a time (table-lock.ts), so that
 *           a number which the sweep has read is not another owner's by the time it writes.
 *
 *           A lock that carries a dead owner is on that owner's list, or is the lock of its intent:
 *           - The kernels publish no intent. They push a lock on the list in the straight line of code
 *             that begins with its compare-exchange, and pop it in the one that ends with its store or
 *             exchange of 0, without a call or a loop in between. Engines end a thread only where a
 *             function begins or returns and where a loop goes round (V8's and JavaScriptCore's checks
 *             for interrupts), so never between the two. `lock2` takes two locks in one straight line;
 *             `unlock2` pops both, and then stores; `$exchange2`, `lockAll` and `unlockAll` do one lock
 *             after the other, each whole. test/backends/threads/kernel.test.ts holds kernel.wat to this.
 *           - All other code publishes an intent before either step (`intend`): acquire.ts before it takes
 *             a lock, also where it is only a pending writer then; release.ts before it takes a lock out of the
 *             middle of the list, and task.ts before it releases one. The sweep does the same when it frees
 *             an owner's locks.
 *           - A reader notes in its slot in which row its bit may stand, before it sets the bit, and forgets
 *             it after (readers.ts). Where it has more than READS locks, the others are only counted, and
 *             all rows are looked at.
 *           - A list that names what its owner does not hold, or misses a lock that someone waits for, is
 *             damaged: from then on the locks of that owner are looked for in the whole table.
 * Time      A death is noticed by the parent's event loop, or by whoever waits for a lock of the thread,
 *           within LONGEST_SLEEP_MS (wait.ts). A wake-up that it owed, unless a sweep makes up for it,
 *           comes as late. A sweep looks at each slot, and at each lock of the dead: some hundred
 *           nanoseconds each. Where one held more than READS locks shared it reads all rows, some nanoseconds a lock.
 *
 * A thread's slots: its own, which leads, and those of its tasks, whose SLOT.thread is the leader.
 */

import { heirOf } from './abandoned.ts'
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
 * Asks whether the thread of an owner, or that of its heir, has ended. If so, clears up after it, and
 * after all others that have ended: they are rarely alone. `ask` is {@link hasEnded} for those that ask
 * once, and not again and again.
 *
 * @throws LockUsageError if nobody is this owner: the table is damaged.
 */
export function noticeEndOf(
  table: Table,
  owner: Owner,
  id: number,
  ask: (lifeline: Lifeline) => boolean = hasEndedLately,
): void {
  if (id === 0) return
  for (const one of [id, heirOf(table, id)]) {
    if (one === 0) continue
    // By its number, which no other thread ever has: the slot may be another's by now.
    const lifeline = lifelineOf(table, leaderOf(table, one))
    if (!lifeline || !ask(lifeline)) continue
    clearUpAfter(table, owner, endedTags(table).add(lifeline.tag))
    return
  }
}

/** Clears up after the thread with this number, if the table knows it. */
export function clearUp(table: Table, owner: Owner, tag: number): void {
  clearUpAfter(table, owner, new Set([tag]))
}

/** The numbers of all threads that have ended, as far as their lifelines say so. */
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

/** This thread's tables, in which it clears up after the threads that it started. */
const watched = new Set<{ readonly table: WeakRef<Table>; readonly owner: Owner }>()

onThreadEnd((tag) => {
  for (const entry of watched) {
    const table = entry.table.deref()
    if (table) clearUp(table, entry.owner, tag)
    else watched.delete(entry)
  }
})

/** From now on this thread clears up in a table after the threads that it started. */
export function watch(table: Table, owner: Owner): void {
  watched.add({ table: new WeakRef(table), owner })
}

/** The opposite of {@link watch}. */
export function unwatch(owner: Owner): void {
  for (const entry of watched) if (entry.owner === owner) watched.delete(entry)
}
