/**
 * The measured cells: which bank, its size, and how often. One list for the benchmarks and their small size.
 */

/** One situation in which all programs run. */
export interface Cell {
  readonly threads: number
  readonly accounts: number
  /** The number of its own transfers after which each thread audits; 0: never. */
  readonly auditEvery: number
  /** The number of transfers of all threads together. */
  readonly transfers: number
  /** The number of transfers of each thread before the clock starts. */
  readonly warmup: number
}

/** The amount of measurement. */
export interface Size {
  /** The number of times that each program runs in each cell, in turn with the others. */
  readonly rounds: number
  /** Divides every number of transfers, of deadlocks and so on. */
  readonly divisor: number
  /** Uses only the first and the last of a question's cells. */
  readonly fewCells: boolean
}

export const FULL: Size = { rounds: 7, divisor: 1, fewCells: false }
export const SMALL: Size = { rounds: 1, divisor: 400, fewCells: true }

const THREADS = [1, 2, 6]
export const ACCOUNTS: readonly number[] = [6, 1024, 65_536]
const TRANSFERS = 36_000_000
/** Fewer than without audits, because audits slow transfers down. */
const TRANSFERS_WITH_AUDITS = TRANSFERS / 2
const WARMUP = 600_000

/** Returns the nine cells, with or without audits. */
export function cells(audits: boolean, size: Size): Cell[] {
  const all = THREADS.flatMap((threads) =>
    ACCOUNTS.map((accounts) => ({
      threads,
      accounts,
      // With 65,536 accounts, an audit takes as long as some thousand transfers.
      auditEvery: audits ? (accounts > 10_000 ? 50_000 : 1000) : 0,
      transfers: divided(audits ? TRANSFERS_WITH_AUDITS : TRANSFERS, size, threads),
      warmup: divided(WARMUP, size),
    })),
  )
  return some(all, size)
}

/**
 * Returns the lecture's cell: five threads, six accounts, 10,000 transfers each, an audit after every
 * transfer.
 */
export function lectureCell(size: Size, warmup = 0): Cell {
  const transfers = size.fewCells ? 1000 : 50_000
  return { threads: 5, accounts: 6, auditEvery: 1, transfers, warmup: divided(warmup, size) }
}

/** Divides a number by the size's divisor, and rounds up to a multiple of `of`. */
export function divided(number: number, { divisor }: Size, of = 1): number {
  return Math.ceil(number / divisor / of) * of
}

/** Returns all of a list, or its first and last element if the size says so. */
export function some<Item>(list: readonly Item[], size: Size): Item[] {
  return list.filter((_, i) => !size.fewCells || i === 0 || i === list.length - 1)
}
