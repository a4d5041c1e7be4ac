/**
 * The list of the locks that an owner holds: through the links of the locks themselves, the last one taken
 * first. One more entry, the owner's node, stands for all locks that it holds shared (readers.ts).
 *
 * Only the owner's thread changes the list: here and in its kernel. When the thread has ended, a sweep does.
 */

import { LINK_OFFSET, SLOT } from './layout.ts'
import { type Owner, slotOf } from './owners.ts'
import { addressOf, isLock, nodeOf, numberOf, ownerIn, type Table } from './table.ts'
import { damaged } from './table-layout.ts'

/** The address of the lock an owner took last, 0 for none: the head of its list. */
export function lastTaken(table: Table, owner: Owner): number {
  return table.words[(owner.slot + SLOT.top) >> 2] as number
}

/** The entry of an owner's list that it took first, 0 for none: a lock, or its node. */
export function firstTaken(table: Table, owner: Owner): number {
  let first = 0
  for (const entry of entriesOf(table, owner.id)) first = entry
  return first
}

/**
 * Says, before an owner takes or frees a lock without its kernel, which lock that is: if its thread ends
 * in between, the lock is found though it is not on the list. It need not be taken back.
 */
export function intend(table: Table, owner: Owner, lock: number): void {
  table.words[(owner.slot + SLOT.intent) >> 2] = addressOf(table, lock)
}

/** Puts a lock that an owner took without its kernel on its list. */
export function pushHeld(table: Table, owner: Owner, word: number): void {
  table.words[(word + LINK_OFFSET) >> 2] = lastTaken(table, owner)
  table.words[(owner.slot + SLOT.top) >> 2] = word
}

/** Takes a lock, or the owner's node, off an owner's list, wherever it stands there. */
export function removeHeld(table: Table, owner: Owner, word: number): void {
  const { words, layout } = table
  let at = (owner.slot + SLOT.top) >> 2
  // A plain loop: this is a long way where locks are released in the order in which they were taken.
  for (let count = 0; words[at] !== 0; count++) {
    if (count > layout.lockCount) throw damaged(`the locks of owner ${owner.id} are a ring`)
    const taken = words[at] as number
    if (taken === word) {
      words[at] = words[(word + LINK_OFFSET) >> 2] as number
      return
    }
    at = (taken + LINK_OFFSET) >> 2
  }
}

/** The addresses of the locks that an owner holds alone, the last one taken first. */
export function* listOf(table: Table, id: number): Generator<number> {
  for (const word of entriesOf(table, id)) if (word !== nodeOf(table, id)) yield word
}

/**
 * The entries of an owner's list, as far as they can be read while its thread may change them: it ends
 * where it leads to a lock that the owner does not hold.
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

/** Whether there is a lock at an address that carries this owner. */
function isHeldBy(table: Table, address: number, id: number): boolean {
  return isLock(table, address) && ownerIn(Atomics.load(table.words, address >> 2)) === id
}

/** An owner's list: locks, and the node that stands for all that it holds shared. For its own thread. */
function* entriesOf(table: Table, id: number): Generator<number> {
  const { words, layout } = table
  const node = nodeOf(table, id)
  let word = words[(slotOf(table, id) + SLOT.top) >> 2] as number
  for (let count = 0; word !== 0; count++) {
    if (word !== node) numberOf(table, word)
    if (count > layout.lockCount) throw damaged(`the locks of owner ${id} are a ring`)
    const next = words[(word + LINK_OFFSET) >> 2] as number
    yield word
    word = next
  }
}

/** Whether an owner holds locks shared: its node is in its list then. */
export function hasShared(table: Table, id: number): boolean {
  return [...entriesOf(table, id)].includes(nodeOf(table, id))
}

/** The numbers of the locks that an owner holds, lowest first: of this thread's own owners. */
export function locksHeld(table: Table, owner: Owner): number[] {
  const alone = [...listOf(table, owner.id)].map((word) => numberOf(table, word))
  return [...alone, ...owner.shared].sort((a, b) => a - b)
}

/** Whether one of this thread's own owners holds this lock or a higher one. Order 'ascending' only. */
export function holdsFrom(table: Table, owner: Owner, lock: number): boolean {
  // The exclusive lock that was taken last is the highest of them; the node may stand before it.
  let highest = lastTaken(table, owner)
  if (highest === nodeOf(table, owner.id)) {
    highest = table.words[(highest + LINK_OFFSET) >> 2] as number
  }
  if (highest >= addressOf(table, lock)) return true
  for (const shared of owner.shared) if (shared >= lock) return true
  return false
}
