/**
 * The port of the uncontended path: six functions on lock addresses, none of which ever waits.
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

/** Takes and frees locks for one owner. */
export interface Kernel {
  readonly lock: (word: number) => number
  readonly unlock: (word: number) => number
  readonly lock2: (low: number, high: number) => number
  readonly unlock2: (low: number, high: number) => number
  readonly lockAll: (first: number, last: number, stride: number) => number
  readonly unlockAll: (first: number, last: number, stride: number) => number
}

/** Whose kernel it is: the owner's word, the address of its list head, and the order it must keep. */
export interface KernelOwner {
  readonly me: number
  readonly top: number
  readonly ascending: boolean
}
