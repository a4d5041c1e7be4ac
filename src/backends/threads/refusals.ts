/** Errors for requests that cannot be granted and locks that cannot be released, with what to do instead. */

import { type Caller, DeadlockError, LockOrderError, LockUsageError } from '../../core/errors.ts'
import { holdersText } from '../../core/report-text.ts'
import { recovererIn } from './abandoned.ts'
import { stackAt } from './caller-stack.ts'
import { describeSelfDeadlock } from './deadlock-report.ts'
import { holdsFrom, locksHeld } from './held-list.ts'
import { describeHolders, holdersOf } from './holders.ts'
import { FREE_SLOT, SHARED, TASK_SLOT } from './layout.ts'
import { ownLifeline } from './lifelines.ts'
import { kindOf, labelOf, leaderOf, type Owner, tagOf } from './owners.ts'
import type { LockPlan } from './plan.ts'
import { readersOf } from './readers.ts'
import { addressOf, describeLocks, ownerIn, stripesText, type Table } from './table.ts'
import type { Terms } from './wait.ts'

/**
 * Whether an owner of this thread holds this lock exclusively. Only that thread writes the owner's number
 * there.
 */
export function holdsExclusively(table: Table, owner: Owner, lock: number): boolean {
  return ownerIn(table.words[addressOf(table, lock) >> 2] as number) === owner.id
}

/** Throws if an owner must not request a lock of a plan because of the locks that it holds. */
export function refuse(
  table: Table,
  owner: Owner,
  lock: number,
  plan: LockPlan,
  terms: Terms,
): void {
  const isReader = owner.shared.size > 0 && owner.shared.has(lock)
  if (isReader && !plan.shared.has(lock)) throw upgrade(table, owner, lock)
  if (isReader || holdsExclusively(table, owner, lock)) {
    const stack = terms.stack ?? stackAt(terms.caller)
    throw new DeadlockError(describeSelfDeadlock(table, owner, lock, isReader, stack))
  }
  refuseBelow(table, owner, lock, plan, lock)
}

/** Throws if an owner must not request a lock of a plan because it holds a lock from `lowest` up. */
export function refuseBelow(
  table: Table,
  owner: Owner,
  lock: number,
  plan: LockPlan,
  lowest: number,
): void {
  if (table.layout.order === 'ascending' && holdsFrom(table, owner, lowest)) {
    throw orderError(table, owner, lock, plan)
  }
}

function upgrade(table: Table, owner: Owner, lock: number): LockUsageError {
  return new LockUsageError(
    `${owner.label} holds lock ${lock}${stripesText(table)} shared and requests it exclusively: the request ` +
      `would wait forever for the shared holding of ${owner.label} itself to end. Request the lock ` +
      'exclusively from the start; or release it first, request it exclusively, and then read the data again',
  )
}

function orderError(
  table: Table,
  owner: Owner,
  wanted: number,
  { locks }: LockPlan,
): LockOrderError {
  const held = locksHeld(table, owner)
  const all = [...new Set([...locks.slice(0, 9), ...held.slice(-3)])].sort((a, b) => a - b)
  const call = kindOf(table, owner.id) === TASK_SLOT ? 'holdAsync' : 'hold'
  return new LockOrderError(
    `${owner.label} requested lock ${wanted} while it holds ${describeLocks(held)}: ` +
      `this table takes locks in ascending order only${stripesText(table)}. Take them all in one request, ` +
      `such as ${call}([${all.join(', ')}], …), or create the table with order: 'free'`,
  )
}

/** Throws if a thread would wait for itself because it has opened the table more than once. */
export function refuseOwnThread(table: Table, owner: Owner, lock: number, seen: number): void {
  const holder = recovererIn(table, seen) || ownerIn(seen)
  if (holder !== 0) refuseOwn(table, owner, lock, holder)
  else if (seen === SHARED) {
    for (const reader of readersOf(table, lock)) refuseOwn(table, owner, lock, reader)
  }
}

function refuseOwn(table: Table, owner: Owner, lock: number, id: number): void {
  if (tagOf(table, id) !== ownLifeline().tag) return
  // A free slot has tag 0, like the main thread.
  if (kindOf(table, id) === FREE_SLOT || leaderOf(table, id) === owner.id) return
  throw new LockUsageError(
    `${owner.label} would wait for lock ${lock}, which ${labelOf(table, id)} holds. Both are ` +
      'the same thread, which has opened this table more than once: open a table only once in each thread',
  )
}

/** Throws if `onOwnerDied` requests a lock that it already has: one of the dead thread that it repairs. */
export function refuseRepaired(table: Table, owner: Owner, lock: number, seen: number): void {
  const recoverer = recovererIn(table, seen)
  if (recoverer === 0 || leaderOf(table, recoverer) !== owner.id) return
  throw new LockUsageError(
    `lock ${lock} was left by ${labelOf(table, ownerIn(seen))}, and onOwnerDied holds it already: repair ` +
      'the data without requesting the lock',
  )
}

/**
 * The error for a release of locks that the owner does not hold in this mode. `isTasks`: a task of its thread
 * holds one. `caller`: the public method, if known. If it is not one that unlocks, it released its own locks
 * after its callback.
 */
export function notHeld(
  table: Table,
  owner: Owner,
  locks: readonly number[],
  isTasks: boolean,
  caller: Caller | undefined,
): LockUsageError {
  const call = caller?.name || 'hold'
  const stripes = stripesText(table)
  if (!call.startsWith('unlock')) {
    return new LockUsageError(
      `${call}: ${owner.label} does not hold ${describeLocks(locks)}${stripes} any more, because its callback ` +
        `has unlocked what ${call} took: do not unlock there, as ${call} releases its locks itself`,
      caller,
    )
  }
  const [lock] = locks as readonly [number]
  const [held, other] = owner.shared.has(lock)
    ? ['shared, not exclusively', 'unlockShared']
    : holdsExclusively(table, owner, lock)
      ? ['exclusively, not shared', 'unlock']
      : []
  if (held !== undefined && locks.length === 1) {
    return new LockUsageError(
      `${call}: ${owner.label} holds lock ${lock}${stripes} ${held}: release it with ${other}(${lock}), ` +
        'unless a hold took it, which releases it itself',
      caller,
    )
  }
  const own = locksHeld(table, owner)
  const reason = isTasks
    ? 'a holdAsync of this thread took it. Do not unlock it: that holdAsync releases it when its callback ends'
    : `it holds ${own.length > 0 ? describeLocks(own) : 'nothing'}. Unlock a lock once, in the thread that took it`
  return new LockUsageError(
    `${call}: ${owner.label} does not hold ${describeLocks(locks)}${stripes}; ${reason}`,
    caller,
  )
}

/** The error for a thread that would have to block for a lock, but must not. */
export function mustNotBlock(table: Table, owner: Owner, lock: number): LockUsageError {
  const ids = holdersOf(table, lock, owner.id)
  const held =
    ids.length === 0
      ? ''
      : `, held by ${holdersText(describeHolders(table, lock, ids), ids.length)}`
  return new LockUsageError(
    `${owner.label} would block for lock ${lock}${stripesText(table)}${held}. This thread must not block, like ` +
      `the main thread of a browser: use holdAsync([${lock}], …)`,
  )
}
