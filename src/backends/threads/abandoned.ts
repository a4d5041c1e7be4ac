/** Abandoned locks: whether a dead owner's locks still need repair, and which owner repairs them. */

import { ABANDONED, DEAD_SLOT, SLOT } from './layout.ts'
import { kindOf, leaderOf, slotOf } from './owners.ts'
import { ownerIn, type Table } from './table.ts'

/** The recovering owner, which repairs what the thread of a dead owner left; 0 if there is none. */
export function recovererOf(table: Table, id: number): number {
  return Atomics.load(table.words, recovererIndex(table, leaderOf(table, id)))
}

export function recovererIndex(table: Table, leader: number): number {
  return (slotOf(table, leader) + SLOT.recoverer) >> 2
}

/** The recovering owner for the owner in a lock word; 0 if there is none. */
export function recovererIn(table: Table, word: number): number {
  return (word & ABANDONED) === 0 ? 0 : recovererOf(table, ownerIn(word))
}

/** Whether a lock word is abandoned, and no owner repairs it or has repaired it. */
export function isLeft(table: Table, word: number): boolean {
  if ((word & ABANDONED) === 0) return false
  return needsRepair(table, ownerIn(word))
}

/** Whether an owner's thread has ended, and no owner repairs what it left. The slot then stays in use. */
export function needsRepair(table: Table, id: number): boolean {
  return kindOf(table, leaderOf(table, id)) === DEAD_SLOT && recovererOf(table, id) === 0
}
