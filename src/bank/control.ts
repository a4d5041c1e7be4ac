/** What the tellers of one run and the thread that started them share beside the bank. */

/** Indices in `control`; the tellers' counters follow, COUNTERS of them each. */
export const CONTROL = {
  /** 0 until all tellers are ready, then 1: the barrier. */
  go: 0,
  /** 1: carry out no more. */
  stop: 1,
  /** The next order that nobody has taken. */
  nextOrder: 2,
  /** How many locks were traced. */
  traced: 3,
  /** How many tellers have done their transfers: when all have, auditors stop and threads end. */
  finished: 4,
  /** A line further on: nobody who looks at `stop` should wait for a line that a teller writes. */
  tellers: 16,
} as const

/** A teller's counters, at `CONTROL.tellers + COUNTERS * teller`. Written by that teller alone. */
export const COUNTER = {
  transfers: 0,
  refused: 1,
  audits: 2,
  failedAudits: 3,
  deadlocks: 4,
} as const
export const COUNTERS = 16

/** A traced lock: who took it, whether as first or second, and which it is. */
export interface TracedLock {
  readonly teller: number
  readonly position: 1 | 2
  readonly lock: number
}

/** Lock events are traced up to this many. */
export const MOST_TRACED = 4_000_000

/** Memory for the control words of a run. */
export function allocateControl(tellers: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * (CONTROL.tellers + COUNTERS * tellers)))
}

/** The index of a teller's counter. */
export function counterOf(teller: number, counter: number): number {
  return CONTROL.tellers + COUNTERS * teller + counter
}

/** Notes a lock that was just taken, while it is held: events of one lock stand in their order. */
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

/** The traced locks, in the order in which they were taken. */
export function* tracedLocks(control: Int32Array, trace: Int32Array): Generator<TracedLock> {
  const count = Math.min(Atomics.load(control, CONTROL.traced), trace.length / 2)
  for (let i = 0; i < count; i++) {
    const who = trace[2 * i] as number
    yield { teller: who >> 1, position: who % 2 === 0 ? 1 : 2, lock: trace[2 * i + 1] as number }
  }
}
