/**
 * The sweep: step 2 of deaths.ts, and the rest of step 4. Marks or releases the locks of dead owners, wakes
 * owners that may wait for them, and gives back the slots of dead owners without locks.
 */

import { LockUsageError } from '../../core/errors.ts'
import { recovererIndex, recovererOf } from './abandoned.ts'
import { listOf } from './held-list.ts'
import {
  ABANDONED,
  CONSISTENT_SLOT,
  DEAD_SLOT,
  FREE_SLOT,
  LINK_OFFSET,
  SHARED,
  SLOT,
  UNLISTED,
  WAITER,
  WAKE_ALL,
} from './layout.ts'
import { changeKind, kindIn, kindOf, leaderOf, type Owner, slotOf, stateOf } from './owners.ts'
import { endWaitOf, waitsForOf } from './published-wait.ts'
import { clearReads, hasPendingWriter, wakePendingWriter } from './readers.ts'
import { addressOf, isLock, numberOf, ownerIn, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'

/** Runs one sweep, under the table lock. */
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
      // Even if no reader's bit was left: a dead reader may have cleared its bit and woken nobody.
      wakePendingWriter(table, numberOf(table, word))
    }
    for (const id of dead.keys()) endWaitOf(table, id)
    for (const [id, state] of dead) if (!carried.has(id)) releaseSlot(table, id, state)
  })
}

/** The slots of the dead, and their states. Afterwards none of these owners is a recovering owner. */
function deadSlots(table: Table): Map<number, number> {
  const dead = new Map<number, number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    const state = stateOf(table, id)
    if (kindIn(state) === DEAD_SLOT || kindIn(state) === CONSISTENT_SLOT) dead.set(id, state)
  }
  for (const id of dead.keys()) {
    const recoverer = recovererOf(table, id)
    if (dead.has(recoverer))
      Atomics.store(table.words, recovererIndex(table, leaderOf(table, id)), 0)
  }
  return dead
}

/** The addresses of the locks for which an owner waits, alive or dead, each once. */
function locksWaitedFor(table: Table): Set<number> {
  const waits = new Set<number>()
  for (let id = 1; id <= table.layout.owners; id++) {
    const word = waitsForOf(table, id)
    if (word !== 0 && isLock(table, word)) waits.add(word)
  }
  return waits
}

/** Marks as unlisted each dead owner that holds a lock which someone waits for and which its list lacks. */
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
 * then the locks on its list, the last one taken first. If the list is damaged, finds them in the whole
 * table.
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

/**
 * Marks or releases the locks of a dead owner, and wakes their sleepers. Returns whether it is left with any.
 */
function sweepOwner(table: Table, id: number): boolean {
  const isConsistent = kindOf(table, leaderOf(table, id)) === CONSISTENT_SLOT
  let isLeftWithAny = false
  for (const word of locksLeft(table, id)) {
    // Take it off the list first, as its owner would: the next holder writes its link.
    if (isConsistent) takeOffList(table, id, word)
    if (!sweepLock(table, word >> 2, id, isConsistent)) isLeftWithAny = true
  }
  return isLeftWithAny
}

/** Records a lock as its dead owner's intent, and takes it off that owner's list if it was taken last. */
function takeOffList(table: Table, id: number, word: number): void {
  const { words } = table
  const intent = intentIndex(table, id)
  if (words[intent] === UNLISTED) return
  words[intent] = word
  const top = (slotOf(table, id) + SLOT.top) >> 2
  if (words[top] === word) words[top] = words[(word + LINK_OFFSET) >> 2] as number
}

/**
 * Marks or releases a dead owner's lock at an index, and wakes its sleepers. Returns whether the lock no
 * longer carries that owner.
 */
function sweepLock(table: Table, at: number, id: number, isConsistent: boolean): boolean {
  const { words } = table
  for (;;) {
    const seen = Atomics.load(words, at)
    if (ownerIn(seen) !== id) return true
    const swept = sweptWord(seen, isConsistent)
    if (Atomics.compareExchange(words, at, seen, swept) !== seen) continue
    Atomics.notify(words, at)
    return ownerIn(swept) === 0
  }
}

/** Gives a dead owner's slot to others, cleared. */
function releaseSlot(table: Table, id: number, state: number): void {
  table.words[intentIndex(table, id)] = 0
  table.words[(slotOf(table, id) + SLOT.top) >> 2] = 0
  changeKind(table, id, state, FREE_SLOT)
}

/**
 * The word of a dead owner's lock after the sweep. An owner that was a pending writer never held the lock.
 * The waiter bits go, because all sleepers are woken. A waiter that was about to sleep finds another word,
 * and checks again.
 */
function sweptWord(seen: number, isConsistent: boolean): number {
  if (hasPendingWriter(seen)) return SHARED
  return isConsistent ? 0 : (seen & ~(WAITER | WAKE_ALL)) | ABANDONED
}

function intentIndex(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.intent) >> 2
}
