/** One thread of waiters.ts. */

import { workerData } from 'node:worker_threads'
import { SharedLocks, type SharedLocksHandle } from '../../src/backends/threads/index.ts'
import { WORD } from './waiters.ts'

/** What the thread is started with. */
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
  // Woken, and through with it before it was killed: then it was killed too late to matter.
  Atomics.wait(words, WORD.survivor, Atomics.load(words, WORD.survivor))
}
Atomics.store(words, WORD.survivor, locks.thread)
for (let round = 0; ; round++) {
  Atomics.wait(words, WORD.asked, round)
  locks.hold([0], () => Atomics.add(words, WORD.got, 1))
}
