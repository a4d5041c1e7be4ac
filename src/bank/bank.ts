/**
 * The bank: accounts in shared memory, transfers under a strategy, audits. It uses locks as a user would.
 *
 * The checks of a transfer stand here, and not in a file of their own: a name that is imported costs
 * bytecode in the hot loop (test/bank/inlining.test.ts).
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

/** The data with which another thread opens a bank: send it as `workerData`. */
export interface BankHandle {
  readonly locks: SharedLocksHandle
  readonly strategy: StrategyName
  readonly repairs: boolean
}

/** A bank, as one thread sees it. */
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
   * Opens the doors of a new bank.
   *
   * @throws LockUsageError for an unknown strategy, fewer than two accounts, a balance that is no whole
   *   number from 0, a total past the safe integers, and any other option out of its range.
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

  /** Opens the bank in this thread: once in each. */
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

  /** How many accounts there are: they are numbered from 0. */
  get count(): number {
    return this.#count
  }

  /** How often this thread slept because a lock was busy. */
  get sleeps(): number {
    return this.#locks.sleeps
  }

  /** How many transfers of dead tellers this thread found half done, and undid. */
  get undone(): number {
    return this.#undone
  }

  /** Whether transfers give up their time slice between debit and credit, to make faults visible. */
  set slowly(slowly: boolean) {
    this.#move = slowly ? moveSlowly : this.#repairs ? moveNoted : move
  }

  /**
   * Moves `amount` minor units from one account to another: true when done, false when refused because
   * the payer has less. The balance is checked inside the locks.
   *
   * @throws LockUsageError for an account that does not exist, payer and payee the same, or an amount
   *   that is no whole number from 0 to 2^53 - 1.
   * @throws DeadlockError under `unordered`; nothing has moved then.
   * @throws OwnerDiedError if a thread ended while it held one of the accounts, and the bank repairs
   *   nothing.
   */
  transfer(from: number, to: number, amount: number): boolean {
    // Every byte of bytecode here and in what it calls counts: test/bank/inlining.test.ts.
    mustBeTransfer(from, to, amount, this.#count)
    const payer = from + 1
    const payee = to + 1
    if (!this.#lowerFirst) return this.#transferStepwise(payer, payee, amount)
    return this.#locks.holdPair(payer, payee, this.#move, this.#accounts, payer, payee, amount)
  }

  /** The sum of all balances at one moment, in minor units: by the locks, or under `unlocked` as it comes. */
  audit({ gently = false }: AuditOptions = {}): number {
    const pace = gently ? this.#pace : undefined
    return audit(this.#auditing, this.#locks, this.#accounts, this.#count, pace)
  }

  /** All balances, as they stand: for when no thread transfers. */
  balances(): Float64Array {
    const balances = new Float64Array(this.#count)
    for (let i = 0; i < this.#count; i++) balances[i] = balanceOf(this.#accounts, i + 1)
    return balances
  }

  /** Sets all balances: for when no thread transfers. */
  reset(balances: ArrayLike<number>): void {
    for (let i = 0; i < this.#count; i++) setBalance(this.#accounts, i + 1, balances[i] as number)
  }

  /** Gives this thread's place at the bank back; the object cannot be used after it. */
  close(): void {
    this.#locks.close()
  }

  /** The transfer of the strategies that take one lock after the other, or none; and of traced ones. */
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

  /** Makes consistent what a dead teller left: undoes its transfer, and ends its audit. */
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

/** The error for a transfer that {@link mustBeTransfer} refuses. */
function badTransfer(from: unknown, to: unknown, amount: unknown, count: number): LockUsageError {
  for (const account of [from, to]) {
    if (Number.isInteger(account) && (account as number) >= 0 && (account as number) < count)
      continue
    return new LockUsageError(
      `there is no account ${String(account)}: accounts are numbered from 0 to ${count - 1}`,
    )
  }
  if (from === to) return new LockUsageError(`a transfer from account ${from} to itself`)
  return new LockUsageError(
    `a transfer must be a whole number of minor units from 0 to ${Number.MAX_SAFE_INTEGER}, ` +
      `not ${String(amount)}`,
  )
}
