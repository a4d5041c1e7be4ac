/** Checks the workload of a run: its balances, and its seed or its orders. */

import { LockUsageError } from '../index.ts'
import { isWhole, mustBeAmount, mustBeWhole, type Options, refused } from './check-values.ts'
import type { Orders } from './workload.ts'

/** The maximum number of transfers: a run counts each teller's transfers in 32 bits. */
export const MAX_TRANSFERS: number = 2 ** 31 - 1
const MAX_SEED = 2 ** 32 - 1

/** Checks the opening balances, and returns a copy. */
export function checkBalances(balances: unknown): Float64Array {
  if (typeof balances !== 'object' || balances === null) {
    throw refused('balances', 'an array of whole numbers', balances)
  }
  const list = balances as ArrayLike<unknown>
  const { length } = list
  if (!isWhole(length, 0, Number.MAX_SAFE_INTEGER)) {
    throw refused('balances', 'an array of whole numbers', balances)
  }
  if (length < 2) throw new LockUsageError(`a bank needs at least 2 accounts, not ${length}`)
  let total = 0
  for (let account = 0; account < length; account++) {
    const balance = list[account]
    mustBeAmount(`the opening balance of account ${account}`, balance)
    total += balance
  }
  mustBeAmount('the total of the opening balances', total)
  return Float64Array.from(list as ArrayLike<number>)
}

/** Checks the seed and the number of transfers to draw from it. */
export function checkGenerate(generate: unknown): {
  readonly seed: number
  readonly transfers: number
} {
  if (typeof generate !== 'object' || generate === null) {
    throw refused('generate', 'an object { seed, transfers }', generate)
  }
  const { seed, transfers } = generate as Options
  mustBeWhole('generate.seed', seed, 0, MAX_SEED)
  mustBeWhole('generate.transfers', transfers, 0, MAX_TRANSFERS)
  return { seed, transfers }
}

/** Checks the orders. Returns the same arrays, because the outcomes are written there. */
export function checkOrders(orders: unknown, accounts: number, onTasks: boolean): Orders {
  if (typeof orders !== 'object' || orders === null) {
    throw refused('orders', 'an object that allocateOrders(count) made', orders)
  }
  const { from, to, amounts, outcomes } = orders as Partial<Orders>
  const isTyped =
    from instanceof Int32Array &&
    to instanceof Int32Array &&
    amounts instanceof Float64Array &&
    outcomes instanceof Uint8Array
  if (!isTyped || new Set([from, to, amounts, outcomes].map(({ length }) => length)).size > 1) {
    throw new LockUsageError(
      'orders must have four arrays of one length: make them with allocateOrders(count)',
    )
  }
  if (!onTasks && ![from, to, amounts, outcomes].every(isShared)) {
    throw new LockUsageError(
      'orders must be in shared memory, which all threads see: make them with allocateOrders(count)',
    )
  }
  for (let i = 0; i < from.length; i++) {
    const [payer, payee] = [from[i] as number, to[i] as number]
    mustBeWhole(`orders.from[${i}]`, payer, 0, accounts - 1)
    mustBeWhole(`orders.to[${i}]`, payee, 0, accounts - 1)
    if (payer === payee) throw refused(`orders.to[${i}]`, 'another account than the payer', payee)
    mustBeAmount(`orders.amounts[${i}]`, amounts[i])
  }
  return { from, to, amounts, outcomes }
}

function isShared({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer
}
