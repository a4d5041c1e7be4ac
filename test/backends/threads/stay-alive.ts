/** A process that async.test.ts starts: only its wait for a lock keeps it alive. */

import { Worker } from 'node:worker_threads'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { flagIsSet, newFlags } from './threads.ts'

const memory = process.argv[2] as 'wasm' | 'buffer'
const locks = SharedLocks.create({ count: 2, memory })
const flags = newFlags()
// In this real time, the process would end if the wait did not keep it alive.
const data = { flags, indices: [1], ms: 200 }
const workerData = { handle: locks.handle, program: 'holdForAWhile', data }
const worker = new Worker(new URL('./threads.js', import.meta.url), { workerData })
await flagIsSet(flags, 0)
worker.unref()
await locks.holdAsync([1], () => console.log('held'))
