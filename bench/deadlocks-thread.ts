/** One thread of bench/deadlocks.ts: makes deadlocks with its neighbours, and records the times. */

import { hrtime } from 'node:process'
import { parentPort, workerData } from 'node:worker_threads'
import {
  DeadlockError,
  SharedLocks,
  type SharedLocksHandle,
} from '../src/backends/threads/index.ts'

/** The data for starting the thread. */
export interface RingData {
  readonly handle: SharedLocksHandle
  /** Element 0 counts the threads that have come to a meeting; element 16 those that have left. */
  readonly meeting: Int32Array
  readonly member: number
  readonly members: number
  readonly rounds: number
  readonly what: 'ring' | 'nested' | 'transfers'
}

/**
 * The times of its request for a second lock, and of each caught deadlock (0: none), for each round of a
 * ring.
 */
export interface RingEnd {
  readonly askedNs: Float64Array
  readonly caughtNs: Float64Array
}

const { handle, meeting, member, members, rounds, what } = workerData as RingData
const locks = SharedLocks.open(handle)
const balances = locks.view(Float64Array)
const askedNs = new Float64Array(what === 'ring' ? rounds : 0)
const caughtNs = new Float64Array(what === 'transfers' ? 1 : rounds)

if (what === 'ring') for (let round = 0; round < rounds; round++) makeDeadlock(round)
else if (what === 'nested') for (let round = 0; round < rounds; round++) nest(round)
else transfer()
locks.close()
parentPort?.postMessage({ askedNs, caughtNs } satisfies RingEnd)

function makeDeadlock(round: number): void {
  locks.lock(member)
  meet(0)
  askedNs[round] = now()
  try {
    locks.lock((member + 1) % members)
    locks.unlock((member + 1) % members)
  } catch (error) {
    caughtNs[round] = now()
    if (!(error instanceof DeadlockError)) throw error
  }
  locks.unlock(member)
  meet(16)
}

function nest(round: number): void {
  const low = (round * 7 + member) % (members - 1)
  const high = low + 1 + ((round * 5) % (members - 1 - low))
  try {
    locks.hold([low], () => locks.hold([high], () => undefined))
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error
    caughtNs[round] = now()
  }
}

/** Transfers between random accounts, each in one request, so that no deadlock is possible. */
function transfer(): void {
  const { count, recordBytes } = locks
  const stride = recordBytes / 8
  let state = member + 1
  for (let round = 0; round < rounds; round++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    const from = (state >>> 16) % count
    const to = (from + 1 + ((state >>> 3) % (count - 1))) % count
    try {
      locks.holdPair(from, to, move, from * stride, to * stride)
    } catch (error) {
      if (!(error instanceof DeadlockError)) throw error
      caughtNs[0] = now()
    }
  }
}

function move(from: number, to: number): void {
  balances[from] = (balances[from] as number) - 1
  balances[to] = (balances[to] as number) + 1
}

/** Waits for all threads: none leaves until the last has come. */
function meet(index: number): void {
  const come = Atomics.add(meeting, index, 1) + 1
  const all = Math.ceil(come / members) * members
  if (come === all) Atomics.notify(meeting, index)
  for (let seen = come; seen < all; seen = Atomics.load(meeting, index)) {
    Atomics.wait(meeting, index, seen)
  }
}

/** Nanoseconds on a clock that all threads share. */
function now(): number {
  return Number(hrtime.bigint())
}
