/**
 * The kernel of kernel.wat in plain `Atomics`, function for function: for a SharedArrayBuffer, and for
 * engines that compile `Atomics` in line.
 *
 * Steps, invariant, answers: as in kernel.wat. Cost: one atomic operation to take or free a lock; a
 * pair is freed by two exchanges, because `Atomics` has no store that is cheaper than one.
 */

import { BUSY, HIGH_BUSY, type Kernel, type KernelOwner, NOT_ON_TOP, REFUSED } from './kernel.ts'
import { LINK_OFFSET } from './layout.ts'

/** The kernel of one owner over `words`, the table's memory. */
export function atomicsKernel(words: Int32Array, owner: KernelOwner): Kernel {
  const { me, ascending } = owner
  const head = owner.top >> 2

  function lock(word: number): number {
    const before = words[head] as number
    if (ascending && word <= before) return REFUSED
    if (Atomics.compareExchange(words, word >> 2, 0, me) !== 0) return BUSY
    words[(word + LINK_OFFSET) >> 2] = before
    words[head] = word
    return 0
  }

  function unlock(word: number): number {
    if (words[head] !== word) return NOT_ON_TOP
    words[head] = words[(word + LINK_OFFSET) >> 2] as number
    return Atomics.exchange(words, word >> 2, 0) ^ me
  }

  function lock2(low: number, high: number): number {
    const refused = lock(low)
    if (refused !== 0) return refused
    return lock(high) === 0 ? 0 : HIGH_BUSY
  }

  function unlock2(low: number, high: number): number {
    if (words[head] !== high || words[(high + LINK_OFFSET) >> 2] !== low) return NOT_ON_TOP
    return unlock(high) | (unlock(low) << 2)
  }

  function lockAll(first: number, last: number, stride: number): number {
    for (let word = first; word <= last; word += stride) if (lock(word) !== 0) return word
    return 0
  }

  function unlockAll(first: number, last: number, stride: number): number {
    for (let word = last; word >= first; word -= stride) if (unlock(word) !== 0) return word
    return 0
  }

  return { lock, unlock, lock2, unlock2, lockAll, unlockAll }
}
