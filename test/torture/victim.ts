/**
 * One thread of torture.ts: takes random locks by every kind of call, and checks that the data they guard is
 * unchanged.
 *
 * A record has three float64s: the thread that works on it exclusively (0: none), and two numbers that are
 * equal except during that work. Readers check all three at their start and end.
 */

import { isMainThread, workerData } from 'node:worker_threads'
import {
  DeadlockError,
  LockTimeoutError,
  SharedLocks,
  type SharedLocksHandle,
  shared,
} from '../../src/backends/threads/index.ts'

/** The counters of each thread. */
export const COUNTERS = [
  'acquisitions',
  'shared',
  'asynchronous',
  'violations',
  'longestWaitMs',
  'longestSharedWaitMs',
  'sleeps',
  'timeouts',
  'deadlocks',
  'repairs',
] as const
export type Counter = (typeof COUNTERS)[number]
/** The float64s per thread: its counters, and padding against false sharing. */
export const COUNT = 24

/** The start data of a thread. */
export interface VictimData {
  readonly locks: SharedLocksHandle
  readonly counts: Float64Array
  readonly index: number
  readonly seed: number
  readonly stop: Int32Array
}

/** A random request: some locks, each in its mode. */
interface Request {
  readonly writes: readonly number[]
  readonly reads: readonly number[]
}

class Victim {
  readonly #locks: SharedLocks
  readonly #data: VictimData
  readonly #view: Float64Array
  readonly #stride: number
  #state: number

