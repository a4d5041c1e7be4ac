/** The workload of the bank, from options and files, and the orders that a run refused. */

import {
  LECTURE_BALANCES,
  LECTURE_TRANSFERS,
  lectureBalances,
  REFUSED,
  type RunResult,
} from '../bank/index.ts'
import { type AccountsFile, type OrdersFile, readAccounts, readOrders } from './csv-input.ts'
import { InputError } from './errors.ts'

/** The default number of orders after which each thread audits, with files. */
export const AUDIT_FILES_EVERY = 1000

/** The input of all runs. */
export interface Workload {
  readonly on: 'threads' | 'tasks'
  readonly threads: number
  readonly auditEvery: number
  readonly seed: number
  readonly balances: readonly number[]
  /** The number of transfers in a whole run. */
  readonly transfers: number
  readonly files?: { readonly accounts: AccountsFile; readonly orders: OrdersFile } & FileNames
}

interface FileNames {
  readonly accountsFile: string
  readonly transfersFile: string
}

/** The result of one run, with its refused orders. */
export interface FinishedRun extends RunResult {
  readonly refusedOrders: readonly RefusedOrder[]
}

/** An order that was not carried out. */
export interface RefusedOrder {
  readonly line: number
  readonly id: string
  readonly from: string
  readonly to: string
  /** In cents. */
  readonly amount: number
  readonly reason: string
}

/** The options that select the work. */
export interface WorkloadFlags {
  readonly on: 'threads' | 'tasks'
  readonly threads: number
  readonly seed?: number
  readonly accounts?: number
  readonly transfers?: number
  readonly auditEvery?: number
  readonly accountsFile?: string
  readonly transfersFile?: string
}

/** Reads the workload from options. Reads and checks files completely. */
export function readWorkload(flags: WorkloadFlags): Workload {
  const { accountsFile, transfersFile, on, threads, seed = 1 } = flags
  if (accountsFile === undefined && transfersFile === undefined) {
    const transfers = flags.transfers ?? LECTURE_TRANSFERS
    return {
      on,
      threads,
      seed,
      auditEvery: flags.auditEvery ?? 1,
      balances: lectureBalances(flags.accounts ?? LECTURE_BALANCES.length),
      transfers: transfers * threads,
    }
  }
  if (accountsFile === undefined || transfersFile === undefined) {
    throw new InputError('--accounts-file and --transfers-file belong together: expected both')
  }
  for (const option of ['accounts', 'transfers', 'seed'] as const) {
    if (flags[option] === undefined) continue
    throw new InputError(
      `--${option} cannot be combined with --accounts-file and --transfers-file: leave it out`,
    )
  }
  const accounts = readAccounts(accountsFile)
  const orders = readOrders(transfersFile, accounts.names)
  return {
    on,
    threads,
    seed,
    auditEvery: flags.auditEvery ?? AUDIT_FILES_EVERY,
    balances: accounts.balances,
    transfers: orders.ids.length,
    files: { accounts, orders, accountsFile, transfersFile },
  }
}

/** Returns the orders that the most recent run refused. */
export function refusedOf({ files }: Workload): RefusedOrder[] {
  if (!files) return []
  const { accounts, orders } = files
  const { from, to, amounts, outcomes } = orders.orders
  const refused: RefusedOrder[] = []
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome !== REFUSED) continue
    refused.push({
      line: orders.lines[i] as number,
      id: orders.ids[i] as string,
      from: accounts.names[from[i] as number] as string,
      to: accounts.names[to[i] as number] as string,
      amount: amounts[i] as number,
      reason: 'the balance is too small',
    })
  }
  return refused
}
