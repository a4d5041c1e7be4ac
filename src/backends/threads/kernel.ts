/**
 * The interface of the uncontended path: six functions, none of which ever waits.
 *
 * There are two implementations with the same behaviour: wasm-kernel.ts and atomics-kernel.ts. kernel.wat
 * describes what each function does, what it costs, and what its answers mean.
 */

/**
 * Answers of `lock` and `lock2`, besides 0 for success. REFUSED: the order forbids the request. BUSY: the
 * lock is busy; for `lock2`, the lower one.
 */
export const REFUSED = 1
export const BUSY = 2
/** Answer of `lock2`: it took the lower lock, but the higher one is busy. */
export const HIGH_BUSY = 3
/** Answer of `unlock` and `unlock2`: the lock or pair was not taken last, and nothing was released. */
export const NOT_ON_TOP = -1
/** Answer of `lockAll` and `unlockAll`: all locks are done. */
export const ALL_DONE = -1

/**
 * Converts a lock number to the answer of `unlockAll` for a lock that is not on top of the list and stays
 * held. Also converts the answer back.
 */
export function notOnTop(lock: number): number {
  return -2 - lock
}

/**
 * Takes and releases locks for one owner. Arguments are record numbers; lock numbers for `lockAll`,
 * `unlockAll`.
 */
export interface Kernel {
  readonly lock: (record: number) => number
  readonly unlock: (record: number) => number
  readonly lock2: (a: number, b: number) => number
  readonly unlock2: (a: number, b: number) => number
  readonly lockAll: (from: number) => number
  readonly unlockAll: (from: number) => number
}

/** The setting of a kernel: its owner, and where the locks lie. */
export interface KernelSetting {
  /** The word of a lock that this owner holds and nobody waits for. */
  readonly me: number
  /** The address of the head of its list. */
  readonly top: number
  /** -1 where locks must be taken in ascending order, else 0. */
  readonly ascending: number
  readonly sleepCount: number
  readonly base: number
  readonly stride: number
  readonly last: number
  /** The number of locks if records share them, else 0. */
  readonly stripes: number
}
