/**
 * How long a waiter sleeps, and what it does after its waiter bits were overwritten: acquire.ts explains why.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { WAITER, WAKE_ALL } from '../../../src/backends/threads/layout.ts'
import { planLayout } from '../../../src/backends/threads/table-layout.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags } from './threads.ts'

/** One sleep: how it ends, and the state of the word then. */
type Sleep = readonly [end: 'ok' | 'timed-out', word: 'stands' | 'wiped' | 'free']

/**
 * Lets `request` wait for lock 0 of a table, which another thread holds. These sleeps replace the real ones;
 * one of at most `realMs` really takes its time. Returns the requested length of each sleep.
 */
async function sleepLengths(
  sleeps: readonly Sleep[],
  request: (locks: SharedLocks, words: Int32Array) => void,
  realMs = 0,
): Promise<number[]> {
  const locks = SharedLocks.create({ count: 1, owners: 3, memory: 'buffer' })
  const words = new Int32Array(locks.handle.memory as SharedArrayBuffer)
  const word = planLayout({ count: 1, owners: 3 }).locksBase / 4
  const flags = newFlags()
  const holder = inThread(locks, 'holdUntilFlag', { flags, indices: [0] })
  await flagIsSet(flags, 0)
  const { wait } = Atomics
  const lengths: number[] = []
  Atomics.wait = ((_: Int32Array, at: number, value: number, ms: number) => {
    const [end, change] = sleeps[lengths.push(ms) - 1] ?? ['timed-out', 'free']
    assert.equal(at, word)
    if (ms <= realMs) wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms + 1)
    if (change === 'wiped') words[at] = value & ~(WAITER | WAKE_ALL)
    if (change === 'free') words[at] = 0
    return end
  }) as typeof Atomics.wait
  try {
    request(locks, words)
  } finally {
    Atomics.wait = wait
    setFlag(flags, 1, 1)
    await holder
  }
  return lengths
}

const takeIt = (locks: SharedLocks): void => {
  locks.lock(0)
  locks.unlock(0)
}
const isShort = (lengths: readonly number[]): boolean[] => lengths.map((ms) => ms < 10)

describe('a sleep on a contended lock', { timeout: 60_000 }, () => {
  it('is short at first, and long when the waiter bits have outlasted a short one', async () => {
    const sleeps: Sleep[] = [
      ['timed-out', 'stands'],
      ['timed-out', 'stands'],
      ['timed-out', 'free'],
    ]
    assert.deepEqual(isShort(await sleepLengths(sleeps, takeIt)), [true, false, false])
  })

  it('is short again after a spurious wake-up', async () => {
    const sleeps: Sleep[] = [
      ['ok', 'stands'],
      ['timed-out', 'stands'],
      ['ok', 'stands'],
      ['ok', 'free'],
    ]
    assert.deepEqual(isShort(await sleepLengths(sleeps, takeIt)), [true, true, false, true])
  })

  it('is short again after the waiter bits were cleared', async () => {
    const sleeps: Sleep[] = [
      ['timed-out', 'wiped'],
      ['timed-out', 'stands'],
      ['timed-out', 'wiped'],
      ['timed-out', 'free'],
    ]
    assert.deepEqual(isShort(await sleepLengths(sleeps, takeIt)), [true, true, false, true])
  })

  it('ends with the lock, not a timeout, if it is free when timeoutMs is over', async () => {
    const inTime = (locks: SharedLocks): void => {
      assert.equal(
        locks.hold([0], { timeoutMs: 1 }, () => 'held'),
        'held',
      )
    }
    const lengths = await sleepLengths([['timed-out', 'free']], inTime, 1)
    assert.equal(lengths.length, 1)
  })

  it('wakes all others when its reader enters without being woken', async () => {
    const { notify } = Atomics
    const counts: (number | undefined)[] = []
    await sleepLengths([['timed-out', 'free']], (locks, words) => {
      Atomics.notify = ((array: Int32Array, at: number, count?: number) => {
        if (array.buffer === words.buffer) counts.push(count)
        return notify(array, at, count)
      }) as typeof notify
      try {
        locks.lockShared(0)
      } finally {
        Atomics.notify = notify
      }
      locks.unlockShared(0)
    })
    assert.deepEqual(counts, [undefined])
  })
})
