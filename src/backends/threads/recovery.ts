/** The repair of what a dead thread left: steps 3 and 4 of deaths.ts. */

import { type Caller, LockUsageError, OwnerDiedError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { isLeft, needsRepair, recovererIn, recovererIndex } from './abandoned.ts'
import { noticeEndOf } from './deaths.ts'
import { CONSISTENT_SLOT, DEAD_SLOT } from './layout.ts'
import { hasEnded } from './lifelines.ts'
import {
  changeKind,
  kindIn,
  kindOf,
  labelOf,
  leaderOf,
  type Owner,
  stateOf,
  tagOf,
} from './owners.ts'
import { hasPendingWriter } from './readers.ts'
import { locksLeft, sweep } from './sweep.ts'
import { addressOf, describeLocks, numberOf, ownerIn, stripesText, type Table } from './table.ts'
import { withTableLock } from './table-lock.ts'

/**
 * Repairs the data that a dead thread's locks guard. The thread that met one of these locks holds all of them
 * during the call. So the callback need not request them, and must not. When it returns, they are free; if it
 * throws, they stay abandoned.
 */
export type OnOwnerDied = (abandoned: AbandonedLocks) => void

/**
 * Repairs an abandoned lock, and everything else that its thread left. Returns at once if another owner
 * repairs it or has done so.
 *
 * @throws OwnerDiedError without `onOwnerDied`; otherwise any error that `onOwnerDied` throws.
 */
export function inherit(
  table: Table,
  owner: Owner,
  lock: number,
  onOwnerDied: OnOwnerDied | undefined,
): void {
  const abandoned = withTableLock(table, owner, () => {
    const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
    if (!isLeft(table, word)) return undefined
    const leader = leaderOf(table, ownerIn(word))
    if (!onOwnerDied) return describeOnce(table, leader)
    Atomics.store(table.words, recovererIndex(table, leader), owner.id)
    return describe(table, leader)
  })
  if (!abandoned) return
  if (!onOwnerDied) throw ownerDied(lock, abandoned)
  const leader = abandoned.thread
  try {
    mustBeDone(onOwnerDied(abandoned))
    // From here on everything is consistent: any owner may do the rest.
    const state = stateOf(table, leader)
    if (kindIn(state) === DEAD_SLOT) changeKind(table, leader, state, CONSISTENT_SLOT)
  } finally {
    Atomics.store(table.words, recovererIndex(table, leader), 0)
    sweep(table, owner)
  }
}

/**
 * Releases an abandoned lock, and all others that its thread left: the caller has said that they are
 * consistent.
 */
export function recover(table: Table, owner: Owner, lock: number, caller: Caller): void {
  const at = addressOf(table, lock) >> 2
  noticeEndOf(table, owner, ownerIn(Atomics.load(table.words, at)), hasEnded)
  const word = Atomics.load(table.words, at)
  if (!isLeft(table, word)) throw notAbandoned(table, lock, word, caller)
  inherit(table, owner, lock, () => {})
}

function notAbandoned(table: Table, lock: number, word: number, caller: Caller): LockUsageError {
  const [holder, recoverer] = [ownerIn(word), recovererIn(table, word)]
  const which = `lock ${lock}${stripesText(table)}`
  if (recoverer !== 0) {
    return new LockUsageError(
      `recover: ${labelOf(table, recoverer)} already repairs ${which}, which ${labelOf(table, holder)} left: ` +
        'do not call recover for it; the lock becomes free when that repair ends',
      caller,
    )
  }
  const held = holder === 0 ? '' : `, but held by ${labelOf(table, holder)}`
  return new LockUsageError(
    `recover: ${which} is not abandoned${held}: call recover only for a lock that an OwnerDiedError names, ` +
      'and once for all locks that the ended thread left',
    caller,
  )
}

/** The locks that ended threads left and no owner repairs, by thread. Only under the table lock. */
export function locksToRepair(table: Table): AbandonedLocks[] {
  const left: AbandonedLocks[] = []
  for (let id = 1; id <= table.layout.owners; id++) {
    const isLeader = kindOf(table, id) === DEAD_SLOT && leaderOf(table, id) === id
    if (isLeader && needsRepair(table, id)) left.push(describe(table, id))
  }
  return left.filter(({ locks }) => locks.length > 0)
}

/**
 * The last description of a dead thread for errors of this thread; valid for `state`, which never comes
 * again.
 */
const described = new WeakMap<Table, { readonly state: number; readonly left: AbandonedLocks }>()

/** Describes a dead thread, once for all waiters that get OwnerDiedError because of it. */
function describeOnce(table: Table, leader: number): AbandonedLocks {
  const known = described.get(table)
  const state = stateOf(table, leader)
  if (known?.state === state && known.left.thread === leader) return known.left
  const left = describe(table, leader)
  described.set(table, { state, left })
  return left
}

/** Describes a dead thread and the locks that it left, also before a sweep has marked all of them. */
function describe(table: Table, leader: number): AbandonedLocks {
  const locks: number[] = []
  const tag = tagOf(table, leader)
  for (let id = 1; id <= table.layout.owners; id++) {
    if (tagOf(table, id) !== tag || leaderOf(table, id) !== leader) continue
    for (const word of locksLeft(table, id)) {
      if (!hasPendingWriter(Atomics.load(table.words, word >> 2))) locks.push(numberOf(table, word))
    }
  }
  locks.sort((a, b) => a - b)
  return { thread: leader, label: labelOf(table, leader), locks }
}

function ownerDied(lock: number, abandoned: AbandonedLocks): OwnerDiedError {
  const { label, locks } = abandoned
  return new OwnerDiedError(
    `lock ${lock} was left by ${label}, which ended while it held ${describeLocks(locks)}: the data ` +
      'behind them may be half changed. Open the table with onOwnerDied to repair it, or call ' +
      `recover(${lock}) if it is consistent`,
    abandoned,
  )
}

function mustBeDone(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  throw new LockUsageError(
    'onOwnerDied returned a promise, but the data must be consistent when it returns: repair it synchronously',
  )
}
