/**
 * What the tellers are to do: transfers drawn from a seed, or orders that they share.
 *
 * The generator is George Marsaglia's xorshift32 ("Xorshift RNGs", 2003), its state mixed from seed and
 * thread by the finaliser of MurmurHash3. A number below `n` is the high half of `draw * n`. The same
 * arithmetic stands in bench/native, so that every language makes the same transfers.
 */

/** The lecture's opening balances, in whole units. */
export const LECTURE_BALANCES: readonly number[] = [5000, 10000, 7500, 7000, 6000, 9000]
/** The lecture's threads, its transfers for each of them, and the largest amount of one. */
export const LECTURE_THREADS = 5
export const LECTURE_TRANSFERS = 10_000
export const LARGEST_AMOUNT = 100

/** Opening balances for any number of accounts: the lecture's, over and over. */
export function lectureBalances(accounts: number): number[] {
  return Array.from({ length: accounts }, (_, i) => LECTURE_BALANCES[i % 6] as number)
}

/** The generator's first state for one thread: never 0. */
export function firstState(seed: number, thread: number): number {
  let state = (seed + Math.imul(thread + 1, 0x9e3779b9)) | 0
  state ^= state >>> 16
  state = Math.imul(state, 0x85ebca6b)
  state ^= state >>> 13
  state = Math.imul(state, 0xc2b2ae35)
  state ^= state >>> 16
  return state || 1
}

/** The state after `state`; it is also the draw. */
export function nextState(state: number): number {
  let next = state
  next ^= next << 13
  next ^= next >>> 17
  next ^= next << 5
  return next
}

/** What to give {@link below} for numbers from 0 to `n - 1`. */
export function scaleFor(n: number): number {
  return n * 2 ** -32
}

/** The number that a draw stands for. */
export function below(state: number, scale: number): number {
  return ((state >>> 0) * scale) | 0
}

/** Orders in shared memory: each is carried out by exactly one teller. */
export interface Orders {
  /** Account numbers, from 0. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** Minor units. */
  readonly amounts: Float64Array
  /** What became of each: {@link PENDING}, {@link DONE} or {@link REFUSED}. */
  readonly outcomes: Uint8Array
}

export const PENDING = 0
export const DONE = 1
export const REFUSED = 2

/** Room for `count` orders in shared memory, all pending. */
export function allocateOrders(count: number): Orders {
  return {
    from: new Int32Array(new SharedArrayBuffer(4 * count)),
    to: new Int32Array(new SharedArrayBuffer(4 * count)),
    amounts: new Float64Array(new SharedArrayBuffer(8 * count)),
    outcomes: new Uint8Array(new SharedArrayBuffer(count)),
  }
}
