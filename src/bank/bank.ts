/**
 * The bank: accounts in shared memory, transfers under a strategy, audits. It uses only the public lock API.
 *
 * The checks of a transfer are in this file, because each imported name costs bytecode in the hot loop
 * (test/bank/inlining.test.ts).
 */

import {
  type AbandonedLocks,
  type OpenOptions,
  SharedLocks,
  type SharedLocksHandle,
  type SharedLocksOptions,
} from '../backends/threads/index.ts'
import { LockUsageError } from '../index.ts'
import {
  type Accounts,
  accountsOf,
  balanceOf,
  endAudit,
  move,
  moveNoted,
  moveSlowly,
  RECORD_BYTES,
  setBalance,
  undo,
} from './accounts.ts'
import { audit } from './audit.ts'
import { checkBank } from './check-options.ts'
import type { AuditOptions, BankOptions, OpenBankOptions } from './options.ts'
import { Pace } from './rest.ts'
import { type Auditing, type Strategy, type StrategyName, strategyNamed } from './strategies.ts'

/** The data for opening a bank in another thread: send it as `workerData`. */
export interface BankHandle {
  readonly locks: SharedLocksHandle
  readonly strategy: StrategyName
  readonly repairs: boolean
}

/** A bank, as seen by one thread. */
export class Bank {
  readonly #locks: SharedLocks
  readonly #accounts: Accounts
  readonly #strategy: Strategy
  readonly #count: number
  readonly #auditing: Auditing
  readonly #lowerFirst: boolean
  readonly #onTake: OpenBankOptions['onTake']
  readonly #repairs: boolean
  #move: typeof move
  readonly #pace = new Pace()
  #undone = 0

