/**
 * The sweep: step 2 of deaths.ts, and the rest of step 4. Marks or frees the locks of dead owners, wakes those
 * that may wait for them, and frees the slots of owners that are left with none.
 */

import { LockUsageError } from '../../core/errors.ts'
import { heirIndex, heirOf } from './abandoned.ts'
import { listOf } from './held-list.ts'
import {
  ABANDONED,
  DEAD_SLOT,
  FREE_SLOT,
  LINK_OFFSET,
  SHARED,
  SLOT,
  SOUND_SLOT,
  UNLISTED,
  WAITER,
  WAKE_ALL,
} from './layout.ts'
import { changeKind, kindIn, kindOf, leaderOf, type Owner, slotOf, stateOf } from './owners.ts'
import { endWaitOf, waitsForOf } from './published-wait.ts'
import { clearReads, hasPendingWriter, wakePendingWriter } from './readers.ts'
import { addressOf, isLock, numberOf, ownerIn, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'

/** Step 2, and the rest of step 4. */
export function sweep(table: Table, owner: Owner): void {
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
  const left = new Map<number, ReadonlySet<number>>()
  for (const word of waits) {
    const id = ownerIn(Atomics.load(table.words, word >> 2))
    if (!dead.has(id)) continue
    const listed = left.get(id) ?? new Set(locksLeft(table, id))
    left.set(id, listed)
    if (!listed.has(word)) table.words[intentIndex(table, id)] = UNLISTED
  }
}

/**
 * The addresses of the locks that carry a dead owner: the lock of its intent, if that is not on its list,
 * then those of its list, the last one taken first. All that there are, where the list is damaged.
 */
export function locksLeft(table: Table, id: number): number[] {
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
 * The word of a dead owner's lock after the sweep. Where the owner was a pending writer, it never held the lock.
 * The waiter bits go, for all sleepers are woken: a waiter that was about to sleep finds another word, and looks
 * again.
 */
function sweptWord(seen: number, isSound: boolean): number {
  if (hasPendingWriter(seen)) return SHARED
  return isSound ? 0 : (seen & ~(WAITER | WAKE_ALL)) | ABANDONED
}

function intentIndex(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.intent) >> 2
}
