/** The data besides the bank that the tellers of one run share with the thread that started them. */

import type { DeadlockReport } from '../index.ts'
import type { BankHandle } from './bank.ts'
import type { Orders } from './workload.ts'

/** The data for starting a teller. */
export interface TellerData {
  readonly bank: BankHandle
  readonly control: Int32Array
  /** The teller's number, from 0. */
  readonly teller: number
  /** The number of threads that transfer; the others audit until those have finished. */
  readonly tellers: number
  /** The total that an audit must find. */
  readonly total: number
  readonly auditEvery: number
  /** Whether its audits are gentle. */
  readonly gently: boolean
  readonly retryDeadlocks: boolean
  /** The number of transfers at the beginning that give up the time slice between debit and credit. */
  readonly slowTransfers: number
  readonly warmup: number
  readonly generate?: { readonly seed: number; readonly transfers: number }
  readonly orders?: Orders
  readonly trace?: Int32Array
}

/** A message from a teller, besides its counters in shared memory. */
export type TellerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'deadlock'; readonly report: DeadlockReport }
  | {
      readonly kind: 'done'
      readonly startMs: number
      readonly endMs: number
      readonly sleeps: number
    }

/** Indices in `control`; the tellers' counters follow, COUNTERS of them each. */
export const CONTROL = {
  /** The barrier: 0 until all tellers are ready, then 1. */
  go: 0,
  /** 1: tellers must stop. */
  stop: 1,
  /** The next order that no teller has taken. */
  nextOrder: 2,
  /** The number of traced locks. */
  traced: 3,
  /** The number of tellers that finished their transfers. When all have, auditors stop and threads end. */
  finished: 4,
  /** On a cache line of their own: a reader of `stop` must not wait for a line that a teller writes. */
  tellers: 16,
} as const

/** A teller's counters, at `CONTROL.tellers + COUNTERS * teller`. Only that teller writes them. */
const COUNTER = {
  transfers: 0,
  refused: 1,
  audits: 2,
  failedAudits: 3,
  deadlocks: 4,
} as const
const COUNTERS = 16

/** The counts of one teller, or of all tellers together. */
export type Counts = Record<keyof typeof COUNTER, number>

/** A traced lock: the teller, whether the lock was its first or second, and the lock's number. */
export interface TracedLock {
  readonly teller: number
  readonly position: 1 | 2
  readonly lock: number
}

/** The maximum number of traced lock events. */
export const MAX_TRACED = 4_000_000

/** Allocates the control words of a run. */
export function allocateControl(tellers: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * (CONTROL.tellers + COUNTERS * tellers)))
}

/** Returns counts of 0. */
export function noCounts(): Counts {
  return { transfers: 0, refused: 0, audits: 0, failedAudits: 0, deadlocks: 0 }
}

/** Publishes a teller's counts to the thread that started it. */
export function publishCounts(control: Int32Array, teller: number, counts: Counts): void {
  const at = CONTROL.tellers + COUNTERS * teller
  control[at + COUNTER.transfers] = counts.transfers
  control[at + COUNTER.refused] = counts.refused
  control[at + COUNTER.audits] = counts.audits
  control[at + COUNTER.failedAudits] = counts.failedAudits
  control[at + COUNTER.deadlocks] = counts.deadlocks
}

/** Returns the sums of the counts that the tellers have published. */
export function publishedCounts(control: Int32Array): Counts {
  const sum = noCounts()
  for (let at: number = CONTROL.tellers; at < control.length; at += COUNTERS) {
    for (const name of Object.keys(COUNTER) as (keyof Counts)[]) {
      sum[name] += control[at + COUNTER[name]] as number
    }
  }
  return sum
}

/** Sets the counts of all tellers to 0. */
export function clearCounts(control: Int32Array): void {
  control.fill(0, CONTROL.tellers)
}

/** Records a lock that was just taken, while it is held, so that the events of one lock are in order. */
export function traceLock(
  control: Int32Array,
  trace: Int32Array,
  teller: number,
  position: 1 | 2,
  lock: number,
): void {
  const at = 2 * Atomics.add(control, CONTROL.traced, 1)
  if (at + 1 >= trace.length) return
  trace[at] = 2 * teller + (position - 1)
  trace[at + 1] = lock
}

/** Iterates over the traced locks, in the order in which they were taken. */
export function* tracedLocks(control: Int32Array, trace: Int32Array): Generator<TracedLock> {
  const count = Math.min(Atomics.load(control, CONTROL.traced), trace.length / 2)
  for (let i = 0; i < count; i++) {
    const who = trace[2 * i] as number
    yield { teller: who >> 1, position: who % 2 === 0 ? 1 : 2, lock: trace[2 * i + 1] as number }
  }
}
