/** The options of a bank and of its runs; check-options.ts refuses those out of range. */

import type { StrategyName } from './strategies.ts'
import type { Orders } from './workload.ts'

/** The options of a new bank. */
export interface BankOptions {
  /** The opening balance of each account, in whole minor units (cents): safe integers from 0. */
  readonly balances: ArrayLike<number>
  /** The strategy by which transfers take locks. */
  readonly strategy: StrategyName
  /** The number of locks, for `striped`. Default 64, or the number of accounts if that is less. */
  readonly stripes?: number
  /** The number of threads that can have the bank open at once. Default 128. */
  readonly tellers?: number
  /**
   * Records every transfer before it changes a balance. If a thread ends in the middle of one, the next
   * thread that takes its locks undoes the half-done transfer. Transfers are somewhat slower. Default false:
   * a thread that takes those locks gets `OwnerDiedError`.
   */
  readonly repairs?: boolean
}

/** Options for opening a bank in a thread. */
export interface OpenBankOptions {
  /** The name of this thread in deadlock reports. */
  readonly label?: string
  /** Called whenever a transfer has taken a lock: whether its first or second, and the lock's number. */
  readonly onTake?: (position: 1 | 2, lock: number) => void
}

/** Options of an audit. */
export interface AuditOptions {
  /**
   * Rests four times as long as the audit works, after every 1,024 accounts; if all locks are taken at once,
   * after the audit. For threads that audit all the time. Needs a thread that may sleep. Default false: full
   * speed.
   */
  readonly gently?: boolean
}

/** The options of one run of the bank. */
export interface RunOptions {
  readonly strategy: StrategyName
  /** Opening balances in minor units, one for each of at least 2 accounts: safe integers from 0. */
  readonly balances: ArrayLike<number>
  /**
   * The number of tellers (worker threads): at least 1, and together with `auditors` at most 1,000. For
   * `runBankOnTasks`, the number of tasks: 1 to 1,000,000.
   */
  readonly threads: number
  /**
   * Draws this many transfers (0 to 2^31 - 1) for each teller from a seed (0 to 2^32 - 1). The same seed
   * gives the same transfers. Give either this or `orders`.
   */
  readonly generate?: { readonly seed: number; readonly transfers: number }
  /**
   * Orders that all tellers share; each is carried out once. For worker threads they must be in shared
   * memory, as `allocateOrders` makes them. They are checked before the run begins.
   */
  readonly orders?: Orders
  /** The number of its own transfers after which each teller audits. Default 0: never. */
  readonly auditEvery?: number
  /** The number of further threads, which audit repeatedly while the tellers transfer. Default 0. */
  readonly auditors?: number
  /** Whether the auditors audit gently: see `AuditOptions`. Default false. */
  readonly gently?: boolean
  /**
   * The number of locks, for `striped`, at most one for each account. Default 64, or the number of accounts.
   */
  readonly stripes?: number
  /** Records transfers so that a half-done one can be undone: see `BankOptions`. Default false. */
  readonly repairs?: boolean
  /** Whether a deadlock ends the run (default), or its victim tries again. */
  readonly onDeadlock?: 'stop' | 'retry'
  /**
   * The number of transfers at the beginning in which each teller gives up its time slice between debit and
   * credit, so that faults of unsafe strategies show at once. Default 0.
   */
  readonly slowTransfers?: number
  /**
   * The number of each teller's transfers before the clock starts; then the balances are set again. Default
   * 0.
   */
  readonly warmup?: number
  /** Records which teller takes which lock. Default false. It is slow. */
  readonly trace?: boolean
  /** The name of an account in deadlock reports. Default `account N`. */
  readonly accountName?: (account: number) => string
  /** Called about ten times a second with the number of finished transfers. */
  readonly onProgress?: (done: number) => void
  /** Ends the run early; the result covers the work until then. */
  readonly signal?: AbortSignal
}

/**
 * The options of one run of the bank on tasks; `threads` is the number of tasks. Options for worker threads
 * are left out.
 */
export type TaskRunOptions = Omit<RunOptions, ThreadOption>

/** An option of worker threads only. */
export type ThreadOption = 'auditors' | 'gently' | 'repairs' | 'slowTransfers' | 'warmup'
