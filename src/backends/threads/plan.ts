/** Plans: requests, checked and made canonical: every lock once, in ascending order. */

import { type Caller, LockUsageError } from '../../core/errors.ts'
import { show } from '../../core/format.ts'
import type { LockMode, WantedLock } from '../../core/modes.ts'
import { lockOf, type Table } from './table.ts'

/** A lock by its number, for exclusive mode; or `shared(7)`, for shared mode. */
export type Wanted = number | WantedLock<number>

/** One lock, or any number of them. */
export type WantedLocks = Wanted | Iterable<Wanted>

/** A set of locks to be taken. */
export interface LockPlan {
  /** Each once, in ascending order. */
  readonly locks: readonly number[]
  /** The locks among them that are requested shared. */
  readonly shared: ReadonlySet<number>
}

const NONE: ReadonlySet<number> = new Set()

/** The plan for some locks, all exclusive. */
export function planFor(...locks: readonly number[]): LockPlan {
  return { locks, shared: NONE }
}

/** The plan for one lock, shared. */
export function planForShared(lock: number): LockPlan {
  return { locks: [lock], shared: new Set([lock]) }
}

/** The plan for the locks of two records. */
export function planForPair(table: Table, a: number, b: number): LockPlan {
  const first = lockOf(table, a)
  const second = lockOf(table, b)
  if (first === second) return planFor(first)
  return first < second ? planFor(first, second) : planFor(second, first)
}

/** The mode in which a plan has a lock. */
export function modeIn({ shared }: LockPlan, lock: number): LockMode {
  return shared.has(lock) ? 'shared' : 'exclusive'
}

/**
 * Makes the plan for a user's request. A lock that is requested in both modes is exclusive.
 *
 * `countNow` returns the number of records, or 0 once the table is closed. It is called for each number,
 * because the caller's iterator may close the table.
 *
 * @throws LockUsageError for anything that is not a lock number of the table.
 */
export function makePlan(
  wanted: WantedLocks,
  countNow: () => number,
  lockOf: (record: number) => number,
  caller: Caller,
): LockPlan {
  refuseClosed(countNow(), caller)
  const modes = new Map<number, LockMode>()
  for (const each of listOf(wanted, caller)) {
    const { name, mode } = parse(each)
    if (!isIndex(name, countNow())) throw badIndex(name, countNow(), caller)
    const lock = lockOf(name)
    if (modes.get(lock) !== 'exclusive') modes.set(lock, mode)
  }
  refuseClosed(countNow(), caller)
  const locks = [...modes.keys()].sort((a, b) => a - b)
  const shared = locks.filter((lock) => modes.get(lock) === 'shared')
  return { locks, shared: shared.length === 0 ? NONE : new Set(shared) }
}

/** The locks that a user requested, as a list. */
function listOf(wanted: unknown, caller: Caller): Iterable<unknown> {
  if (typeof wanted === 'number') return [wanted]
  if (typeof wanted === 'object' && wanted !== null) {
    if (isIterable(wanted)) return wanted
    if ('name' in wanted && 'mode' in wanted) return [wanted]
  }
  throw new LockUsageError(
    `${caller.name}: expected a lock number, shared(number), or an array of them, not ${show(wanted)}`,
    caller,
  )
}

function isIterable(wanted: object): wanted is Iterable<unknown> {
  return typeof (wanted as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function'
}

/** A lock and its mode. A value that is not a lock becomes its own name, and is refused later. */
function parse(each: unknown): { readonly name: number; readonly mode: LockMode } {
  if (typeof each === 'object' && each !== null && 'name' in each && 'mode' in each) {
    const { name, mode } = each as WantedLock<number>
    if (mode === 'shared' || mode === 'exclusive') return { name, mode }
  }
  return { name: each as number, mode: 'exclusive' }
}

/** Whether this is a lock number: NaN, 1.5, -1, '3' and the like are not. */
export function isIndex(index: number, count: number): boolean {
  return typeof index === 'number' && index >>> 0 === index && index < count
}

/** Whether both are lock numbers: NaN, 1.5, -1, '3' and the like are not. */
export function isPair(a: number, b: number, count: number): boolean {
  return (
    typeof a === 'number' &&
    typeof b === 'number' &&
    a >>> 0 === a &&
    b >>> 0 === b &&
    a < count &&
    b < count
  )
}

/**
 * The error for a number that is not one of `count` locks; `count` is 0 once this thread has closed the
 * table.
 */
export function badIndex(index: unknown, count: number, caller: Caller): LockUsageError {
  return new LockUsageError(
    count === 0
      ? 'this thread has closed this table: open its handle again, or close it after the last call'
      : `a lock number must be a whole number from 0 to ${count - 1}, not ${show(index)}${sharedHint(index)}`,
    caller,
  )
}

/** The error for two numbers of which at least one is not one of `count` locks. */
export function badPair(a: number, b: number, count: number, caller: Caller): LockUsageError {
  return badIndex(isIndex(a, count) ? b : a, count, caller)
}

/** A hint if shared(i) was given to a call that takes only numbers. */
function sharedHint(given: unknown): string {
  if (typeof given !== 'object' || given === null || !('name' in given)) return ''
  const lock = show(given.name)
  return `: for a lock that is held shared, write lockShared(${lock}) or hold([shared(${lock})], …)`
}

/** Throws once this thread has closed the table. */
export function refuseClosed(count: number, caller: Caller): void {
  if (count === 0) throw badIndex(0, 0, caller)
}
