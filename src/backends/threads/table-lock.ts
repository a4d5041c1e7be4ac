/**
 * The table's one lock for its own upkeep: an owner that confirms a deadlock, becomes a recovering owner, or
 * sweeps does so exclusively.
 *
 * States    The word is 0, or names the owner that has the table lock, and its thread, because owner numbers
 *           are used again. That owner walks the table and never waits, so the others spin. If it died with
 *           the table lock, its lifeline shows it, and another owner takes the lock over.
 */

import { CONSISTENT_SLOT, DEAD_SLOT, HEADER } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import { kindIn, leaderOf, lifelineOf, type Owner, stateOf, tagIn } from './owners.ts'
import type { Table } from './table.ts'

/** The number of tries between two checks whether the owner that has the table lock still lives. */
const SPINS = 1000

/** The low bits of the word are the owner's number; above are as many bits of its thread's number. */
const OWNER_BITS = 0xffff

/** Calls `fn` with the table lock. */
export function withTableLock<Result>(table: Table, owner: Owner, fn: () => Result): Result {
  takeTableLock(table, owner.id)
  try {
    return fn()
  } finally {
    Atomics.store(table.words, HEADER.tableLock >> 2, 0)
  }
}

function takeTableLock(table: Table, id: number): void {
  const at = HEADER.tableLock >> 2
  const mine = id | (tagIn(stateOf(table, id)) << 16)
  for (let spin = 1; ; spin++) {
    const seen = Atomics.compareExchange(table.words, at, 0, mine)
    if (seen === 0) return
    if (spin % SPINS !== 0 || !isAbandoned(table, seen)) continue
    if (Atomics.compareExchange(table.words, at, seen, mine) === seen) return
  }
}

/**
 * Whether the owner in this word ended while it had the table lock. If its slot is free or belongs to another
 * thread now, the owner was a guest that died (owner-slots.ts), or it has released the table lock. In the
 * second case the word has changed, and the caller's compare-exchange fails.
 */
function isAbandoned(table: Table, word: number): boolean {
  const id = word & OWNER_BITS
  const state = stateOf(table, id)
  if (((tagIn(state) ^ (word >> 16)) & OWNER_BITS) !== 0) return true
  if (kindIn(state) === DEAD_SLOT || kindIn(state) === CONSISTENT_SLOT) return true
  const lifeline = lifelineOf(table, leaderOf(table, id))
  return lifeline !== undefined && hasEnded(lifeline)
}
