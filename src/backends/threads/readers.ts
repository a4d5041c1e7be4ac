/**
 * Shared mode: any number of readers hold a lock at once; a writer, which requests it exclusively, waits for
 * them.
 *
 * Source    visible readers beside the lock word, as in D. Dice and A. Kogan, "BRAVO" (2019): a reader
 *           announces itself, then checks; a writer announces itself, then checks. Ours: the lock word names
 *           the pending writer, and the lock stays open to readers after the last one has left.
 * Steps     reader: set the own bit in the lock's row, then check the word. If it is SHARED without an
 *           owner, the lock is held. If it is free, make it SHARED. Otherwise clear the bit, and wait.
 *           Leaving: clear the bit; if the lock has a pending writer, wake it.
 *           writer: take a free lock as usual, without checking the row. A SHARED lock gets a pending
 *           writer: owner | SHARED. From then on no reader enters. When the row is empty, clear SHARED.
 * Invariant A shared holder has its bit in the row, and the word is SHARED, with or without a pending
 *           writer. So a lock that is free or held exclusively has no readers. A bit in the row of such a
 *           lock belongs to a reader that tries to enter: it will make a free word SHARED, or clear the bit.
 * Fairness  a pending writer keeps new readers out, so readers cannot starve a writer. A writer that releases
 *           the lock wakes all sleeping readers, so that they can enter together.
 * Cost      two atomic operations to enter, two to leave. The exclusive path pays nothing, except once
 *           for each change from readers to a writer.
 */

import { pushHeld, removeHeld } from './held-list.ts'
import { READS, SHARED, SLOT } from './layout.ts'
import { type Owner, slotOf } from './owners.ts'
import { addressOf, isLock, nodeOf, numberOf, type Table } from './table.ts'

/** Whether a lock with this word has no owner: a reader may enter it, and a writer may take it. */
export function isOpen(word: number): boolean {
  return word === 0 || word === SHARED
}

/** Whether the owner of the lock with this word waits for its readers to leave. */
export function hasPendingWriter(word: number): boolean {
  return (word & SHARED) !== 0 && word !== SHARED
}

/** The indices of a lock's row: each word has the bits of 32 owners. */
export function* rowOf({ layout }: Table, lock: number): Generator<number> {
  const first = (layout.rowsBase + lock * layout.rowBytes) >> 2
  for (let at = first; at < first + (layout.rowBytes >> 2); at++) yield at
}

/** The owners whose bits are set in a lock's row. */
export function* readersOf(table: Table, lock: number): Generator<number> {
  let least = 1
  for (const at of rowOf(table, lock)) {
    const bits = Atomics.load(table.words, at)
    for (let i = 0; bits >>> i !== 0 && i < 32; i++) if ((bits & (1 << i)) !== 0) yield least + i
    least += 32
  }
}

/** Enters a lock as one more reader; returns false if an owner holds it exclusively, or waits for that. */
export function tryEnter(table: Table, owner: Owner, lock: number): boolean {
  const { words } = table
  const at = addressOf(table, lock) >> 2
  const [row, bit] = bitOf(table, owner.id, lock)
  noteRead(table, owner, lock)
  Atomics.or(words, row, bit)
  for (;;) {
    const seen = Atomics.load(words, at)
    if (!isOpen(seen)) break
    if (seen === 0 && Atomics.compareExchange(words, at, 0, SHARED) !== 0) continue
    addShared(table, owner, lock)
    return true
  }
  takeBack(table, owner.id, lock)
  forgetRead(table, owner, lock)
  return false
}

/**
 * Wakes all that sleep on a lock that is open to readers. Normally nobody does. But if waiter bits were
 * erased (acquire.ts), a waiter cannot set them again while the word is SHARED: that state has none.
 */
export function wakeMissed(table: Table, lock: number): void {
  Atomics.notify(table.words, addressOf(table, lock) >> 2)
}

/** Whether an owner's bit is set in a lock's row. */
function isReader(table: Table, id: number, lock: number): boolean {
  const [row, bit] = bitOf(table, id, lock)
  return (Atomics.load(table.words, row) & bit) !== 0
}

/** Whether an owner holds any lock shared, by its slot. Its thread may change that meanwhile. */
export function readsAny(table: Table, id: number): boolean {
  if (table.words[moreReadsIndex(table, id)] !== 0) return true
  const first = (slotOf(table, id) + SLOT.reads) >> 2
  for (let at = first; at < first + READS; at++) {
    const word = table.words[at] as number
    if (isLock(table, word) && isReader(table, id, numberOf(table, word))) return true
  }
  return false
}

