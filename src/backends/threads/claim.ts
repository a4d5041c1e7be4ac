/**
 * The table's one claim: who confirms a deadlock, inherits, or sweeps up after the dead, does it alone.
 *
 * The word is 0, or names the owner that has it, and its thread: numbers of owners are used again. Whoever
 * has it walks the table and never waits, so that others spin. One that died with it is found out by its
 * lifeline, and robbed of it.
 */

import { DEAD_SLOT, HEADER, SOUND_SLOT } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import { kindIn, leaderOf, lifelineOf, type Owner, stateOf, tagIn } from './owners.ts'
import type { Table } from './table.ts'

/** Between two looks whether whoever has the claim still lives. */
const SPINS = 1000

/** The low bits of a claim: the number of the owner. Above it stand as many of its thread's number. */
const OWNER_BITS = 0xffff

/** Calls `fn` with the claim. */
export function withClaim<Result>(table: Table, owner: Owner, fn: () => Result): Result {
  takeClaim(table, owner.id)
  try {
    return fn()
  } finally {
    Atomics.store(table.words, HEADER.claim >> 2, 0)
  }
}

function takeClaim(table: Table, id: number): void {
  const at = HEADER.claim >> 2
  const mine = id | (tagIn(stateOf(table, id)) << 16)
  for (let spin = 1; ; spin++) {
    const claim = Atomics.compareExchange(table.words, at, 0, mine)
    if (claim === 0) return
    if (spin % SPINS !== 0 || !isDeadMans(table, claim)) continue
    if (Atomics.compareExchange(table.words, at, claim, mine) === claim) return
  }
}

/** Its owner's slot cannot have been given to another meanwhile: that takes the claim. */
function isDeadMans(table: Table, claim: number): boolean {
  const id = claim & OWNER_BITS
  const state = stateOf(table, id)
  if (((tagIn(state) ^ (claim >> 16)) & OWNER_BITS) !== 0) return true
  if (kindIn(state) === DEAD_SLOT || kindIn(state) === SOUND_SLOT) return true
  const lifeline = lifelineOf(table, leaderOf(table, id))
  return lifeline !== undefined && hasEnded(lifeline)
}
