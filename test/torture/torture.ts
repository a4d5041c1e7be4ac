/**
 * Tortures the locks: many threads on few locks, random sets in both modes, blocking and asynchronous, with
 * timeouts and deadlocks, while threads are killed at any point. Checks that no lock is violated and no
 * thread hangs.
 */

import { once } from 'node:events'
import { extname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SharedLocks } from '../../src/backends/threads/index.ts'
import { openTable } from '../../src/backends/threads/table.ts'
import { unsweptIn } from '../deaths/unswept.ts'
import { COUNT, COUNTERS, type Counter, type VictimData } from './victim.ts'

/** The size of a torture. */
export interface TortureOptions {
  readonly seconds: number
  readonly threads: number
  readonly locks: number
  readonly memory: 'wasm' | 'buffer'
  readonly seed: number
  /** Called after each kill, with the seconds elapsed and the number of threads killed. */
  readonly onTick?: (seconds: number, kills: number) => void
}

/** The result of a torture. */
export type TortureResult = Readonly<Record<Counter, number>> & {
  readonly seconds: number
  readonly kills: number
  /** Threads that got no lock for longer than {@link HANG_MS}. */
  readonly hangs: number
}

/** A thread that gets no lock for this long hangs. */
const HANG_MS = 20_000

/** The average time between two kills. */
const KILL_MS = 60

/** One thread of the torture. */
interface Victim {
  readonly worker: Worker
  readonly exit: Promise<unknown>
  readonly index: number
  lastCount: number
  lastChangeMs: number
}

export async function torture(options: TortureOptions): Promise<TortureResult> {
  const { seconds, threads, locks: count, memory, seed, onTick } = options
  const locks = SharedLocks.create({ count, memory, order: 'free', owners: threads * 8 })
  const table = openTable(locks.handle)
  const counts = new Float64Array(new SharedArrayBuffer(8 * COUNT * threads))
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const errors: unknown[] = []
  let [kills, hangs] = [0, 0]

  const start = (index: number, number: number): Victim => {
    const data: VictimData = { locks: locks.handle, counts, index, seed: seed + number, stop }
    const worker = new Worker(new URL(`./victim${extname(import.meta.url)}`, import.meta.url), {
      workerData: data,
    })
    worker.on('error', (error) => errors.push(error))
    return {
      worker,
      exit: once(worker, 'exit'),
      index,
      lastCount: -1,
      lastChangeMs: performance.now(),
    }
  }
  const countOf = (index: number, counter: Counter): number =>
    counts[index * COUNT + COUNTERS.indexOf(counter)] as number

  const victims = Array.from({ length: threads }, (_, index) => start(index, index))
  const began = performance.now()
  const gone = (): number => (performance.now() - began) / 1000
  while (gone() < seconds && errors.length === 0) {
    await pause(Math.random() * 2 * KILL_MS)
    for (const victim of victims) {
      const now = performance.now()
      const held = countOf(victim.index, 'acquisitions')
      if (held !== victim.lastCount) Object.assign(victim, { lastCount: held, lastChangeMs: now })
      else if (now - victim.lastChangeMs > HANG_MS) hangs++
    }
    if (hangs > 0) break
    const index = Math.floor(Math.random() * threads)
    const { worker } = victims[index] as Victim
    await worker.terminate()
    const unswept = unsweptIn(table)
    if (unswept) errors.push(new Error(unswept))
    victims[index] = start(index, threads + ++kills)
    onTick?.(gone(), kills)
  }
  Atomics.store(stop, 0, 1)
  const ended = Promise.all(victims.map(({ exit }) => exit))
  const late = new Promise<'late'>((resolve) => setTimeout(resolve, HANG_MS, 'late').unref())
  if ((await Promise.race([ended, late])) === 'late') hangs++
  if (errors.length > 0) throw errors[0]
  const total = (counter: Counter): number => {
    const each = victims.map(({ index }) => countOf(index, counter))
    return counter.startsWith('longest') ? Math.max(...each) : each.reduce((a, b) => a + b)
  }
  const totals = Object.fromEntries(COUNTERS.map((counter) => [counter, total(counter)]))
  return { ...(totals as Record<Counter, number>), seconds: gone(), kills, hangs }
}
