/** One thread of waiters.ts. */

import { workerData } from 'node:worker_threads'
import { SharedLocks, type SharedLocksHandle } from '../../src/backends/threads/index.ts'
import { WORD } from './waiters.ts'

/** The start data of the thread. */
export interface WaiterData {
  readonly handle: SharedLocksHandle
  readonly words: Int32Array
  readonly role: 'waits behind' | 'is killed'
}

const { handle, words, role } = workerData as WaiterData
const locks = SharedLocks.open(handle, { onOwnerDied: () => {} })

if (role === 'is killed') {
  locks.lock(0)
  locks.unlock(0)
  // This victim got the lock before it was killed, so its death no longer matters.
  Atomics.wait(words, WORD.survivor, Atomics.load(words, WORD.survivor))
}
Atomics.store(words, WORD.survivor, locks.thread)
for (let round = 0; ; round++) {
  Atomics.wait(words, WORD.asked, round)
  locks.hold([0], () => Atomics.add(words, WORD.got, 1))
}
