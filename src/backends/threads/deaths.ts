/**
 * Owner death: what becomes of the locks of a thread that ended while it held them.
 *
 * Source    POSIX robust mutexes (EOWNERDEAD, pthread_mutex_consistent); that the heir gets all locks in
 *           one step is ours.
 * Steps     1. Somebody notices the death (lifelines.ts): the parent, a thread that waits, or one that finds
 *              all owners in use. It then looks at the lifelines of all: the slots of every thread that
 *              ended become DEAD.
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
 *             middle of the list, and tasks.ts before it releases one. The sweep does the same when it frees
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

import { type Caller, LockUsageError, OwnerDiedError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { listOf } from './held-list.ts'
import {
  ABANDONED,
  DEAD_SLOT,
  FREE_SLOT,
  LINK_OFFSET,
  SHARED,
  SLOT,
  SOUND_SLOT,
  TASK_SLOT,
  THREAD_SLOT,
  UNLISTED,
  WAITER,
  WAKE_ALL,
} from './layout.ts'
import { hasEnded, onThreadEnd } from './lifelines.ts'
import {
  changeKind,
  kindIn,
  kindOf,
  labelOf,
  leaderOf,
  lifelineOf,
  type Owner,
  slotOf,
  stateOf,
  tagIn,
} from './owners.ts'
import { endWaitOf, waitsForOf } from './published-wait.ts'
import { clearReads, hasPendingWriter, wakePendingWriter } from './readers.ts'
import {
  addressOf,
  describeLocks,
  isLock,
  numberOf,
  ownerIn,
  stripesText,
  type Table,
} from './table.ts'
import { withTableLock } from './table-lock.ts'

/**
 * Makes sound what a thread left that ended while it held locks. All of them are held while it runs,
 * by whoever met one of them, so it need not ask for them, and must not; they are free when it returns,
 * and stay abandoned when it throws.
 */
export type OnOwnerDied = (abandoned: AbandonedLocks) => void

/** Whether a lock word says that its owner died, and nobody has repaired what it left, or is at it. */
export function isLeft(table: Table, word: number): boolean {
  if ((word & ABANDONED) === 0) return false
  return isLeftBehind(table, ownerIn(word))
}

/** Whether an owner has ended, and keeps its slot until somebody repairs what its thread left. */
export function isLeftBehind(table: Table, id: number): boolean {
  return kindOf(table, leaderOf(table, id)) === DEAD_SLOT && heirOf(table, id) === 0
}

/** The locks that ended threads left and nobody is repairing, by thread. Under the table lock. */
export function leftBehind(table: Table): AbandonedLocks[] {
  const left: AbandonedLocks[] = []
  for (let id = 1; id <= table.layout.owners; id++) {
    const isLeader = kindOf(table, id) === DEAD_SLOT && leaderOf(table, id) === id
    if (isLeader && isLeftBehind(table, id)) left.push(describe(table, id))
  }
  return left.filter(({ locks }) => locks.length > 0)
}

/** The owner that repairs what the thread of a dead owner left; 0 for none. */
export function heirOf(table: Table, id: number): number {
  return Atomics.load(table.words, heirIndex(table, leaderOf(table, id)))
}

/**
 * Makes an abandoned lock sound, and all else that its thread left. Comes back at once where someone
 * else is at it or has done it.
 *
 * @throws OwnerDiedError without `onOwnerDied`; and whatever that throws.
 */
export function inherit(
  table: Table,
  owner: Owner,
  lock: number,
  onOwnerDied: OnOwnerDied | undefined,
): void {
  const abandoned = withTableLock(table, owner, () => {
    const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
    if (!isLeft(table, word)) return undefined
    const leader = leaderOf(table, ownerIn(word))
    if (onOwnerDied) Atomics.store(table.words, heirIndex(table, leader), owner.id)
    return describe(table, leader)
  })
  if (!abandoned) return
  if (!onOwnerDied) throw ownerDied(lock, abandoned)
  const leader = abandoned.thread
  try {
    mustBeDone(onOwnerDied(abandoned))
    // From here on all is sound, whoever does the rest.
    const state = stateOf(table, leader)
    if (kindIn(state) === DEAD_SLOT) changeKind(table, leader, state, SOUND_SLOT)
  } finally {
    Atomics.store(table.words, heirIndex(table, leader), 0)
    sweep(table, owner)
  }
}

