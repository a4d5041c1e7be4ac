/**
 * The locks of a bank on tasks: the names that a transfer and an audit request.
 *
 * An audit takes all accounts in one request. If there are too many, transfers hold the whole bank shared,
 * and the audit holds it exclusively.
 */

import { LockManager, shared, type WantedLock } from '../index.ts'
import type { CheckedRun } from './check-options.ts'
import { lockName } from './result.ts'
import { strategyNamed } from './strategies.ts'

/** The maximum number of locks in one request. */
const MAX_LOCKS = 1024
/** The name of the lock for all accounts. */
const WHOLE = 'bank'

/** The lock manager of one run, and the names in it. */
export class TaskLocks {
  readonly manager: LockManager
  /** The names that an audit requests. */
  readonly all: readonly string[]
  readonly #options: CheckedRun
  /** The locks that a transfer holds besides its accounts. */
  readonly #beside: readonly WantedLock<string>[]

  constructor(options: CheckedRun) {
    this.#options = options
    // Nested requests can deadlock, and the report must then have every call site.
    const callSites =
      strategyNamed(options.strategy).taking === 'payer first' ? 'always' : 'sampled'
    this.manager = new LockManager({ deadlockAfterMs: 0, trackOrder: false, callSites })
    const numbers = new Set(Array.from(options.balances, (_, account) => this.numberOf(account)))
    const isTooMany = numbers.size > MAX_LOCKS
    this.#beside = isTooMany ? [shared(WHOLE)] : []
    this.all = isTooMany ? [WHOLE] : [...numbers].map(nameOf)
  }

  /** Returns the number of an account's lock, as traces have it: 0 is the one for all. */
  numberOf(account: number): number {
    const { strategy, stripes } = this.#options
    if (strategy === 'global') return 0
    if (strategy === 'striped') return account % stripes
    return account + 1
  }

  /** Returns the locks that a transfer requests, given the numbers of its accounts' locks. */
  wanted(numbers: readonly number[]): (string | WantedLock<string>)[] {
    return [...this.#beside, ...numbers.map(nameOf)]
  }

  /** Returns a lock's name in a report. */
  labelOf(name: string): string {
    if (name === WHOLE) return 'the whole bank'
    const { strategy, accountName } = this.#options
    return lockName(strategy, Number(name.slice(8)), accountName)
  }
}

/** Returns the name of the lock with a number. */
export function nameOf(lock: number): string {
  return `account:${lock}`
}
