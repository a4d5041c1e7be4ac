/**
 * A storm of deadlocks among asynchronous holders. In each round, every party of a group takes a lock, and
 * then requests the lock of the next party. If the code of every party waits, the group has exactly one
 * victim in that round. If the code of one does not, the group has none, and all parties end.
 */

import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { SharedLocks } from '../../src/backends/threads/index.ts'
import {
  type Group,
  groupsOf,
  isDeadlock,
  LOCKS_PER_GROUP,
  type StormData,
} from './storm-thread.ts'

/** The size of a storm. */
export interface StormOptions {
  readonly rounds: number
  readonly groups: number
  readonly threads: number
  readonly seed: number
  /** Called after each round, with the number of rounds done and of deadlocks found. */
  readonly onTick?: (rounds: number, deadlocks: number) => void
}

/** The result of a storm. */
export interface StormResult {
  /** Groups in which every party waited: each must have one victim. */
  readonly deadlocks: number
  /** Groups in which a party did not wait: none may have a victim. */
  readonly innocent: number
  /** A line for each violation. */
  readonly faults: readonly string[]
}

/** A round that takes longer hangs. */
const HANG_MS = 30_000

export async function storm(options: StormOptions): Promise<StormResult> {
  const { rounds, groups, threads, seed, onTick } = options
  const locks = SharedLocks.create({
    count: groups * LOCKS_PER_GROUP,
    order: 'free',
    // Few more than necessary, so that owner numbers are reused at once.
    owners: threads + groups * LOCKS_PER_GROUP + 8,
  })
  const flags = new Int32Array(new SharedArrayBuffer(4 * (2 * groups + 2)))
  const workers = Array.from({ length: threads }, (_, thread) => {
    const workerData: StormData = { handle: locks.handle, flags, thread, threads, groups, seed }
    return new Worker(new URL(`./storm-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData,
    })
  })
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const faults: string[] = []
  let [deadlocks, innocent] = [0, 0]
  for (let round = 0; round < rounds && faults.length === 0; round++) {
    flags.fill(0)
    for (const worker of workers) worker.postMessage(round)
    const done = Promise.all(workers.map((worker) => once(worker, 'message')))
    const late = new AbortController()
    const isLate = new Promise<'late'>((resolve) => {
      const timer = setTimeout(resolve, HANG_MS, 'late')
      late.signal.addEventListener('abort', () => clearTimeout(timer))
    })
    if ((await Promise.race([done, isLate])) === 'late') faults.push(`round ${round} hangs`)
    late.abort()
    for (const group of groupsOf(seed, round, groups, threads)) {
      const victims = Atomics.load(flags, 2 * group.number + 1)
      const expected = isDeadlock(group) ? 1 : 0
      if (expected === 1) deadlocks++
      else innocent++
      if (victims !== expected) faults.push(faultOf(round, group, victims))
    }
    onTick?.(round + 1, deadlocks)
  }
  await Promise.all(workers.map((worker) => worker.terminate()))
  return { deadlocks, innocent, faults }
}

function faultOf(round: number, group: Group, victims: number): string {
  const parties = group.parties.map(({ kind, thread }) => `${kind} in thread ${thread}`).join(', ')
  return `round ${round}, group ${group.number} (${parties}): ${victims} victims`
}