  private constructor(
    openTable: (options: OpenOptions) => SharedLocks,
    strategy: StrategyName,
    repairs: boolean,
    { label, onTake }: OpenBankOptions,
  ) {
    const locks = openTable({
      ...(label !== undefined && { label }),
      ...(repairs && { onOwnerDied: (abandoned) => this.#repair(abandoned) }),
    })
    this.#locks = locks
    this.#repairs = repairs
    this.#move = repairs ? moveNoted : move
    this.#accounts = accountsOf(locks)
    this.#strategy = strategyNamed(strategy)
    this.#auditing = this.#strategy.auditing(locks.lockCount)
    this.#count = locks.count - 1
    this.#onTake = onTake
    this.#lowerFirst = this.#strategy.taking === 'lower first' && onTake === undefined
  }

  /**
   * Creates a bank.
   *
   * @throws LockUsageError for an unknown strategy, fewer than two accounts, a balance that is not a whole
   * number from 0, a total beyond the safe integers, or any other option out of range.
   */
  static create(options: BankOptions): Bank {
    const { balances, strategy, stripes, tellers, repairs } = checkBank(options)
    const table: SharedLocksOptions = {
      count: balances.length + 1,
      recordBytes: RECORD_BYTES,
      ...strategyNamed(strategy).locks(stripes),
      ...(tellers === undefined ? {} : { owners: tellers }),
    }
    const openTable = (opening: OpenOptions): SharedLocks =>
      SharedLocks.create({ ...table, ...opening })
    const bank = new Bank(openTable, strategy, repairs, { label: 'bank' })
    bank.reset(balances)
    return bank
  }

  /** Opens the bank in this thread. Call it once in each thread. */
  static open({ locks, strategy, repairs }: BankHandle, options: OpenBankOptions = {}): Bank {
    return new Bank((opening) => SharedLocks.open(locks, opening), strategy, repairs, options)
  }

  /** The data to send to another thread. */
  get handle(): BankHandle {
    return {
      locks: this.#locks.handle,
      strategy: this.#strategy.name,
      repairs: this.#repairs,
    }
  }

  /** The number of accounts; they are numbered from 0. */
  get count(): number {
    return this.#count
  }

  /** The number of times that this thread slept because a lock was busy. */
  get sleeps(): number {
    return this.#locks.sleeps
  }

  /** The number of half-done transfers of dead tellers that this thread undid. */
  get undone(): number {
    return this.#undone
  }

  /** Makes transfers give up their time slice between debit and credit, so that faults become visible. */
  set slowly(slowly: boolean) {
    this.#move = slowly ? moveSlowly : this.#repairs ? moveNoted : move
  }

  /**
   * Moves `amount` minor units from one account to another. Returns false, and moves nothing, if the payer
   * has less. The balance is checked under the locks.
   *
   * @throws LockUsageError for an account that does not exist, the same payer and payee, or an amount that is
   *   not a whole number from 0 to 2^53 - 1.
   * @throws DeadlockError under `unordered`; nothing has moved then.
   * @throws OwnerDiedError if a thread ended while it held one of the accounts, and the bank does not repair.
   */
  transfer(from: number, to: number, amount: number): boolean {
    // Each byte of bytecode here and in the called functions counts: test/bank/inlining.test.ts.
    mustBeTransfer(from, to, amount, this.#count)
    const payer = from + 1
    const payee = to + 1
    if (!this.#lowerFirst) return this.#transferStepwise(payer, payee, amount)
    return this.#locks.holdPair(payer, payee, this.#move, this.#accounts, payer, payee, amount)
  }

  /** Returns the sum of all balances in minor units: at one moment, except under `unlocked`. */
  audit({ gently = false }: AuditOptions = {}): number {
    const pace = gently ? this.#pace : undefined
    return audit(this.#auditing, this.#locks, this.#accounts, this.#count, pace)
  }

  /** Returns all balances, without locks. Call it only while no thread transfers. */
  balances(): Float64Array {
    const balances = new Float64Array(this.#count)
    for (let i = 0; i < this.#count; i++) balances[i] = balanceOf(this.#accounts, i + 1)
    return balances
  }

  /** Sets all balances, without locks. Call it only while no thread transfers. */
  reset(balances: ArrayLike<number>): void {
    for (let i = 0; i < this.#count; i++) setBalance(this.#accounts, i + 1, balances[i] as number)
  }

  /** Releases this thread's owner number; the object cannot be used afterwards. */
  close(): void {
    this.#locks.close()
  }

  /** A transfer that takes its locks one by one, or takes none; also every traced transfer. */
  #transferStepwise(payer: number, payee: number, amount: number): boolean {
    const { taking } = this.#strategy
    if (taking === 'none') return this.#moveMoney(payer, payee, amount)
    const { lockCount } = this.#locks
    const swap = taking === 'lower first' && payee % lockCount < payer % lockCount
    const [first, second] = swap ? [payee, payer] : [payer, payee]
    this.#locks.lock(first)
    try {
      this.#onTake?.(1, first % lockCount)
      if (first % lockCount === second % lockCount) return this.#moveMoney(payer, payee, amount)
      this.#locks.lock(second)
      try {
        this.#onTake?.(2, second % lockCount)
        return this.#moveMoney(payer, payee, amount)
      } finally {
        this.#locks.unlock(second)
      }
    } finally {
      this.#locks.unlock(first)
    }
  }

  /** Repairs the locks of a dead teller: undoes its transfer, and ends its audit. */
  #repair({ locks }: AbandonedLocks): void {
    const { lockCount } = this.#locks
    for (let record = 1; record <= this.#count; record++) {
      if (locks.includes(record % lockCount) && undo(this.#accounts, record)) this.#undone++
    }
    if (this.#auditing === 'snapshot' && locks.includes(0)) endAudit(this.#accounts)
  }

  #moveMoney(payer: number, payee: number, amount: number): boolean {
    return this.#move(this.#accounts, payer, payee, amount)
  }
}

function mustBeTransfer(from: number, to: number, amount: number, count: number): void {
  if (
    from >>> 0 === from &&
    to >>> 0 === to &&
    from < count &&
    to < count &&
    from !== to &&
    Number.isSafeInteger(amount) &&
    amount >= 0
  ) {
    return
  }
  throw badTransfer(from, to, amount, count)
}

/** Makes the error for a transfer that {@link mustBeTransfer} refuses. */
function badTransfer(from: unknown, to: unknown, amount: unknown, count: number): LockUsageError {
  for (const account of [from, to]) {
    if (Number.isInteger(account) && (account as number) >= 0 && (account as number) < count)
      continue
    return new LockUsageError(
      `there is no account ${String(account)}: an account must be a whole number from 0 to ${count - 1}`,
    )
  }
  if (from === to) {
    return new LockUsageError(
      `a transfer from account ${from} to itself: the payee must be another account`,
    )
  }
  return new LockUsageError(
    `a transfer must be a whole number of minor units from 0 to ${Number.MAX_SAFE_INTEGER}, ` +
      `not ${String(amount)}`,
  )
}
