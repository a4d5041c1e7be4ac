/** The options of a bank and of its runs; check-options.ts refuses those out of range. */

import type { StrategyName } from './strategies.ts'
import type { Orders } from './workload.ts'

/** The options of a new bank. */
export interface BankOptions {
  /** The opening balance of each account, in whole minor units (cents): safe integers from 0. */
  readonly balances: ArrayLike<number>
  /** How transfers take locks. */
  readonly strategy: StrategyName
  /** For `striped`: how many locks. Default 64, or as many as there are accounts. */
  readonly stripes?: number
  /** How many threads can have the bank open at once. Default 128. */
  readonly tellers?: number
  /**
   * Note every transfer before it changes a balance: when a thread ends in the middle of one, the next
   * thread to meet its locks undoes the half. It costs some of the speed. Default false: then a thread
   * that meets them gets `OwnerDiedError`.
   */
  readonly repairs?: boolean
}

/** How a thread opens a bank. */
export interface OpenBankOptions {
  /** The name of this thread in deadlock reports. */
  readonly label?: string
  /** Called whenever a transfer has taken a lock: its first or second, and the lock's number. */
  readonly onTake?: (position: 1 | 2, lock: number) => void
}

/** How an audit treats the transfers beside it. */
export interface AuditOptions {
  /**
   * Rest four times as long as the audit works, after every 1,024 accounts (where all locks are taken
   * at once, after the audit). For threads that audit all the time; needs a thread that may sleep.
   * Default false: as fast as it can be.
   */
  readonly gently?: boolean
}

/** One run of the bank. */
export interface RunOptions {
  readonly strategy: StrategyName
  /** Opening balances in minor units, one for each of at least 2 accounts: safe integers from 0. */
  readonly balances: ArrayLike<number>
  /**
   * How many tellers (worker threads): from 1, and together with `auditors` at most 1,000. For
   * `runBankOnTasks`, how many tasks: 1 to 1,000,000.
   */
  readonly threads: number
  /**
   * Transfers drawn from a seed (0 to 2^32 - 1), this many (0 to 2^31 - 1) for each teller: the same
   * seed gives the same transfers. Give either this or `orders`.
   */
  readonly generate?: { readonly seed: number; readonly transfers: number }
  /**
   * Or orders that all tellers share; each is carried out once. For worker threads they lie in shared
   * memory, as `allocateOrders` makes them. They are checked before the run begins.
   */
  readonly orders?: Orders
  /** Each teller audits after every so many transfers of its own. Default 0: never. */
  readonly auditEvery?: number
  /** Threads beside the tellers that audit again and again while they transfer. Default 0. */
  readonly auditors?: number
  /** The auditors audit gently: see `AuditOptions`. Default false. */
  readonly gently?: boolean
  /** For `striped`: how many locks. Default 64, or as many as there are accounts, which is the most. */
  readonly stripes?: number
  /** Transfers are noted so that half of one can be undone: see `BankOptions`. Default false. */
  readonly repairs?: boolean
  /** After a deadlock: end the run (default), or let the victim try again. */
  readonly onDeadlock?: 'stop' | 'retry'
  /**
   * Each teller gives up its time slice between debit and credit in this many transfers at the
   * beginning, so that the faults of unsafe strategies are seen at once. Default 0.
   */
  readonly slowTransfers?: number
  /** Transfers of each teller before the clock starts; the balances are set again after them. Default 0. */
  readonly warmup?: number
  /** Note which teller takes which lock. Default false; it is slow. */
  readonly trace?: boolean
  /** The name of an account in deadlock reports. Default `account N`. */
  readonly accountName?: (account: number) => string
  /** Called some ten times a second with how many transfers are done. */
  readonly onProgress?: (done: number) => void
  /** Ends the run early; what was done until then is in the result. */
  readonly signal?: AbortSignal
}

/**
 * One run of the bank on tasks: `threads` says how many tasks. The options left out of it are for
 * worker threads.
 */
export type TaskRunOptions = Omit<RunOptions, ThreadOption>

/** An option of worker threads only. */
export type ThreadOption = 'auditors' | 'gently' | 'repairs' | 'slowTransfers' | 'warmup'
