/**
 * The holders that block a wait, read from the owners' slots for refusals and reports.
 *
 * Reading locks nothing: the result can be some microseconds out of date, and serves only to explain.
 */

import { nowMs } from '../../core/clock.ts'
import type { ThreadHolder, ThreadWait } from '../../core/report.ts'
import { recovererOf } from './abandoned.ts'
import { DEAD_SLOT, FREE_SLOT, TASK_SLOT } from './layout.ts'
import { kindOf, labelOf, leaderOf, parentOf } from './owners.ts'
import { stackOf, waitingMode, waitingSince, waitsForOf } from './published-wait.ts'
import { readersOf } from './readers.ts'
import { addressOf, numberOf, ownerIn, type Table } from './table.ts'

/** At most this many holders are described. */
const MAX_DESCRIBED = 10
/** A chain of holders that wait themselves is followed to this depth. */
const MAX_DEPTH = 5

/** The holder that a waiter's last check found, and since when every check has found it. */
export interface Seen {
  readonly id: number
  readonly sinceMs: number
}

/**
 * The owners that block a waiter: the lock's owner. If there is none, or it is the waiter (a pending writer):
 * the lock's readers.
 */
export function holdersOf(table: Table, lock: number, waiter: number): number[] {
  const holder = ownerIn(Atomics.load(table.words, addressOf(table, lock) >> 2))
  // A pending writer waits for the readers.
  const holders = holder === 0 || holder === waiter ? readersOf(table, lock) : [holder]
  return [...holders].filter((id) => id !== waiter)
}

/** Describes owners that block a waiter, and what they wait for themselves. */
export function describeHolders(
  table: Table,
  lock: number | undefined,
  ids: readonly number[],
  seen?: Seen,
  waiter?: number,
): ThreadHolder[] {
  // No reader enters after a pending writer: the readers that it waits for were there before.
  const seenAs =
    seen && seen.id === waiter ? ids.map((id) => ({ ...seen, id })) : seen ? [seen] : []
  return new Description(table, seenAs).holders(lock, ids)
}

/** How many owners wait for a lock. */
export function waitersOf(table: Table, lock: number): number {
  const address = addressOf(table, lock)
  let waiters = 0
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== FREE_SLOT && waitsForOf(table, id) === address) waiters++
  }
  return waiters
}

/** A description of a chain of holders, each owner once. */
class Description {
  readonly #table: Table
  readonly #seen: readonly Seen[]
  readonly #at = nowMs()
  readonly #described = new Set<number>()

  constructor(table: Table, seen: readonly Seen[]) {
    this.#table = table
    this.#seen = seen
  }

  holders(lock: number | undefined, ids: readonly number[], depth = 0): ThreadHolder[] {
    const described = ids.slice(0, MAX_DESCRIBED)
    for (const id of described) this.#described.add(id)
    return described.map((id) => this.#holder(lock, id, depth))
  }

  #holder(lock: number | undefined, id: number, depth: number): ThreadHolder {
    const table = this.#table
    const recoverer = kindOf(table, id) === DEAD_SLOT ? recovererOf(table, id) : 0
    if (recoverer !== 0 && !this.#described.has(recoverer)) {
      this.#described.add(recoverer)
      return { ...this.#holder(undefined, recoverer, depth), repairs: labelOf(table, id) }
    }
    const isShared = lock !== undefined && [...readersOf(table, lock)].includes(id)
    const waits = this.#waitOf(id, depth)
    const holding = this.#holding(lock, id, waits)
    return {
      label: labelOf(table, id),
      thread: leaderOf(table, id),
      mode: isShared ? 'shared' : 'exclusive',
      isSeen: false,
      ...holding,
      waits: waits ?? null,
    }
  }

  /** Since when an owner has held a lock, and where it requested it, as far as that is known. */
  #holding(
    lock: number | undefined,
    id: number,
    waits: ThreadWait | undefined,
  ): Partial<Pick<ThreadHolder, 'heldMs' | 'isSeen' | 'heldAt'>> {
    const table = this.#table
    if (lock === undefined) return {}
    if (kindOf(table, id) === TASK_SLOT && waitsForOf(table, id) === 0) {
      const stack = stackOf(table, id)
      const since = waitingSince(table, id)
      // 0 between getting its locks and publishing the time.
      return {
        ...(since > 0 && { heldMs: this.#since(since) }),
        ...(stack !== '' && { heldAt: stack }),
      }
    }
    const seen = this.#seen.find((each) => each.id === id)
    const seenMs = seen ? this.#since(seen.sinceMs) : 0
    // An owner that waits releases nothing.
    const heldMs = Math.max(seenMs, waits?.waitedMs ?? 0)
    return heldMs >= 1 ? { heldMs, isSeen: true } : {}
  }

  #waitOf(id: number, depth: number): ThreadWait | undefined {
    const table = this.#table
    const found = waitFor(table, id)
    if (found === undefined) return undefined
    const { waiting, waiter } = found
    const word = waitsForOf(table, waiting)
    if (word === 0) return undefined
    const lock = numberOf(table, word)
    const stack = stackOf(table, waiting)
    const blockers = holdersOf(table, lock, waiting).filter((each) => !this.#described.has(each))
    return {
      waiter,
      waitsFor: { name: lock, mode: waitingMode(table, waiting), units: 1 },
      waitedMs: this.#since(waitingSince(table, waiting)),
      ...(stack !== '' && { waitsAt: stack }),
      holders: depth < MAX_DEPTH ? this.holders(lock, blockers, depth + 1) : [],
    }
  }

  #since(ms: number): number {
    return Math.max(0, this.#at - ms)
  }
}

/** The wait that blocks an owner: its own, its thread's, or that of an asynchronous holding nested in it. */
function waitFor(
  table: Table,
  id: number,
): { readonly waiting: number; readonly waiter: ThreadWait['waiter'] } | undefined {
  if (waitsForOf(table, id) !== 0) return { waiting: id, waiter: 'itself' }
  const isTask = kindOf(table, id) === TASK_SLOT
  if (isTask && waitsForOf(table, leaderOf(table, id)) !== 0) {
    return { waiting: leaderOf(table, id), waiter: 'its thread' }
  }
  for (let child = 1; child <= table.layout.owners; child++) {
    if (kindOf(table, child) !== TASK_SLOT || waitsForOf(table, child) === 0) continue
    if (parentOf(table, child) === id) return { waiting: child, waiter: 'inside' }
  }
  return undefined
}