/** The locks that an owner holds shared, lowest first. Reads the rows of the whole table. */
export function sharedBy(table: Table, id: number): number[] {
  const locks: number[] = []
  for (let lock = 0; lock < table.layout.lockCount; lock++) {
    if (isReader(table, id, lock)) locks.push(lock)
  }
  return locks
}

/** Leaves a lock that the owner holds shared. */
export function leave(table: Table, owner: Owner, lock: number): void {
  owner.shared.delete(lock)
  if (owner.shared.size === 0) removeHeld(table, owner, nodeOf(table, owner.id))
  takeBack(table, owner.id, lock)
  forgetRead(table, owner, lock)
}

/** Makes the pending writer the holder: the readers have left. */
export function admitWriter(table: Table, lock: number): void {
  Atomics.and(table.words, addressOf(table, lock) >> 2, ~SHARED)
}

/** Ends the pending writer's wait: the lock is open again, and all waiters are to check it. */
export function withdrawWriter(table: Table, lock: number): void {
  const at = addressOf(table, lock) >> 2
  Atomics.store(table.words, at, SHARED)
  Atomics.notify(table.words, at)
}

/** Clears the bits of dead owners in all rows, and wakes the owners that wait for that. */
export function clearReads(table: Table, dead: Iterable<number>): void {
  const unlisted: number[] = []
  for (const id of dead) {
    const first = (slotOf(table, id) + SLOT.reads) >> 2
    for (let at = first; at < first + READS; at++) {
      const word = table.words[at] as number
      if (isLock(table, word)) takeBack(table, id, numberOf(table, word))
      table.words[at] = 0
    }
    if (table.words[moreReadsIndex(table, id)] !== 0) unlisted.push(id)
  }
  if (unlisted.length > 0) clearRows(table, unlisted)
}

/** Clears the bits of owners whose bits can be in any row. */
function clearRows(table: Table, dead: readonly number[]): void {
  const { words, layout } = table
  const bits = dead.map((id) => bitOf(table, id, 0))
  for (let lock = 0; lock < layout.lockCount; lock++) {
    const row = (lock * layout.rowBytes) >> 2
    for (const [first, bit] of bits) {
      if (((words[first + row] as number) & bit) === 0) continue
      Atomics.and(words, first + row, ~bit)
      wakePendingWriter(table, lock)
    }
  }
  for (const id of dead) words[moreReadsIndex(table, id)] = 0
}

/** Wakes the pending writer of a lock, if it has one. */
export function wakePendingWriter(table: Table, lock: number): void {
  if (!hasPendingWriter(Atomics.load(table.words, addressOf(table, lock) >> 2))) return
  for (const row of rowOf(table, lock)) Atomics.notify(table.words, row)
}

/** Notes in which row an owner's bit may be, before the bit is set. */
function noteRead(table: Table, owner: Owner, lock: number): void {
  const at = findRead(table, owner, 0)
  if (at === undefined) (table.words[moreReadsIndex(table, owner.id)] as number)++
  else table.words[at] = addressOf(table, lock)
}

/** Removes that note, after the bit was cleared. */
function forgetRead(table: Table, owner: Owner, lock: number): void {
  const at = findRead(table, owner, addressOf(table, lock))
  if (at === undefined) (table.words[moreReadsIndex(table, owner.id)] as number)--
  else table.words[at] = 0
}

/** The index of an address, or of 0, among the locks that an owner's slot notes. */
function findRead({ words }: Table, owner: Owner, address: number): number | undefined {
  const first = (owner.slot + SLOT.reads) >> 2
  for (let at = first; at < first + READS; at++) if (words[at] === address) return at
  return undefined
}

function moreReadsIndex(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.moreReads) >> 2
}

/** Adds an entered lock to the owner's list and to `owner.shared`. */
function addShared(table: Table, owner: Owner, lock: number): void {
  const node = nodeOf(table, owner.id)
  if (owner.shared.size > 0) removeHeld(table, owner, node)
  owner.shared.add(lock)
  pushHeld(table, owner, node)
}

function takeBack(table: Table, id: number, lock: number): void {
  const [row, bit] = bitOf(table, id, lock)
  Atomics.and(table.words, row, ~bit)
  if (hasPendingWriter(Atomics.load(table.words, addressOf(table, lock) >> 2))) {
    Atomics.notify(table.words, row)
  }
}

/** The row index and the bit of an owner in a lock's row. */
function bitOf({ layout }: Table, id: number, lock: number): [row: number, bit: number] {
  const at = (layout.rowsBase + lock * layout.rowBytes) >> 2
  return [at + ((id - 1) >> 5), 1 << ((id - 1) & 31)]
}
