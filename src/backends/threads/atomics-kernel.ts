/**
 * The kernel of kernel.wat in plain `Atomics`, function for function: for a SharedArrayBuffer, and for
 * engines that inline `Atomics`.
 *
 * Steps, invariant, answers: as in kernel.wat. Cost: one atomic operation to take or release a lock. A
 * pair is released by two exchanges, because `Atomics` has no cheaper store.
 */

import {
  ALL_DONE,
  BUSY,
  HIGH_BUSY,
  type Kernel,
  type KernelSetting,
  NOT_ON_TOP,
  notOnTop,
  REFUSED,
} from './kernel.ts'
import { LINK_OFFSET } from './layout.ts'

/** The kernel of one owner over `words`, the table's memory. */
export function atomicsKernel(words: Int32Array, setting: KernelSetting): Kernel {
  const { me, ascending, base, stride, last, stripes } = setting
  const head = setting.top >> 2

  const addressOf = (record: number): number =>
    base + (stripes === 0 ? record : record % stripes) * stride

  function take(word: number): number {
    const before = words[head] as number
    if (word <= (before & ascending)) return REFUSED
    if (Atomics.compareExchange(words, word >> 2, 0, me) !== 0) return BUSY
    words[(word + LINK_OFFSET) >> 2] = before
    words[head] = word
    return 0
  }

  function release(word: number): number {
    if (words[head] !== word) return NOT_ON_TOP
    words[head] = words[(word + LINK_OFFSET) >> 2] as number
    return Atomics.exchange(words, word >> 2, 0) ^ me
  }

  function lock2(a: number, b: number): number {
    const first = addressOf(a)
    const second = addressOf(b)
    const answer = take(Math.min(first, second))
    if (answer !== 0 || first === second) return answer
    return take(Math.max(first, second)) === 0 ? 0 : HIGH_BUSY
  }

  function unlock2(a: number, b: number): number {
    const first = addressOf(a)
    const second = addressOf(b)
    if (first === second) return release(first)
    const low = Math.min(first, second)
    const high = Math.max(first, second)
    if (words[head] !== high || words[(high + LINK_OFFSET) >> 2] !== low) return NOT_ON_TOP
    return release(high) | (release(low) << 2)
  }

  function lockAll(from: number): number {
    for (let lock = from; lock <= last; lock++) if (take(base + lock * stride) !== 0) return lock
    return ALL_DONE
  }

  function unlockAll(from: number): number {
    for (let lock = from; lock >= 0; lock--) {
      const answer = release(base + lock * stride)
      if (answer !== 0) return answer === NOT_ON_TOP ? notOnTop(lock) : lock
    }
    return ALL_DONE
  }

  return {
    lock: (record) => take(addressOf(record)),
    unlock: (record) => release(addressOf(record)),
    lock2,
    unlock2,
    lockAll,
    unlockAll,
  }
}
