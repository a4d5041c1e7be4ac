/**
 * The table's one claim: who confirms a deadlock, inherits, or sweeps up after the dead, does it alone.
 *
 * The word is 0, or the number of the owner that has it. Whoever has it walks the table and never
 * waits, so that others spin. One that died with it is found out by its lifeline, and robbed of it.
 */

import { DEAD_SLOT, HEADER, SOUND_SLOT } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import { kindOf, leaderOf, lifelineOf, type Owner } from './owners.ts'
import type { Table } from './table.ts'

/** Between two looks whether whoever has the claim still lives. */
const SPINS = 1000

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
  for (let spin = 1; ; spin++) {
    const claimer = Atomics.compareExchange(table.words, at, 0, id)
    if (claimer === 0) return
    if (spin % SPINS !== 0 || !isDead(table, claimer)) continue
    if (Atomics.compareExchange(table.words, at, claimer, id) === claimer) return
  }
}

/** Its slot cannot have been given to another meanwhile: that takes the claim. */
function isDead(table: Table, id: number): boolean {
  const kind = kindOf(table, id)
  return (
    kind === DEAD_SLOT || kind === SOUND_SLOT || hasEnded(lifelineOf(table, leaderOf(table, id)))
  )
}
