/** Starts the threads of a benchmark. */

import { Worker } from 'node:worker_threads'

/** Runs a file in a thread of its own. Returns the message that the thread ends with. */
export function inThread<Data, End>(file: URL, workerData: Data): Promise<End> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(file, { workerData })
    worker.on('message', resolve)
    worker.on('error', reject)
  })
}
