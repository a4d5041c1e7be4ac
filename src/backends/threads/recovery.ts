/** The repair of what a thread left that ended while it held locks: steps 3 and 4 of deaths.ts. */

import { type Caller, LockUsageError, OwnerDiedError } from '../../core/errors.ts'
import type { AbandonedLocks } from '../../core/report.ts'
import { heirIndex, isLeft, isLeftBehind } from './abandoned.ts'
import { noticeEndOf } from './deaths.ts'
import { DEAD_SLOT, SOUND_SLOT } from './layout.ts'
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
 * Makes sound what a thread left that ended while it held locks. All of them are held while it runs,
 * by whoever met one of them, so it need not ask for them, and must not; they are free when it returns,
 * and stay abandoned when it throws.
 */
export type OnOwnerDied = (abandoned: AbandonedLocks) => void

/**
 * Makes an abandoned lock sound, and all else that its thread left. Comes back at once where someone
 * else is at it or has done it.
 *
 * @throws OwnerDiedError without `onOwnerDied`; and whatever that throws.
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
    Atomics.store(table.words, heirIndex(table, leader), owner.id)
    return describe(table, leader)
  })
  if (!abandoned) return
  if (!onOwnerDied) throw ownerDied(lock, abandoned)
  const leader = abandoned.thread
  try {
    mustBeDone(onOwnerDied(abandoned))
    // From here on all is sound, whoever does the rest.
    const state = stateOf(table, leader)
    if (kindIn(state) === DEAD_SLOT) changeKind(table, leader, state, SOUND_SLOT)
  } finally {
    Atomics.store(table.words, heirIndex(table, leader), 0)
    sweep(table, owner)
  }
}

/** Frees an abandoned lock, and all others that its thread left: they are sound, says the caller. */
export function recover(table: Table, owner: Owner, lock: number, caller: Caller): void {
  const at = addressOf(table, lock) >> 2
  noticeEndOf(table, owner, ownerIn(Atomics.load(table.words, at)), hasEnded)
  if (!isLeft(table, Atomics.load(table.words, at))) {
    const holder = ownerIn(Atomics.load(table.words, at))
    const held = holder === 0 ? '' : `: ${labelOf(table, holder)} holds it`
    throw new LockUsageError(
      `recover: lock ${lock}${stripesText(table)} is not abandoned${held}`,
      caller,
    )
  }
  inherit(table, owner, lock, () => {})
}

/** The locks that ended threads left and nobody is repairing, by thread. Under the table lock. */
export function leftBehind(table: Table): AbandonedLocks[] {
  const left: AbandonedLocks[] = []
  for (let id = 1; id <= table.layout.owners; id++) {
    const isLeader = kindOf(table, id) === DEAD_SLOT && leaderOf(table, id) === id
    if (isLeader && isLeftBehind(table, id)) left.push(describe(table, id))
  }
  return left.filter(({ locks }) => locks.length > 0)
}

/** What errors of this thread say that a dead thread left, by its state, in which its number never comes again. */
const described = new WeakMap<Table, { readonly state: number; readonly left: AbandonedLocks }>()

/** Describes a dead thread as {@link describe} does, once for all waiters that its death refuses. */
function describeOnce(table: Table, leader: number): AbandonedLocks {
  const known = described.get(table)
  const state = stateOf(table, leader)
  if (known?.state === state && known.left.thread === leader) return known.left
  const left = describe(table, leader)
  described.set(table, { state, left })
  return left
}

/** Describes a dead thread, and the locks that it left, whether a sweep has marked all of them or not. */
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
    `lock ${lock} was left by ${label}, which ended while it held ${describeLocks(locks)}: what they ` +
      'guard may be half changed. Open the table with onOwnerDied to repair it, or call ' +
      `recover(${lock}) if it is sound`,
    abandoned,
  )
}

function mustBeDone(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  throw new LockUsageError(
    'onOwnerDied returned a promise, but what was left must be sound when it returns',
  )
}
