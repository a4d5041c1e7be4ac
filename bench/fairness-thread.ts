/** One thread of bench/fairness.ts: requests the lock repeatedly, and records its longest wait. */

import { parentPort, workerData } from 'node:worker_threads'
import {
  type LockMode,
  SharedLocks,
  type SharedLocksHandle,
} from '../src/backends/threads/index.ts'

/** The data for starting the thread. */
export interface ContenderData {
  readonly handle: SharedLocksHandle
  /** Element 0 counts the threads that have started; element 1 ends them. */
  readonly words: Int32Array
  readonly mode: LockMode
  readonly threads: number
}

/** The result of the thread. */
export interface ContenderEnd {
  readonly mode: LockMode
  readonly acquisitions: number
  readonly longestMs: number
}

/** The number of steps of work under the lock: about a microsecond. */
const STEPS = 1000

const { handle, words, mode, threads } = workerData as ContenderData
const locks = SharedLocks.open(handle)
let acquisitions = 0
let longestMs = 0
let sum = 0

Atomics.add(words, 0, 1)
while (Atomics.load(words, 0) < threads);
while (Atomics.load(words, 1) === 0) {
  const asked = performance.now()
  if (mode === 'shared') locks.lockShared(0)
  else locks.lock(0)
  const waited = performance.now() - asked
  for (let i = 0; i < STEPS; i++) sum = (sum + i) | 0
  if (mode === 'shared') locks.unlockShared(0)
  else locks.unlock(0)
  if (waited > longestMs) longestMs = waited
  acquisitions++
}
locks.close()
parentPort?.postMessage({ mode, acquisitions, longestMs } satisfies ContenderEnd)