  constructor(data: VictimData) {
    this.#data = data
    this.#state = data.seed * 2 + 1
    this.#locks = SharedLocks.open(data.locks, {
      label: `victim ${data.seed}`,
      onOwnerDied: ({ locks }) => this.#repair(locks),
    })
    this.#view = this.#locks.view(Float64Array)
    this.#stride = this.#locks.recordBytes / 8
  }

  async run(): Promise<void> {
    const { stop } = this.#data
    const sleepsBefore = this.#value('sleeps')
    while (Atomics.load(stop, 0) === 0) {
      try {
        await this.#once()
      } catch (error) {
        if (error instanceof DeadlockError) this.#count('deadlocks')
        else if (error instanceof LockTimeoutError) this.#count('timeouts')
        else throw error
      }
      this.#set('sleeps', sleepsBefore + this.#locks.sleeps)
    }
    this.#locks.close()
  }

  /** Makes one random request, of a random kind. */
  async #once(): Promise<void> {
    const request = this.#randomRequest()
    const all = [...request.writes, ...request.reads.map((lock) => shared(lock))]
    const asked = performance.now()
    const work = (): void => this.#work(request, asked)
    const choice = this.#below(100)
    if (choice < 30) this.#pair(this.#below(this.#locks.count), this.#below(this.#locks.count))
    else if (choice < 60) this.#locks.hold(all, work)
    else if (choice < 70) this.#locks.hold(all, { timeoutMs: this.#below(4) / 2 }, work)
    else if (choice < 78) this.#locks.tryHold(all, work)
    else if (choice < 84) this.#nested(this.#below(this.#locks.count))
    else if (choice < 86) this.#locks.holdAll(() => this.#workOnAll(asked))
    else await Promise.all([this.#asynchronous(request), this.#asynchronous(this.#randomRequest())])
  }

  #randomRequest(): Request {
    const size = 1 + this.#below(4)
    const locks = new Set(Array.from({ length: size }, () => this.#below(this.#locks.count)))
    const reads = [...locks].filter(() => this.#below(2) === 0)
    return { writes: [...locks].filter((lock) => !reads.includes(lock)), reads }
  }

  #pair(a: number, b: number): void {
    const asked = performance.now()
    const writes = a === b ? [a] : [a, b]
    this.#locks.holdPair(a, b, () => this.#work({ writes, reads: [] }, asked))
  }

  /** Takes one lock inside another, in any order: now and then a deadlock. */
  #nested(first: number): void {
    const second = (first + 1 + this.#below(this.#locks.count - 1)) % this.#locks.count
    const asked = performance.now()
    this.#locks.hold([shared(first)], () => {
      this.#work({ writes: [], reads: [first] }, asked)
      const again = performance.now()
      this.#locks.hold([second], () => this.#work({ writes: [second], reads: [first] }, again))
    })
  }

  #workOnAll(asked: number): void {
    const writes = Array.from({ length: this.#locks.count }, (_, i) => i)
    this.#work({ writes, reads: [] }, asked)
  }

  async #asynchronous({ writes, reads }: Request): Promise<void> {
    const all = [...writes, ...reads.map((lock) => shared(lock))]
    const asked = performance.now()
    try {
      await this.#locks.holdAsync(all, { timeoutMs: 50 }, async () => {
        this.#granted({ writes, reads }, asked)
        this.#begin(writes)
        this.#look(reads)
        if (this.#below(4) === 0) await new Promise((resolve) => setImmediate(resolve))
        this.#look(reads)
        this.#end(writes)
        this.#count('asynchronous')
      })
    } catch (error) {
      if (!(error instanceof LockTimeoutError)) throw error
      this.#count('timeouts')
    }
  }

  #work({ writes, reads }: Request, asked: number): void {
    this.#granted({ writes, reads }, asked)
    this.#begin(writes)
    this.#look(reads)
    for (let i = this.#below(300); i > 0; i--) this.#below(2)
    if (this.#below(500) === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.1)
    this.#look(reads)
    this.#end(writes)
  }

  #granted({ writes, reads }: Request, asked: number): void {
    const waited = performance.now() - asked
    const longest = writes.length === 0 ? 'longestSharedWaitMs' : 'longestWaitMs'
    if (waited > this.#value(longest)) this.#set(longest, waited)
    this.#count('acquisitions')
    if (reads.length > 0) this.#count('shared')
  }

  #begin(writes: readonly number[]): void {
    for (const lock of writes) {
      const at = lock * this.#stride
      if (this.#view[at] !== 0 || this.#view[at + 1] !== this.#view[at + 2]) this.#violated(lock)
      this.#view[at] = this.#data.seed + 1
      this.#view[at + 1] = (this.#view[at + 1] as number) + 1
    }
  }

  #end(writes: readonly number[]): void {
    for (const lock of writes) {
      const at = lock * this.#stride
      if (this.#view[at] !== this.#data.seed + 1) this.#violated(lock)
      this.#view[at + 2] = (this.#view[at + 2] as number) + 1
      if (this.#view[at + 1] !== this.#view[at + 2]) this.#violated(lock)
      this.#view[at] = 0
    }
  }

  #look(reads: readonly number[]): void {
    for (const lock of reads) {
      const at = lock * this.#stride
      if (this.#view[at] !== 0 || this.#view[at + 1] !== this.#view[at + 2]) this.#violated(lock)
    }
  }

  /** Repairs what a dead thread left half done. */
  #repair(locks: readonly number[]): void {
    for (const lock of locks) {
      const at = lock * this.#stride
      this.#view[at] = 0
      this.#view[at + 2] = this.#view[at + 1] as number
    }
    this.#count('repairs')
  }

  #violated(lock: number): void {
    this.#count('violations')
    // A broken record stays broken, so the first violations are enough to report.
    if (this.#value('violations') > 3) return
    const record = this.#view.slice(lock * this.#stride, lock * this.#stride + 3).join(', ')
    console.error(`violation at lock ${lock} (${record}), seen by victim ${this.#data.seed}`)
  }

  #count(counter: Counter): void {
    this.#set(counter, this.#value(counter) + 1)
  }

  #value(counter: Counter): number {
    return this.#data.counts[this.#data.index * COUNT + COUNTERS.indexOf(counter)] as number
  }

  #set(counter: Counter, value: number): void {
    this.#data.counts[this.#data.index * COUNT + COUNTERS.indexOf(counter)] = value
  }

  #below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0
    return Math.floor((this.#state / 2 ** 32) * limit)
  }
}

if (!isMainThread) await new Victim(workerData as VictimData).run()
