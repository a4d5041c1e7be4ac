/** Abandoned locks: whether what a dead owner left is still to be repaired, and which owner is at it. */

import { ABANDONED, DEAD_SLOT, SLOT } from './layout.ts'
import { kindOf, leaderOf, slotOf } from './owners.ts'
import { ownerIn, type Table } from './table.ts'

/** The owner that repairs what the thread of a dead owner left; 0 for none. */
export function heirOf(table: Table, id: number): number {
  return Atomics.load(table.words, heirIndex(table, leaderOf(table, id)))
}

export function heirIndex(table: Table, leader: number): number {
  return (slotOf(table, leader) + SLOT.heir) >> 2
}

/** The owner that repairs what the owner in a lock word left; 0 where nobody does. */
export function heirIn(table: Table, word: number): number {
  return (word & ABANDONED) === 0 ? 0 : heirOf(table, ownerIn(word))
}

/** Whether a lock word says that its owner died, and nobody has repaired what it left, or is at it. */
export function isLeft(table: Table, word: number): boolean {
  if ((word & ABANDONED) === 0) return false
  return isLeftBehind(table, ownerIn(word))
}

/** Whether an owner has ended, and keeps its slot until somebody repairs what its thread left. */
export function isLeftBehind(table: Table, id: number): boolean {
  return kindOf(table, leaderOf(table, id)) === DEAD_SLOT && heirOf(table, id) === 0
}
