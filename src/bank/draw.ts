/**
 * Draws transfers from a seed.
 *
 * Source    George Marsaglia's xorshift32 ("Xorshift RNGs", 2003). MurmurHash3's finaliser mixes its first
 *           state from seed and thread.
 * Steps     Each transfer takes three states: payer, payee among the other accounts, amount. A number below
 *           `n` is the high half of `state * n`.
 * Invariant One seed and one thread always give the same transfers. bench/native has the same arithmetic, so
 *           that every language makes the same transfers.
 * Cost      The loop in `each` is the hot loop of a teller. Drawing the transfers into arrays beforehand was
 *           a sixth slower. V8 must inline the whole transfer there (test/bank/inlining.test.ts), so all
 *           Draws of one thread must use carriers of one class.
 */

/** Carries out transfers; `transfer` returns false for one that it refuses. */
export interface Carrier {
  transfer(from: number, to: number, amount: number): boolean
}

/** The largest amount of one transfer, in minor units. */
const MAX_AMOUNT = 100

/** The transfers of one thread, or of one task. */
export class Draw {
  #state: number
  readonly #anyAccount: number
  readonly #anyOther: number

  constructor(accounts: number, seed: number, thread: number) {
    this.#state = firstState(seed, thread)
    this.#anyAccount = scaleFor(accounts)
    this.#anyOther = scaleFor(accounts - 1)
  }

  /** Draws the next `count` transfers and gives each to `carrier`. Returns the number that it refused. */
  each(count: number, carrier: Carrier): number {
    // Local variables, because a field would be written in each iteration.
    const anyAccount = this.#anyAccount
    const anyOther = this.#anyOther
    const anyAmount = scaleFor(MAX_AMOUNT)
    let state = this.#state | 0
    let refused = 0
    for (let i = 0; i < count; i++) {
      state = nextState(state)
      const from = below(state, anyAccount)
      state = nextState(state)
      let to = below(state, anyOther)
      // Skips `from`: adds one unless `to` is below it, without a branch.
      to += 1 + ((to - from) >> 31)
      state = nextState(state)
      refused += carrier.transfer(from, to, 1 + below(state, anyAmount)) ? 0 : 1
    }
    this.#state = state
    return refused
  }
}

/** Returns the generator's first state for one thread: never 0. */
function firstState(seed: number, thread: number): number {
  let state = (seed + Math.imul(thread + 1, 0x9e3779b9)) | 0
  state ^= state >>> 16
  state = Math.imul(state, 0x85ebca6b)
  state ^= state >>> 13
  state = Math.imul(state, 0xc2b2ae35)
  state ^= state >>> 16
  return state || 1
}

/** Returns the state after `state`. */
function nextState(state: number): number {
  let next = state
  next ^= next << 13
  next ^= next >>> 17
  next ^= next << 5
  return next
}

/** Returns the scale with which {@link below} gives numbers from 0 to `n - 1`. */
function scaleFor(n: number): number {
  return n * 2 ** -32
}

/** Maps a state to a number, by a scale from {@link scaleFor}. */
function below(state: number, scale: number): number {
  return ((state >>> 0) * scale) | 0
}
