/** What is measured: which bank, how large, how often. One list for the benchmarks and their small size. */

/** One situation that all programs are put into. */
export interface Cell {
  readonly threads: number
  readonly accounts: number
  /** Each thread audits after this many transfers of its own; 0: never. */
  readonly auditEvery: number
  /** Transfers of all threads together. */
  readonly transfers: number
  /** Transfers of each thread before the clock starts. */
  readonly warmup: number
}

/** How much to measure. */
export interface Size {
  /** How often each program runs in each cell, in turn with the others. */
  readonly rounds: number
  /** Divides every number of transfers. */
  readonly divisor: number
}

export const FULL: Size = { rounds: 7, divisor: 1 }
export const SMALL: Size = { rounds: 1, divisor: 400 }

const THREADS = [1, 2, 6]
const ACCOUNTS = [6, 1024, 65_536]
const TRANSFERS = 12_000_000
const WARMUP = 600_000

/** The nine cells, without or with audits. */
export function cells(audits: boolean, { divisor }: Size): Cell[] {
  return THREADS.flatMap((threads) =>
    ACCOUNTS.map((accounts) => ({
      threads,
      accounts,
      // An audit takes as long as some thousand transfers where there are 65,536 accounts.
      auditEvery: audits ? (accounts > 10_000 ? 50_000 : 1000) : 0,
      transfers: Math.ceil(TRANSFERS / divisor / threads) * threads,
      warmup: Math.ceil(WARMUP / divisor),
    })),
  )
}

/** The lecture: five threads, six accounts, 10,000 transfers each, an audit after every one. */
export const LECTURE: Cell = {
  threads: 5,
  accounts: 6,
  auditEvery: 1,
  transfers: 50_000,
  warmup: 0,
}
