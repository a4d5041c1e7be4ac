/**
 * Shared mode: any number of readers hold a lock at once, and whoever wants it alone waits for them.
 *
 * Source    visible readers beside the lock word, as in D. Dice and A. Kogan, "BRAVO" (2019): a reader
 *           says that it is there, then looks; a writer says that it comes, then looks. The pending
 *           writer's place in the word is ours, and so is that the lock stays open to readers when the last has left.
 * Steps     reader: set the own bit in the lock's row, then look at the word. SHARED without an owner:
 *           the lock is held. Free: make it SHARED. Anything else: take the bit back, and wait.
 *           Leaving: take the bit back; where the lock has a pending writer, wake it.
 *           writer: a free lock is taken as ever, and the row is not looked at. One that is SHARED
 *           gets a pending writer: owner | SHARED; from here on nobody enters. When the row is empty, SHARED goes.
 * Invariant Who holds a lock shared has its bit in the row, and the word is SHARED, with or without a
 *           pending writer. So a lock that is free or held has no readers: a bit in its row is one that has not
 *           looked at the word yet, and will be taken back.
 * Fairness  a pending writer keeps new readers out, so readers cannot starve a writer; and a writer that frees the
 *           lock wakes all the readers that sleep, so that one pass of a writer lets all of them in.
 * Cost      two atomic operations to enter, two to leave; the exclusive path pays nothing, except once
 *           for each change from readers to a writer.
 */

import { pushHeld, removeHeld } from './held-list.ts'
import { READS, SHARED, SLOT } from './layout.ts'
import { type Owner, slotOf } from './owners.ts'
import { addressOf, isLock, nodeOf, numberOf, type Table } from './table.ts'

/** Whether a lock with this word has no owner, so that a reader may enter it and a writer may take it. */
export function isOpen(word: number): boolean {
  return word === 0 || word === SHARED
}

/** Whether the owner of the lock with this word waits for its readers to leave. */
export function hasPendingWriter(word: number): boolean {
  return (word & SHARED) !== 0 && word !== SHARED
}

/** The indices of a lock's row: the bits of 32 owners in each. */
export function* rowOf({ layout }: Table, lock: number): Generator<number> {
  const first = (layout.rowsBase + lock * layout.rowBytes) >> 2
  for (let at = first; at < first + (layout.rowBytes >> 2); at++) yield at
}

/** The owners whose bits stand in a lock's row. */
export function* readersOf(table: Table, lock: number): Generator<number> {
  let least = 1
  for (const at of rowOf(table, lock)) {
    const bits = Atomics.load(table.words, at)
    for (let i = 0; bits >>> i !== 0 && i < 32; i++) if ((bits & (1 << i)) !== 0) yield least + i
    least += 32
  }
}

/** Enters a lock as one more reader; false if an owner has it exclusively, or waits for that. */
export function tryEnter(table: Table, owner: Owner, lock: number): boolean {
  const { words } = table
  const at = addressOf(table, lock) >> 2
  const [row, bit] = placeOf(table, owner.id, lock)
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
 * Wakes all that sleep on a lock which is open to readers. Nobody should: where the waiter bits were
 * wiped out (acquire.ts), the word has no place to set them again.
 */
export function wakeMissed(table: Table, lock: number): void {
  Atomics.notify(table.words, addressOf(table, lock) >> 2)
}

/** Whether an owner's bit stands in a lock's row. */
function isReader(table: Table, id: number, lock: number): boolean {
  const [row, bit] = placeOf(table, id, lock)
  return (Atomics.load(table.words, row) & bit) !== 0
}

/** Whether an owner holds any lock shared, as its slot says. Its thread may change that meanwhile. */
export function readsAny(table: Table, id: number): boolean {
  if (table.words[moreReadsIndex(table, id)] !== 0) return true
  const first = (slotOf(table, id) + SLOT.reads) >> 2
  for (let at = first; at < first + READS; at++) {
    const word = table.words[at] as number
    if (isLock(table, word) && isReader(table, id, numberOf(table, word))) return true
  }
  return false
}

/** The locks that an owner holds shared, lowest first. Looks through the whole table. */
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

/** The readers of a lock have left: its pending writer holds it. */
export function admitWriter(table: Table, lock: number): void {
  Atomics.and(table.words, addressOf(table, lock) >> 2, ~SHARED)
}

/** The pending writer waits no longer: the lock is open again, and all waiters are to look at it. */
export function withdrawWriter(table: Table, lock: number): void {
  const at = addressOf(table, lock) >> 2
  Atomics.store(table.words, at, SHARED)
  Atomics.notify(table.words, at)
}

/** Takes the bits of dead owners out of all rows, and wakes whoever waits for that. */
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

/** The same for owners whose bits can stand in any row. */
function clearRows(table: Table, dead: readonly number[]): void {
  const { words, layout } = table
  const places = dead.map((id) => placeOf(table, id, 0))
  for (let lock = 0; lock < layout.lockCount; lock++) {
    const row = (lock * layout.rowBytes) >> 2
    for (const [first, bit] of places) {
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

/** Notes in which row an owner's bit may stand, before it does. */
function noteRead(table: Table, owner: Owner, lock: number): void {
  const at = findRead(table, owner, 0)
  if (at === undefined) (table.words[moreReadsIndex(table, owner.id)] as number)++
  else table.words[at] = addressOf(table, lock)
}

/** Forgets it, when the bit does not stand there any more. */
function forgetRead(table: Table, owner: Owner, lock: number): void {
  const at = findRead(table, owner, addressOf(table, lock))
  if (at === undefined) (table.words[moreReadsIndex(table, owner.id)] as number)--
  else table.words[at] = 0
}

/** Where an address, or 0, stands among the locks that an owner reads. */
function findRead({ words }: Table, owner: Owner, address: number): number | undefined {
  const first = (owner.slot + SLOT.reads) >> 2
  for (let at = first; at < first + READS; at++) if (words[at] === address) return at
  return undefined
}

function moreReadsIndex(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.moreReads) >> 2
}

/** Notes a lock that was entered, in the owner's list and as this thread knows it. */
function addShared(table: Table, owner: Owner, lock: number): void {
  const node = nodeOf(table, owner.id)
  if (owner.shared.size > 0) removeHeld(table, owner, node)
  owner.shared.add(lock)
  pushHeld(table, owner, node)
}

function takeBack(table: Table, id: number, lock: number): void {
  const [row, bit] = placeOf(table, id, lock)
  Atomics.and(table.words, row, ~bit)
  if (hasPendingWriter(Atomics.load(table.words, addressOf(table, lock) >> 2))) {
    Atomics.notify(table.words, row)
  }
}

/** Where the bit of an owner stands in a lock's row. */
function placeOf({ layout }: Table, id: number, lock: number): [row: number, bit: number] {
  const at = (layout.rowsBase + lock * layout.rowBytes) >> 2
  return [at + ((id - 1) >> 5), 1 << ((id - 1) & 31)]
}