/** Frees an abandoned lock, and all others that its thread left: they are sound, says the caller. */
export function recover(table: Table, owner: Owner, lock: number, caller: Caller): void {
  const at = addressOf(table, lock) >> 2
  noticeEndOf(table, owner, ownerIn(Atomics.load(table.words, at)))
  if (!isLeft(table, Atomics.load(table.words, at))) {
    const holder = ownerIn(Atomics.load(table.words, at))
    const held = holder === 0 ? '' : `: ${labelOf(table, holder)} holds it`
    throw new LockUsageError(
      `recover: lock ${lock}${stripesText(table)} is not abandoned${held}`,
      caller,
    )
  }
  inherit(table, owner, lock, () => {})
}

/**
 * Asks whether the thread of an owner, or that of its heir, has ended. If so, clears up after it, and
 * after all others that have ended: they are rarely alone.
 *
 * @throws LockUsageError if nobody is this owner: the table is damaged.
 */
export function noticeEndOf(table: Table, owner: Owner, id: number): void {
  if (id === 0) return
  for (const one of [id, heirOf(table, id)]) {
    if (one === 0) continue
    // By its number, which no other thread ever has: the slot may be another's by now.
    const lifeline = lifelineOf(table, leaderOf(table, one))
    if (!lifeline || !hasEnded(lifeline)) continue
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

/** Step 2, and the rest of step 4. */
function sweep(table: Table, owner: Owner): void {
  withTableLock(table, owner, () => {
    const dead = deadSlots(table)
    const waits = locksWaitedFor(table)
    distrust(table, dead, waits)
    const carried = new Set<number>()
    for (const id of dead.keys()) {
      if (sweepOwner(table, id)) carried.add(id).add(leaderOf(table, id))
    }
    clearReads(table, dead.keys())
    for (const word of waits) {
      Atomics.notify(table.words, word >> 2)
      // Also where no bit was left: a dead reader may have taken it back and woken nobody.
      wakePendingWriter(table, numberOf(table, word))
    }
    for (const id of dead.keys()) endWaitOf(table, id)
    for (const [id, state] of dead) if (!carried.has(id)) freeSlot(table, id, state)
  })
}

/** The slots of the dead and their states. None of them is an heir any more. */
function deadSlots(table: Table): Map<number, number> {
  const dead = new Map<number, number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    const state = stateOf(table, id)
    if (kindIn(state) === DEAD_SLOT || kindIn(state) === SOUND_SLOT) dead.set(id, state)
  }
  for (const id of dead.keys()) {
    const heir = heirOf(table, id)
    if (dead.has(heir)) Atomics.store(table.words, heirIndex(table, leaderOf(table, id)), 0)
  }
  return dead
}

/** The addresses of the locks that someone waits for, alive or dead, each once. */
function locksWaitedFor(table: Table): Set<number> {
  const waits = new Set<number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    const word = waitsForOf(table, id)
    if (word !== 0 && isLock(table, word)) waits.add(word)
  }
  return waits
}

/** Finds the dead that hold a lock which someone waits for, and which their lists do not have. */
function distrust(
  table: Table,
  dead: ReadonlyMap<number, number>,
  waits: ReadonlySet<number>,
): void {
  for (const word of waits) {
    const id = ownerIn(Atomics.load(table.words, word >> 2))
    if (dead.has(id) && !locksLeft(table, id).includes(word)) {
      table.words[intentIndex(table, id)] = UNLISTED
    }
  }
}

/**
 * The addresses of the locks that carry a dead owner: the lock of its intent, if that is not on its list,
 * then those of its list, the last one taken first. All that there are, where the list is damaged.
 */
