/** The programs of the tests' other threads: functions that threads.ts runs by name. */

import {
  DeadlockError,
  type DeadlockReport,
  SharedLocks,
  shared,
} from '../../../src/backends/threads/index.ts'
import { until } from '../../waiting.ts'

/** Adds 1 to elements of a view. The result is right only if no other thread does so at the same time. */
function increment(view: Float64Array, stride: number, records: readonly number[]): void {
  for (const record of records) view[record * stride] = (view[record * stride] as number) + 1
}

/** A small generator of whole numbers below `limit`, the same for the same seed. */
function numbersFrom(seed: number): (limit: number) => number {
  let state = seed * 2654435761 + 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** The result of the call, or the code of its error. */
function codeOf(call: () => string): string {
  try {
    return call()
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** Waits until `word` is no longer `value`. */
function waitWhile(flags: Int32Array, word: number, value: number): void {
  while (Atomics.load(flags, word) === value) Atomics.wait(flags, word, value)
}

/** Sets `word`, and wakes the threads that wait for it. */
export function setFlag(flags: Int32Array, word: number, value: number): void {
  Atomics.store(flags, word, value)
  Atomics.notify(flags, word)
}

/** Waits at a reusable barrier until `threads` threads have arrived. */
function meet(flags: Int32Array, word: number, threads: number): void {
  const come = Atomics.add(flags, word, 1) + 1
  const all = Math.ceil(come / threads) * threads
  if (come === all) Atomics.notify(flags, word)
  for (let seen = come; seen < all; seen = Atomics.load(flags, word))
    Atomics.wait(flags, word, seen)
}

const programs = {
  /**
   * Takes random sets by every kind of call and increments what they guard. Returns the number of increments
   * by record.
   */
  async incrementAtRandom(
    locks: SharedLocks,
    { seed, rounds }: { seed: number; rounds: number },
  ): Promise<number[]> {
    const view = locks.view(Float64Array)
    const stride = locks.recordBytes / 8
    const below = numbersFrom(seed)
    const counts = Array.from({ length: locks.count }, () => 0)
    const count = (records: readonly number[]): void => {
      for (const record of new Set(records)) counts[record] = (counts[record] as number) + 1
    }
    for (let round = 0; round < rounds; round++) {
      const records = Array.from({ length: 1 + below(4) }, () => below(locks.count))
      const each = [...new Set(records)]
      const [a = 0, b = a] = records
      const add = (): true => {
        increment(view, stride, each)
        return true
      }
      const choice = below(100)
      if (choice < 40) {
        locks.holdPair(a, b, increment, view, stride, a === b ? [a] : [a, b])
        count([a, b])
      } else if (choice < 60) {
        locks.hold(records, add)
        count(records)
      } else if (choice < 80) {
        if (locks.tryHold(records, add)) count(records)
      } else if (choice < 90) {
        locks.lock(a)
        increment(view, stride, [a])
        locks.unlock(a)
        count([a])
      } else if (choice < 97) {
        await locks.holdAsync(records, async () => {
          const before = each.map((record) => view[record * stride] as number)
          if (below(4) === 0) await new Promise((resolve) => setImmediate(resolve))
          for (const [i, record] of each.entries())
            view[record * stride] = (before[i] as number) + 1
        })
        count(records)
      } else {
        const all = counts.map((_, record) => record)
        locks.holdAll(() => increment(view, stride, all))
        count(all)
      }
    }
    return counts
  },

  /** Holds locks from the moment it sets flag 0 until flag 1 is set. */
  holdUntilFlag(
    locks: SharedLocks,
    { flags, indices, reads }: { flags: Int32Array; indices: number[]; reads?: number },
  ): void {
    locks.hold([...indices, ...(reads === undefined ? [] : [shared(reads)])], () => {
      setFlag(flags, 0, 1)
      waitWhile(flags, 1, 0)
    })
  },

  /** Sets flag 0 while it holds locks. When flag 1 is set, it ends without releasing them. */
  endHolding(
    locks: SharedLocks,
    { flags, indices, how }: { flags: Int32Array; indices: number[]; how: 'exit' | 'throw' },
  ): void {
    for (const index of indices) locks.lock(index)
    setFlag(flags, 0, 1)
    waitWhile(flags, 1, 0)
    if (how === 'exit') process.exit(0)
    throw new Error('an end in misery')
  },

  /** Holds locks in a blocking call inside an asynchronous one. It sets flag 0, then waits for flag 1. */
  async holdInTask(
    locks: SharedLocks,
    { flags, first, second }: { flags: Int32Array; first: number; second: number },
  ): Promise<void> {
    await locks.holdAsync([first], () => {
      locks.hold([second], () => {
        setFlag(flags, 0, 1)
        waitWhile(flags, 1, 0)
      })
    })
  },

  /** Sets flag 0, then requests locks. Returns `held`, or the code of the error. */
  askFor(locks: SharedLocks, { flags, indices }: { flags: Int32Array; indices: number[] }): string {
    setFlag(flags, 0, 1)
    return codeOf(() => locks.hold(indices, () => 'held'))
  },

  /**
   * Holds a lock from the moment it sets flag 0, and requests another when flag 1 is set. Returns `held`, or
   * the code of the error.
   */
  holdThenAsk(
    locks: SharedLocks,
    { flags, held, wanted }: { flags: Int32Array; held: number; wanted: number },
  ): string {
    return locks.hold([held], () => {
      setFlag(flags, 0, 1)
      waitWhile(flags, 1, 0)
      return codeOf(() => locks.hold([wanted], () => 'held'))
    })
  },

  /**
   * Holds a lock across its event loop, and requests another one. When flag 0 is set, it sets flag 1 and
   * appears to be running until flag 2 is set. Then it waits for the other lock.
   */
  async holdAcrossEventLoop(
    locks: SharedLocks,
    { flags, held, wanted }: { flags: Int32Array; held: number; wanted: number },
  ): Promise<string> {
    locks.lock(held)
    try {
      const nested = locks.holdAsync([wanted], () => 'held')
      await until(() => Atomics.load(flags, 0) !== 0)
      setFlag(flags, 1, 1)
      waitWhile(flags, 2, 0)
      return await nested
    } finally {
      locks.unlock(held)
    }
  },

  /** Requests locks with a time limit. Returns `held`, or the code of the error. */
  askInTime(
    locks: SharedLocks,
    { indices, timeoutMs }: { indices: number[]; timeoutMs: number },
  ): string {
    return codeOf(() => locks.hold(indices, { timeoutMs }, () => 'held'))
  },

  /** Holds a lock shared until `readers` threads do. Returns how many did. */
  readTogether(
    locks: SharedLocks,
    { flags, index, readers }: { flags: Int32Array; index: number; readers: number },
  ): number {
    return locks.hold([shared(index)], () => {
      meet(flags, 0, readers)
      return Atomics.load(flags, 0)
    })
  },

  /** Holds a lock shared, sets flag 0, and requests another one exclusively. Returns the result. */
  readAndTake(
    locks: SharedLocks,
    { flags, read, take }: { flags: Int32Array; read: number; take: number },
  ): string {
    return locks.hold([shared(read)], () => {
      setFlag(flags, 0, 1)
      try {
        return locks.hold([take], () => 'held')
      } catch (error) {
        return error instanceof DeadlockError ? 'victim' : String(error)
      }
    })
  },

  /** Requests a lock, as a recovering owner that sets flag 0 and never ends its repair. */
  repairForever(locks: SharedLocks, { flags, index }: { flags: Int32Array; index: number }): void {
    const recoverer = SharedLocks.open(locks.handle, {
      onOwnerDied: () => {
        setFlag(flags, 0, 1)
        waitWhile(flags, 1, 0)
      },
    })
    recoverer.lock(index)
  },

  /** Holds locks for `ms` milliseconds from the moment it sets flag 0. */
  holdForAWhile(
    locks: SharedLocks,
    { flags, indices, ms }: { flags: Int32Array; indices: number[]; ms: number },
  ): void {
    locks.hold(indices, () => {
      setFlag(flags, 0, 1)
      Atomics.wait(flags, 1, 0, ms)
    })
  },

  /** Sets flag 0, then takes locks. Returns how long that took and how often it slept. */
  takeAndMeasure(
    locks: SharedLocks,
    { flags, indices }: { flags: Int32Array; indices: number[] },
  ): { ms: number; sleeps: number } {
    setFlag(flags, 0, 1)
    const start = performance.now()
    const ms = locks.hold(indices, () => performance.now() - start)
    return { ms, sleeps: locks.sleeps }
  },

  /** Takes its own lock, meets the others, then takes its neighbour's: a ring, `rounds` times. */
  ring(
    locks: SharedLocks,
    data: { flags: Int32Array; member: number; members: number; rounds: number; meets: boolean },
  ): { reports: DeadlockReport[]; completed: number } {
    const { flags, member, members, rounds, meets } = data
    const reports: DeadlockReport[] = []
    let completed = 0
    for (let round = 0; round < rounds; round++) {
      try {
        locks.hold([member], () => {
          if (meets) meet(flags, 0, members)
          locks.hold([(member + 1) % members], () => completed++)
        })
      } catch (error) {
        if (!(error instanceof DeadlockError)) throw error
        reports.push(error.report)
      }
      if (meets) meet(flags, 1, members)
    }
    return { reports, completed }
  },

  /** Takes two locks by nesting, the lower first, in a table that would allow any order. */
  nestAscending(locks: SharedLocks, { seed, rounds }: { seed: number; rounds: number }): number {
    const below = numbersFrom(seed)
    for (let round = 0; round < rounds; round++) {
      const low = below(locks.count - 1)
      const high = low + 1 + below(locks.count - 1 - low)
      locks.hold([low], () => locks.hold([high], () => undefined))
    }
    return rounds
  },

  /** Holds one lock asynchronously, meets the other thread inside, and requests a second one. */
  async crossAsync(
    locks: SharedLocks,
    { flags, first, second }: { flags: Int32Array; first: number; second: number },
  ): Promise<string> {
    try {
      return await locks.holdAsync([first], async () => {
        meet(flags, 0, 2)
        return await locks.holdAsync([second], () => 'completed')
      })
    } catch (error) {
      return error instanceof DeadlockError ? 'victim' : String(error)
    }
  },
}

/** All programs, by name. */
export type Programs = typeof programs
export { programs }
