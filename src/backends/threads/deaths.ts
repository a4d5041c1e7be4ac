/**
 * Owner death: what becomes of the locks of a thread that ended while it held them.
 *
 * Source    POSIX robust mutexes (EOWNERDEAD, pthread_mutex_consistent); that the heir gets all locks in
 *           one step is ours.
 * Steps     1. Somebody notices the death (lifelines.ts): the thread's slots become DEAD.
 *           2. Sweep: every lock that carries a dead owner is marked ABANDONED, and the sleepers of
 *              every lock are woken, for the thread may have swallowed a wake-up or owed one. What it
 *              held shared is free, for a reader changes nothing, and so is what it had only claimed.
 *              Dead slots that no lock carries any more are free.
 *           3. Whoever then asks for an abandoned lock gets OwnerDiedError; or, with `onOwnerDied`, makes
 *              itself the heir by one word in the dead thread's slot, which gives it all the locks at
 *              once: those of the thread and of its tasks. Others wait meanwhile.
 *           4. The heir says that all is sound: the slot becomes SOUND, then a sweep frees the locks and
 *              the slots. If it cannot, it withdraws, and all stays as after step 2.
 * Invariant Each step can be done by anyone, again, from wherever it was left: whoever dies in it is
 *           noticed in turn, and the sweep after that does the rest. A slot is free only when no lock
 *           carries its number; only a sweep frees it, and only one sweeps at a time (claim.ts), so that
 *           a number which the sweep has read is not another owner's by the time it writes.
 * Time      A death is noticed by the parent's event loop, or by whoever waits for a lock of the thread,
 *           within LONGEST_SLEEP_MS (wait.ts). A sweep takes some ten nanoseconds a lock.
 *
 * A thread's slots: its own, which leads, and those of its tasks, whose SLOT.thread is the leader.
 */

