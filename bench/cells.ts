/** The cells that are measured: which bank, how large, how often. One list for the benchmarks and their small size. */

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
  /** Divides every number of transfers, of deadlocks and the like. */
  readonly divisor: number
  /** Only the first and the last of a question's cells. */
  readonly fewCells: boolean
}

export const FULL: Size = { rounds: 7, divisor: 1, fewCells: false }
export const SMALL: Size = { rounds: 1, divisor: 400, fewCells: true }

const THREADS = [1, 2, 6]
export const ACCOUNTS: readonly number[] = [6, 1024, 65_536]
const TRANSFERS = 36_000_000
/** Beside audits transfers are slower. */
const TRANSFERS_WITH_AUDITS = TRANSFERS / 2
const WARMUP = 600_000

/** The nine cells, without or with audits. */
export function cells(audits: boolean, size: Size): Cell[] {
  const all = THREADS.flatMap((threads) =>
    ACCOUNTS.map((accounts) => ({
      threads,
      accounts,
      // An audit takes as long as some thousand transfers where there are 65,536 accounts.
      auditEvery: audits ? (accounts > 10_000 ? 50_000 : 1000) : 0,
      transfers: divided(audits ? TRANSFERS_WITH_AUDITS : TRANSFERS, size, threads),
      warmup: divided(WARMUP, size),
    })),
  )
  return some(all, size)
}

/** The lecture: five threads, six accounts, 10,000 transfers each, an audit after every one. */
export function lectureCell(size: Size, warmup = 0): Cell {
  const transfers = size.fewCells ? 1000 : 50_000
  return { threads: 5, accounts: 6, auditEvery: 1, transfers, warmup: divided(warmup, size) }
}

/** A number made smaller by the size, and a multiple of `of`. */
export function divided(number: number, { divisor }: Size, of = 1): number {
  return Math.ceil(number / divisor / of) * of
}

/** All of a list, or its first and last where the size says so. */
export function some<Item>(list: readonly Item[], size: Size): Item[] {
  return list.filter((_, i) => !size.fewCells || i === 0 || i === list.length - 1)
}
