/** Starts other threads for tests. Each runs one function of programs.ts on a table of locks. */

import { rejects } from 'node:assert/strict'
import { extname } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { waitersOf } from '../../../src/backends/threads/holders.ts'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { HEADER } from '../../../src/backends/threads/layout.ts'
import { openTable } from '../../../src/backends/threads/table.ts'
import { until } from '../../waiting.ts'
import { type Programs, programs } from './programs.ts'

/** The memory through which the threads of a test synchronize. */
export function newFlags(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(64))
}

/** Runs a program in its own thread. Resolves with what it returned, or rejects with the error it threw. */
export function inThread<Name extends keyof Programs>(
  locks: SharedLocks,
  program: Name,
  data: Parameters<Programs[Name]>[1],
  label?: string,
): Promise<Awaited<ReturnType<Programs[Name]>>> {
  return startThread(locks, program, data, label).answer
}

/** Does the same and also returns the thread, for tests that end it. */
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
export function flagIsSet(flags: Int32Array, word: number): Promise<void> {
  return until(() => Atomics.load(flags, word) !== 0)
}

/** Waits, without blocking the event loop, until at least this many owners wait for a lock. */
export function untilWaiting(locks: SharedLocks, lock: number, count = 1): Promise<void> {
  const table = openTable(locks.handle)
  return until(() => waitersOf(table, lock) >= count)
}

/**
 * Waits, without blocking the event loop, until owners have gone to sleep this often from now on. Each looks
 * for a deadlock before it does. Tasks of one thread behind another one for the same lock do not count.
 */
export function untilAsleep(locks: SharedLocks, times: number): Promise<void> {
  const { words } = openTable(locks.handle)
  const sleeps = (): number => Atomics.load(words, HEADER.sleepCount >> 2)
  const before = sleeps()
  return until(() => sleeps() - before >= times)
}

/** Starts a thread, and ends it while it holds these locks; it does not close the table. */
export async function endHolding(locks: SharedLocks, ...indices: number[]): Promise<void> {
  const flags = newFlags()
  const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices }, 'the dead one')
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