import { type Caller, LockUsageError, OwnerDiedError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { withClaim } from './claim.ts'
import {
  ABANDONED,
  DEAD_SLOT,
  FREE_SLOT,
  SHARED,
  SLOT,
  SOUND_SLOT,
  TASK_SLOT,
  THREAD_SLOT,
  WAITER,
  WAKE_ALL,
} from './layout.ts'
import { hasEnded, onThreadEnd } from './lifelines.ts'
import {
  changeKind,
  endWaitOf,
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
import { clearDead, isClaimed } from './readers.ts'
import { addressOf, describeLocks, ownerIn, type Table } from './table.ts'

/**
 * Makes sound what a thread left that ended while it held locks. All of them are held while it runs,
 * by whoever met one of them, so it need not ask for them, and must not; they are free when it returns,
 * and stay abandoned when it throws.
 */
export type OnOwnerDied = (abandoned: AbandonedLocks) => void

/** Whether a lock word says that its owner died, and nobody has repaired what it left, or is at it. */
export function isLeft(table: Table, word: number): boolean {
  if ((word & ABANDONED) === 0) return false
  const leader = leaderOf(table, ownerIn(word))
  return kindOf(table, leader) === DEAD_SLOT && heirOf(table, leader) === 0
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
  caller?: Caller,
): void {
  const abandoned = withClaim(table, owner, () => {
    const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
    if (!isLeft(table, word)) return undefined
    const leader = leaderOf(table, ownerIn(word))
    if (onOwnerDied) Atomics.store(table.words, heirIndex(table, leader), owner.id)
    return describe(table, leader)
  })
  if (!abandoned) return
  if (!onOwnerDied) throw ownerDied(lock, abandoned, caller)
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
    throw new LockUsageError(`recover: lock ${lock} is not abandoned`, caller)
  }
  inherit(table, owner, lock, () => {})
}

/**
 * Asks whether the thread of an owner, or that of its heir, has ended, and if so clears up after it.
 *
 * @throws LockUsageError if nobody is this owner: the table is damaged.
 */
export function noticeEndOf(table: Table, owner: Owner, id: number): void {
  if (id === 0) return
  for (const one of [id, heirOf(table, id)]) {
    if (one === 0) continue
    // By its number, which no other thread ever has: the slot may be another's by now.
    const lifeline = lifelineOf(table, leaderOf(table, one))
    if (lifeline && hasEnded(lifeline)) clearUp(table, owner, lifeline.tag)
  }
}

/** Clears up after the thread with this number, if the table knows it. */
export function clearUp(table: Table, owner: Owner, tag: number): void {
  let found = false
  for (let id = 1; id <= table.layout.owners; id++) {
    const state = stateOf(table, id)
    const kind = kindIn(state)
    if (kind === FREE_SLOT || tagIn(state) !== tag) continue
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
  withClaim(table, owner, () => {
    const dead = deadSlots(table)
    const carried = new Set<number>()
    for (let lock = 0; lock < table.layout.lockCount; lock++) {
      const id = sweepLock(table, addressOf(table, lock) >> 2)
      clearDead(table, lock, dead.keys())
      if (id !== 0) carried.add(id).add(leaderOf(table, id))
    }
    for (const [id, state] of dead) if (!carried.has(id)) changeKind(table, id, state, FREE_SLOT)
  })
}

/** The slots of the dead and their states. Their waits are over, and none of them is an heir any more. */
function deadSlots(table: Table): Map<number, number> {
  const dead = new Map<number, number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    const state = stateOf(table, id)
    if (kindIn(state) !== DEAD_SLOT && kindIn(state) !== SOUND_SLOT) continue
    dead.set(id, state)
    endWaitOf(table, id)
  }
  for (const id of dead.keys()) {
    const heir = heirOf(table, id)
    if (dead.has(heir)) Atomics.store(table.words, heirIndex(table, leaderOf(table, id)), 0)
  }
  return dead
}

/** Marks or frees the lock at an index if a dead owner has it; wakes its sleepers. Who left it, 0 for nobody. */
function sweepLock(table: Table, at: number): number {
  const { words } = table
  let left = 0
  for (let done = false; !done; ) {
    const seen = Atomics.load(words, at)
    left = isDead(table, ownerIn(seen)) ? ownerIn(seen) : 0
    if (left === 0) break
    const swept = sweptWord(seen, kindOf(table, leaderOf(table, left)) === SOUND_SLOT)
    done = Atomics.compareExchange(words, at, seen, swept) === seen
    if (done && ownerIn(swept) === 0) left = 0
  }
  Atomics.notify(words, at)
  return left
}

/**
 * What becomes of a dead owner's lock. One that it had only claimed, it never held. The waiter bits go,
 * for all sleepers are woken: so who was about to sleep finds another word, and looks again.
 */
function sweptWord(seen: number, isSound: boolean): number {
  if (isClaimed(seen)) return SHARED
  return isSound ? 0 : (seen & ~(WAITER | WAKE_ALL)) | ABANDONED
}

function isDead(table: Table, id: number): boolean {
  if (id === 0) return false
  const kind = kindOf(table, id)
  return kind === DEAD_SLOT || kind === SOUND_SLOT
}

/** Whom a dead thread was, and what it left. */
function describe(table: Table, leader: number): AbandonedLocks {
  const locks: number[] = []
  for (let lock = 0; lock < table.layout.lockCount; lock++) {
    const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
    if ((word & ABANDONED) !== 0 && leaderOf(table, ownerIn(word)) === leader) locks.push(lock)
  }
  return { thread: leader, label: labelOf(table, leader), locks }
}

function ownerDied(
  lock: number,
  abandoned: AbandonedLocks,
  caller: Caller | undefined,
): OwnerDiedError {
  const { label, locks } = abandoned
  return new OwnerDiedError(
    `lock ${lock} was left by ${label}, which ended while it held ${describeLocks(locks)}: what they ` +
      'guard may be half changed. Open the table with onOwnerDied to repair it, or call ' +
      `recover(${lock}) if it is sound`,
    abandoned,
    caller,
  )
}

function heirIndex(table: Table, leader: number): number {
  return (slotOf(table, leader) + SLOT.heir) >> 2
}

function mustBeDone(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  throw new LockUsageError(
    'onOwnerDied returned a promise, but what was left must be sound when it returns',
  )
}
