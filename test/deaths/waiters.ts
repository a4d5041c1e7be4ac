/**
 * Kills threads that wait for a lock, or that were just woken and have not got it yet, while another waits
 * behind them. Checks that this other thread never hangs.
 */

import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { SharedLocks } from '../../src/backends/threads/index.ts'
import { SLOT } from '../../src/backends/threads/layout.ts'
import { slotOf } from '../../src/backends/threads/owners.ts'
import { openTable, type Table } from '../../src/backends/threads/table.ts'
import type { WaiterData } from './waiter-thread.ts'

/** The result of a run. */
export interface WaitersResult {
  /** Victims killed while they slept on the lock, and after they had been woken. */
  readonly waiting: number
  readonly justWoken: number
  /** From the moment the lock was released to the moment the thread behind had it. */
  readonly longestMs: number
  readonly medianMs: number
}

/** The thread behind hangs if it does not get the lock in this time. */
const HANG_MS = 10_000

/** Indices of the words that all threads share. */
export const WORD = { survivor: 0, asked: 1, got: 2 } as const

export async function runWaiters(
  kills: number,
  memory: 'wasm' | 'buffer',
  onKill?: (kills: number) => void,
): Promise<WaitersResult> {
  // A victim may have got the lock before it was killed. There is nothing to repair.
  const locks = SharedLocks.create({ count: 1, memory, owners: 4, onOwnerDied: () => {} })
  const table = openTable(locks.handle)
  const words = new Int32Array(new SharedArrayBuffer(16))
  const start = (role: WaiterData['role']): Worker =>
    new Worker(new URL(`./waiter-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData: { handle: locks.handle, words, role } satisfies WaiterData,
    })
  const survivor = start('waits behind')
  await isTrue(() => Atomics.load(words, WORD.survivor) !== 0)
  const survivorsPlace = Atomics.load(words, WORD.survivor)
  const counts = { waiting: 0, justWoken: 0 }
  const times: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    locks.lock(0)
    const victim = start('is killed')
    const ended = once(victim, 'exit')
    const others = [1, 2, 3, 4].filter((id) => id !== survivorsPlace)
    await isTrue(() => others.some((id) => waits(table, id)))
    Atomics.add(words, WORD.asked, 1)
    Atomics.notify(words, WORD.asked)
    await isTrue(() => waits(table, survivorsPlace))
    let free: number
    if (kill % 2 === 0) {
      await Promise.all([victim.terminate(), ended])
      counts.waiting++
      free = performance.now()
      locks.unlock(0)
    } else {
      // The victim has waited longest, so it is the one that is woken.
      free = performance.now()
      locks.unlock(0)
      await Promise.all([victim.terminate(), ended])
      counts.justWoken++
    }
    await isTrue(() => Atomics.load(words, WORD.got) === kill + 1)
    times.push(performance.now() - free)
    onKill?.(kill + 1)
  }
  await survivor.terminate()
  times.sort((a, b) => a - b)
  return { ...counts, longestMs: times.at(-1) ?? 0, medianMs: times[times.length >> 1] ?? 0 }
}

/** Whether an owner has published a wait. */
function waits(table: Table, id: number): boolean {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.waitsFor) >> 2) !== 0
}

async function isTrue(condition: () => boolean): Promise<void> {
  const until = performance.now() + HANG_MS
  while (!condition()) {
    if (performance.now() > until) throw new Error('somebody hangs')
    await new Promise(setImmediate)
  }
}
