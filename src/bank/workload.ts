/** The input of a run: the lecture's numbers, and orders that all tellers share. */

/** The lecture's opening balances, in whole units. */
export const LECTURE_BALANCES: readonly number[] = [5000, 10000, 7500, 7000, 6000, 9000]
/** The lecture's number of threads, and of transfers for each thread. */
export const LECTURE_THREADS = 5
export const LECTURE_TRANSFERS = 10_000

/** Returns opening balances for any number of accounts: the lecture's, repeated. */
export function lectureBalances(accounts: number): number[] {
  return Array.from({ length: accounts }, (_, i) => LECTURE_BALANCES[i % 6] as number)
}

/** Orders in shared memory; exactly one teller carries out each. */
export interface Orders {
  /** Account numbers, from 0. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** The amounts, in minor units. */
  readonly amounts: Float64Array
  /** The outcome of each: {@link PENDING}, {@link DONE} or {@link REFUSED}. */
  readonly outcomes: Uint8Array
}

export const PENDING = 0
export const DONE = 1
export const REFUSED = 2

/** Allocates `count` orders in shared memory, all pending. */
export function allocateOrders(count: number): Orders {
  return {
    from: new Int32Array(new SharedArrayBuffer(4 * count)),
    to: new Int32Array(new SharedArrayBuffer(4 * count)),
    amounts: new Float64Array(new SharedArrayBuffer(8 * count)),
    outcomes: new Uint8Array(new SharedArrayBuffer(count)),
  }
}
