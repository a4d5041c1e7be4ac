/**
 * The list of the locks that an owner holds: linked through the locks themselves, the last one taken first.
 * One more entry, the owner's node, stands for all locks that it holds shared (readers.ts).
 *
 * Only the owner's thread changes the list, here and in its kernel. After the thread has ended, a sweep does.
 */

import { LINK_OFFSET, SLOT } from './layout.ts'
import { type Owner, slotOf } from './owners.ts'
import { addressOf, isLock, nodeOf, numberOf, ownerIn, type Table } from './table.ts'
import { damaged } from './table-layout.ts'

/** The address of the lock that an owner took last, the head of its list; 0 for none. */
export function lastTaken(table: Table, owner: Owner): number {
  return table.words[(owner.slot + SLOT.top) >> 2] as number
}

/** The entry of an owner's list that it took first, a lock or its node; 0 for none. */
export function firstTaken(table: Table, owner: Owner): number {
  let first = 0
  for (const entry of entriesOf(table, owner.id)) first = entry
  return first
}

/**
 * Records the lock that an owner is about to take or release without its kernel. If its thread ends in
 * between, the sweep finds the lock although it is not on the list. The record need not be cleared.
 */
export function intend(table: Table, owner: Owner, lock: number): void {
  table.words[(owner.slot + SLOT.intent) >> 2] = addressOf(table, lock)
}

/** Puts a lock that an owner took without its kernel on its list. */
export function pushHeld(table: Table, owner: Owner, word: number): void {
  table.words[(word + LINK_OFFSET) >> 2] = lastTaken(table, owner)
  table.words[(owner.slot + SLOT.top) >> 2] = word
}

/** Removes a lock, or the owner's node, from any position in an owner's list. */
export function removeHeld(table: Table, owner: Owner, word: number): void {
  const { words, layout } = table
  let at = (owner.slot + SLOT.top) >> 2
  // A plain loop, for speed: the walk is long where locks are released in the order of taking.
  for (let count = 0; words[at] !== 0; count++) {
    if (count > layout.lockCount)
      throw damaged(`the list of the locks of owner ${owner.id} is circular`)
    const taken = words[at] as number
    if (taken === word) {
      words[at] = words[(word + LINK_OFFSET) >> 2] as number
      return
    }
    at = (taken + LINK_OFFSET) >> 2
  }
}

/** The addresses of the locks that an owner holds exclusively, the last one taken first. */
export function* listOf(table: Table, id: number): Generator<number> {
  for (const word of entriesOf(table, id)) if (word !== nodeOf(table, id)) yield word
}

/**
 * The entries of an owner's list, as far as they can be read while its thread may change it. Ends at the
 * first entry that is not a lock of the owner.
 */
export function entriesSeen(table: Table, id: number): Set<number> {
  const { words } = table
  const node = nodeOf(table, id)
  const seen = new Set<number>()
  let entry = words[(slotOf(table, id) + SLOT.top) >> 2] as number
  while (!seen.has(entry) && (entry === node || isHeldBy(table, entry, id))) {
    seen.add(entry)
    entry = words[(entry + LINK_OFFSET) >> 2] as number
  }
  return seen
}

/** Whether the address is that of a lock whose word carries this owner. */
function isHeldBy(table: Table, address: number, id: number): boolean {
  return isLock(table, address) && ownerIn(Atomics.load(table.words, address >> 2)) === id
}

/**
 * The entries of an owner's list: locks, and the node for all locks held shared. Only for the owner's thread;
 * for a dead owner, only under the table lock.
 */
function* entriesOf(table: Table, id: number): Generator<number> {
  const { words, layout } = table
  const node = nodeOf(table, id)
  let word = words[(slotOf(table, id) + SLOT.top) >> 2] as number
  for (let count = 0; word !== 0; count++) {
    if (word !== node) numberOf(table, word)
    if (count > layout.lockCount) throw damaged(`the list of the locks of owner ${id} is circular`)
    const next = words[(word + LINK_OFFSET) >> 2] as number
    yield word
    word = next
  }
}

/** Whether an owner holds locks shared: then its node is on its list. */
export function hasShared(table: Table, id: number): boolean {
  return [...entriesOf(table, id)].includes(nodeOf(table, id))
}

/** The numbers of the locks that an owner holds, lowest first. Only for owners of this thread. */
export function locksHeld(table: Table, owner: Owner): number[] {
  const exclusive = [...listOf(table, owner.id)].map((word) => numberOf(table, word))
  return [...exclusive, ...owner.shared].sort((a, b) => a - b)
}

/** Whether an owner of this thread holds this lock or a higher one. Only for order 'ascending'. */
export function holdsFrom(table: Table, owner: Owner, lock: number): boolean {
  // The exclusive lock that was taken last is the highest; the node may come before it in the list.
  let highest = lastTaken(table, owner)
  if (highest === nodeOf(table, owner.id)) {
    highest = table.words[(highest + LINK_OFFSET) >> 2] as number
  }
  if (highest >= addressOf(table, lock)) return true
  for (const shared of owner.shared) if (shared >= lock) return true
  return false
}
