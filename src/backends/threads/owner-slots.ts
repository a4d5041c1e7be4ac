/** Registers threads as owners. If no slot is free, cleans up after ended threads or names the owners. */

import { elapsedMs } from '../../core/clock.ts'
import { LockUsageError } from '../../core/errors.ts'
import type { ThreadHolder } from '../../core/report.ts'
import { holdersText } from '../../core/report-text.ts'
import { needsRepair } from './abandoned.ts'
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
import { locksToRepair } from './recovery.ts'
import { releaseOwner, tryRegisterAt, tryRegisterOwner } from './register-owner.ts'
import { describeLocks, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'

/**
 * The guest slot is used for microseconds. A thread that does not get it within this time is refused without
 * a check for ended threads.
 */
const GUEST_WAIT_MS = 100
/** At most this many dead threads are named. */
const MAX_NAMED = 4

/**
 * Registers a thread as an owner in a free slot. If all are in use, first cleans up after ended threads.
 *
 * @throws LockUsageError if no slot is free then.
 */
export function registerThread(table: Table, label: string | undefined): Owner {
  const is = { kind: THREAD_SLOT }
  const owner = tryRegisterOwner(table, label, is)
  if (owner) return owner
  const left = asGuest(table, (guest) => {
    noticeEnds(table, guest)
    return describeLeft(table, guest)
  })
  const next = tryRegisterOwner(table, label, is)
  if (next) return next
  throw new LockUsageError(
    `open: ${inUse(table, ownersIn(table)).text}. Call close() in threads that no longer use the table, or ` +
      `create it with more owners${left ? `. ${left}` : ''}`,
  )
}

/** Cleans up after all threads that have ended. Asks the system about each thread once. */
export function noticeEnds(table: Table, owner: Owner): void {
  const leaders = new Set(ownersIn(table).map((id) => leaderOf(table, id)))
  leaders.delete(owner.id)
  for (const id of leaders) noticeEndOf(table, owner, id, hasEnded)
}

/**
 * Calls `fn` with the guest slot, in which a thread without a slot cleans up; `undefined` if it stays in use.
 */
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
    // Give back the slot of a dead guest. If the guest had the table lock too, another owner takes that over
    // (table-lock.ts).
    const state = stateOf(table, id)
    const lifeline = lifelineOf(table, id)
    if (lifeline && hasEnded(lifeline)) changeKind(table, id, state, FREE_SLOT)
  } while (elapsedMs() < untilMs)
  return undefined
}

/** Whether an owner will give its slot back: an asynchronous holding, or a dead thread under repair. */
export function comesFree(table: Table, id: number): boolean {
  const kind = kindOf(table, id)
  if (kind === THREAD_SLOT) return false
  return kind !== DEAD_SLOT || !needsRepair(table, id)
}

/** The owners in use: some of them described, and a clause that names all. */
export interface InUse {
  readonly holders: readonly ThreadHolder[]
  readonly text: string
}

export function inUse(table: Table, owners: readonly number[]): InUse {
  const holders = describeHolders(table, undefined, owners)
  const { length } = owners
  const all =
    length === 1 ? "the table's one owner slot is" : `all ${length} owner slots of the table are`
  return { holders, text: `${all} in use: ${holdersText(holders, length)}` }
}

/** Names the ended threads whose locks keep their slots in use, and says what to do; '' if there are none. */
export function describeLeft(table: Table, owner: Owner): string {
  const left = withTableLock(table, owner, () => locksToRepair(table))
  const [first] = left
  if (first === undefined) return ''
  const each = left.map(
    ({ label, locks }) => `${label} ended while it held ${describeLocks(locks)}`,
  )
  const more = left.length > MAX_NAMED ? `; and ${left.length - MAX_NAMED} more` : ''
  return (
    `${each.slice(0, MAX_NAMED).join('; ')}${more}: the owner slots of an ended thread stay in use until ` +
    `the data behind its locks is repaired. Call recover(${first.locks[0]}) if it is consistent; if not, ` +
    'request the lock in a thread that has opened the table with onOwnerDied'
  )
}
