/**
 * Re-entrancy: a kernel around another one, for tables made with `reentrant: true`. It counts how often
 * its owner has taken a lock that it already holds, and leaves everything else to the inner kernel.
 *
 * The counts are beside the kernel, not in shared memory: no other thread needs them, and other tables pay
 * nothing. Cost: a check of the word before each operation, some ten nanoseconds a lock.
 */

import {
  ALL_DONE,
  HIGH_BUSY,
  type Kernel,
  type KernelSetting,
  NOT_ON_TOP,
  notOnTop,
} from './kernel.ts'
import { OWNER_SHIFT } from './layout.ts'

/** Wraps a kernel so that its owner can take a lock again that it holds exclusively. */
export function reentrantKernel(
  inner: Kernel,
  words: Int32Array,
  { me, base, stride, last, stripes }: KernelSetting,
): Kernel {
  /** How often each lock is held beyond the first time. */
  const again = new Map<number, number>()
  const lockOf = (record: number): number => (stripes === 0 ? record : record % stripes)
  const isHeld = (lock: number): boolean =>
    (words[(base + lock * stride) >> 2] as number) >>> OWNER_SHIFT === me >>> OWNER_SHIFT

  function lock(record: number): number {
    const held = lockOf(record)
    if (!isHeld(held)) return inner.lock(held)
    again.set(held, (again.get(held) ?? 0) + 1)
    return 0
  }

  function unlock(record: number): number {
    const held = lockOf(record)
    const more = again.get(held)
    if (more === undefined) return inner.unlock(held)
    if (more === 1) again.delete(held)
    else again.set(held, more - 1)
    return 0
  }

  function lock2(a: number, b: number): number {
    const [low, high] = inOrder(lockOf(a), lockOf(b))
    const answer = lock(low)
    if (answer !== 0 || low === high) return answer
    return lock(high) === 0 ? 0 : HIGH_BUSY
  }

  function unlock2(a: number, b: number): number {
    const [low, high] = inOrder(lockOf(a), lockOf(b))
    if (low === high) return unlock(low)
    // After NOT_ON_TOP, the caller releases the locks one by one, wherever they are in the list.
    if (!isHeld(low) || !isHeld(high)) return NOT_ON_TOP
    if (again.has(low) !== again.has(high)) return NOT_ON_TOP
    if (!again.has(low)) return inner.unlock2(low, high)
    return unlock(high) | unlock(low)
  }

  function lockAll(from: number): number {
    for (let each = from; each <= last; each++) if (lock(each) !== 0) return each
    return ALL_DONE
  }

  function unlockAll(from: number): number {
    for (let each = from; each >= 0; each--) {
      const answer = unlock(each)
      if (answer !== 0) return answer === NOT_ON_TOP ? notOnTop(each) : each
    }
    return ALL_DONE
  }

  return { lock, unlock, lock2, unlock2, lockAll, unlockAll }
}

function inOrder(a: number, b: number): [low: number, high: number] {
  return a < b ? [a, b] : [b, a]
}
