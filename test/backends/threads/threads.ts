/** Starts other threads for tests: one of programs.ts's functions each, over a table of locks. */

import { rejects } from 'node:assert/strict'
import { extname } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { type Programs, programs } from './programs.ts'

/** The memory in which threads of a test meet. */
export function newFlags(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(64))
}

/** Runs a program in a thread of its own; the promise has what it returned, or the error it threw. */
export function inThread<Name extends keyof Programs>(
  locks: SharedLocks,
  program: Name,
  data: Parameters<Programs[Name]>[1],
  label?: string,
): Promise<Awaited<ReturnType<Programs[Name]>>> {
  return startThread(locks, program, data, label).answer
}

/** The same with the thread itself, for tests that end it. */
export function startThread<Name extends keyof Programs>(
  locks: SharedLocks,
  program: Name,
  data: Parameters<Programs[Name]>[1],
  label?: string,
): { worker: Worker; answer: Promise<Awaited<ReturnType<Programs[Name]>>> } {
  const file = new URL(`./threads${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(file, { workerData: { handle: locks.handle, program, data, label } })
  const answer = new Promise<Awaited<ReturnType<Programs[Name]>>>((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
    worker.on('exit', (status) =>
      reject(new Error(`the thread ended with ${status}, and no answer`)),
    )
  })
  return { worker, answer }
}

/** Waits, without blocking the event loop, until a flag is set. */
export async function flagIsSet(flags: Int32Array, word: number): Promise<void> {
  while (Atomics.load(flags, word) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Starts a thread, and ends it while it holds these locks; it does not close the table. */
export async function endHolding(locks: SharedLocks, ...indices: number[]): Promise<void> {
  const flags = newFlags()
  const { worker, answer } = startThread(locks, 'holdUntilTold', { flags, indices }, 'the dead one')
  await flagIsSet(flags, 0)
  await Promise.all([worker.terminate(), rejects(answer)])
}

/** The locks that another owner finds busy. */
export function busyLocks(locks: SharedLocks): number[] {
  const other = SharedLocks.open(locks.handle)
  const busy: number[] = []
  for (let i = 0; i < locks.count; i++) if (!other.tryHold([i], () => true)) busy.push(i)
  other.close()
  return busy
}

if (!isMainThread && workerData?.program) {
  const { handle, program, data, label } = workerData
  const locks = SharedLocks.open(handle, label === undefined ? {} : { label })
  const run = programs[program as keyof Programs] as (locks: SharedLocks, data: unknown) => unknown
  parentPort?.postMessage(await run(locks, data))
  locks.close()
}
