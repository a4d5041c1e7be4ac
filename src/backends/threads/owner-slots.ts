/** Owner slots that run out: whose threads have ended, who gets one, and what a refusal says. */

import { elapsedMs } from '../../core/clock.ts'
import { LockUsageError } from '../../core/errors.ts'
import type { ThreadHolder } from '../../core/report.ts'
import { holdersText } from '../../core/report-text.ts'
import { isLeftBehind } from './abandoned.ts'
import { noticeEndOf } from './deaths.ts'
import { describeHolders } from './holders.ts'
import { DEAD_SLOT, FREE_SLOT, THREAD_SLOT } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import {
  changeKind,
  kindOf,
  leaderOf,
  lifelineOf,
  type Owner,
  ownersIn,
  stateOf,
} from './owners.ts'
import { leftBehind } from './recovery.ts'
import { releaseOwner, tryRegisterAt, tryRegisterOwner } from './register-owner.ts'
import { describeLocks, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'

/** The guest slot is used for microseconds; without it after this time, a full table is refused as it is. */
const GUEST_WAIT_MS = 100
/** So many dead threads are named. */
const MAX_NAMED = 4

/**
 * Registers a thread as an owner, in a free slot. Where all are in use, clears up after threads that have ended.
 *
 * @throws LockUsageError if none is free then.
 */
export function registerThread(table: Table, label: string | undefined): Owner {
  const is = { kind: THREAD_SLOT }
  const owner = tryRegisterOwner(table, label, is)
  if (owner) return owner
  const left = asGuest(table, (guest) => {
    noticeEnds(table, guest)
    return describeLeft(table, guest)
  })
  const freed = tryRegisterOwner(table, label, is)
  if (freed) return freed
  throw new LockUsageError(
    `all ${table.layout.owners} owners of this table are in use: close() those that have finished, ` +
      `or create it with more owners${left ? `. ${left}` : ''}`,
  )
}

/** Clears up after all threads that have ended. Asks the system about each thread once. */
export function noticeEnds(table: Table, owner: Owner): void {
  const leaders = new Set(ownersIn(table).map((id) => leaderOf(table, id)))
  leaders.delete(owner.id)
  for (const id of leaders) noticeEndOf(table, owner, id, hasEnded)
}

/** Calls `fn` with the slot that a thread without one uses to clear up; `undefined` if it cannot be had. */
function asGuest<Result>(table: Table, fn: (guest: Owner) => Result): Result | undefined {
  const id = table.layout.owners + 1
  const untilMs = elapsedMs() + GUEST_WAIT_MS
  do {
    const guest = tryRegisterAt(table, id, 'a thread that opens the table', { kind: THREAD_SLOT })
    if (guest) {
      try {
        return fn(guest)
      } finally {
        releaseOwner(table, guest)
      }
    }
    // A guest that died had the slot, and perhaps the table lock, which is taken from it (table-lock.ts).
    const state = stateOf(table, id)
    const lifeline = lifelineOf(table, id)
    if (lifeline && hasEnded(lifeline)) changeKind(table, id, state, FREE_SLOT)
  } while (elapsedMs() < untilMs)
  return undefined
}

/** Whether an owner gives its slot back by itself: an asynchronous holding, or a dead thread under repair. */
export function comesFree(table: Table, id: number): boolean {
  const kind = kindOf(table, id)
  if (kind === THREAD_SLOT) return false
  return kind !== DEAD_SLOT || !isLeftBehind(table, id)
}

/** All owners: some of them described, and all as a sentence's part. */
export interface InUse {
  readonly holders: readonly ThreadHolder[]
  readonly text: string
}

export function inUse(table: Table, owners: readonly number[]): InUse {
  const holders = describeHolders(table, undefined, owners)
  const all = owners.length === 1 ? 'its one owner is' : `all its ${owners.length} owners are`
  return { holders, text: `${all} in use: ${holdersText(holders, owners.length)}` }
}

/** The threads that ended and left locks, so that their slots stay in use, and what to do; '' for none. */
export function describeLeft(table: Table, owner: Owner): string {
  const left = withTableLock(table, owner, () => leftBehind(table))
  const [first] = left
  if (first === undefined) return ''
  const each = left.map(
    ({ label, locks }) => `${label} ended while it held ${describeLocks(locks)}`,
  )
  const more = left.length > MAX_NAMED ? `; and ${left.length - MAX_NAMED} more` : ''
  return (
    `${each.slice(0, MAX_NAMED).join('; ')}${more}: its owners stay in use until what the locks guard is ` +
    `repaired. Call recover(${first.locks[0]}), or ask for the lock in a thread that has opened the table ` +
    'with onOwnerDied'
  )
}
