/**
 * The port of the uncontended path: six functions on lock numbers, none of which ever waits.
 *
 * Made twice with one behaviour: wasm-kernel.ts and atomics-kernel.ts. kernel.wat says what each
 * function does, at what cost, and what its answers mean.
 */

/** Answers of `lock` and `lock2`, beside 0 for done: the order forbids it; the (lower) lock is busy. */
export const REFUSED = 1
export const BUSY = 2
/** Answer of `lock2`: the lower lock is held now, the higher one is busy. */
export const HIGH_BUSY = 3
/** Answer of `unlock` and `unlock2`: not what was taken last, nothing was freed. */
export const NOT_ON_TOP = -1
/** Answer of `lockAll` and `unlockAll`. */
export const ALL_DONE = -1

/** Answer of `unlockAll` for a lock that is not on top of the list and was not freed; the number for it. */
export function notOnTop(lock: number): number {
  return -2 - lock
}

/** Takes and frees locks for one owner. Numbers of records, except in `lockAll` and `unlockAll`. */
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
  /** The address of its list head. */
  readonly top: number
  /** -1 where locks must be taken in ascending order, else 0. */
  readonly ascending: number
  readonly sleepCount: number
  readonly base: number
  readonly stride: number
  readonly last: number
  /** The number of locks where records share them, else 0. */
  readonly stripes: number
}
