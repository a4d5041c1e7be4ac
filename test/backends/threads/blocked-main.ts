/** The program of a worker that lets a blocked main thread wait for longer than its `longWaitMs`. */

import { HEADER } from '../../../src/backends/threads/layout.ts'

const entry = JSON.stringify(
  new URL('../../../src/backends/threads/index.js', import.meta.url).href,
)

/**
 * A module for a worker whose `workerData` is the handle of a table. It holds lock 1, sends a message, and
 * releases the lock when another thread must have reported its wait for it. That is real time, because the
 * other thread measures `longWaitMs` in the runtime's own time. It looks whenever it wakes. So a look is over
 * when it has gone to sleep twice after that time.
 */
export function holdTooLong(label: string, longWaitMs: number): string {
  return `
    import { parentPort, workerData } from 'node:worker_threads'
    import { SharedLocks } from ${entry}
    const locks = SharedLocks.open(workerData, { label: ${JSON.stringify(label)} })
    const words = new Int32Array(workerData.memory.buffer ?? workerData.memory)
    const sleeps = () => Atomics.load(words, ${HEADER.sleepCount >> 2})
    const turn = () => new Promise((resolve) => setTimeout(resolve, 1))
    locks.lock(1)
    parentPort.postMessage('held')
    while (sleeps() === 0) await turn()
    const begunMs = performance.now()
    while (performance.now() - begunMs <= ${longWaitMs}) await turn()
    const seen = sleeps()
    while (sleeps() < seen + 2) await turn()
    locks.unlock(1)
    locks.close()`
}