function locksLeft(table: Table, id: number): number[] {
  const { words } = table
  const isLeftBy = (word: number): boolean => ownerIn(Atomics.load(words, word >> 2)) === id
  const intent = words[intentIndex(table, id)] as number
  if (intent !== UNLISTED) {
    try {
      const list = [...listOf(table, id)]
      if (list.every(isLeftBy)) {
        const isUnlisted = isLock(table, intent) && isLeftBy(intent) && !list.includes(intent)
        return isUnlisted ? [intent, ...list] : list
      }
    } catch (error) {
      if (!(error instanceof LockUsageError)) throw error
    }
    words[intentIndex(table, id)] = UNLISTED
  }
  const all: number[] = []
  for (let lock = 0; lock < table.layout.lockCount; lock++) {
    if (isLeftBy(addressOf(table, lock))) all.push(addressOf(table, lock))
  }
  return all
}

/** Marks or frees the locks of a dead owner, and wakes their sleepers. Whether it is left with any. */
function sweepOwner(table: Table, id: number): boolean {
  const isSound = kindOf(table, leaderOf(table, id)) === SOUND_SLOT
  let isLeftWithAny = false
  for (const word of locksLeft(table, id)) {
    // As its owner would: whoever gets it next writes its link.
    if (isSound) takeOffList(table, id, word)
    if (!sweepLock(table, word >> 2, id, isSound)) isLeftWithAny = true
  }
  return isLeftWithAny
}

/** Takes a lock off a dead owner's list if it is the last one taken, which leaves it as the intent. */
function takeOffList(table: Table, id: number, word: number): void {
  const { words } = table
  const intent = intentIndex(table, id)
  if (words[intent] === UNLISTED) return
  words[intent] = word
  const top = (slotOf(table, id) + SLOT.top) >> 2
  if (words[top] === word) words[top] = words[(word + LINK_OFFSET) >> 2] as number
}

/** Marks or frees the lock at an index, which a dead owner has, and wakes its sleepers. Whether it is free. */
function sweepLock(table: Table, at: number, id: number, isSound: boolean): boolean {
  const { words } = table
  for (;;) {
    const seen = Atomics.load(words, at)
    if (ownerIn(seen) !== id) return true
    const swept = sweptWord(seen, isSound)
    if (Atomics.compareExchange(words, at, seen, swept) !== seen) continue
    Atomics.notify(words, at)
    return ownerIn(swept) === 0
  }
}

/** Gives a dead owner's slot to others, without anything of what it said. */
function freeSlot(table: Table, id: number, state: number): void {
  table.words[intentIndex(table, id)] = 0
  table.words[(slotOf(table, id) + SLOT.top) >> 2] = 0
  changeKind(table, id, state, FREE_SLOT)
}

/**
 * What becomes of a dead owner's lock. One whose pending writer it was, it never held. The waiter bits go,
 * for all sleepers are woken: so who was about to sleep finds another word, and looks again.
 */
function sweptWord(seen: number, isSound: boolean): number {
  if (hasPendingWriter(seen)) return SHARED
  return isSound ? 0 : (seen & ~(WAITER | WAKE_ALL)) | ABANDONED
}

/** Whom a dead thread was, and what it left. */
function describe(table: Table, leader: number): AbandonedLocks {
  const locks: number[] = []
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== DEAD_SLOT || leaderOf(table, id) !== leader) continue
    for (const word of locksLeft(table, id)) {
      if ((Atomics.load(table.words, word >> 2) & ABANDONED) !== 0) {
        locks.push(numberOf(table, word))
      }
    }
  }
  locks.sort((a, b) => a - b)
  return { thread: leader, label: labelOf(table, leader), locks }
}

function ownerDied(lock: number, abandoned: AbandonedLocks): OwnerDiedError {
  const { label, locks } = abandoned
  return new OwnerDiedError(
    `lock ${lock} was left by ${label}, which ended while it held ${describeLocks(locks)}: what they ` +
      'guard may be half changed. Open the table with onOwnerDied to repair it, or call ' +
      `recover(${lock}) if it is sound`,
    abandoned,
  )
}

function heirIndex(table: Table, leader: number): number {
  return (slotOf(table, leader) + SLOT.heir) >> 2
}

function intentIndex(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.intent) >> 2
}

function mustBeDone(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  throw new LockUsageError(
    'onOwnerDied returned a promise, but what was left must be sound when it returns',
  )
}
