/** Waits for locks on behalf of an asynchronous task without blocking its thread: a driver of acquire.ts. */

import { elapsedMs, keepAlive, pauseFor } from '../../core/clock.ts'
import { type Acquired, acquire, type Sleep } from './acquire.ts'
import { FIRST_SLEEP_MS, type SleepEnd } from './wait.ts'

/** Without `Atomics.waitAsync`, a task checks a busy lock this often. */
const POLL_MS = 1

/**
 * Takes a lock for a task. Returns false if the lock turns out to be abandoned and no owner repairs it.
 *
 * @throws DeadlockError, LockTimeoutError; the lock is then not taken.
 */
export async function takeForTask(acquired: Required<Acquired>): Promise<boolean> {
  const { words } = acquired.table
  const steps = acquire(acquired)
  let step = steps.next()
  while (!step.done) {
    try {
      step = steps.next(await sleep(words, step.value))
    } catch (error) {
      step = steps.throw(error)
    }
  }
  return step.value
}

/** Sleeps by `Atomics.waitAsync`, or for POLL_MS if the runtime has none. */
async function sleep(words: Int32Array, { at, value, mostMs }: Sleep): Promise<SleepEnd> {
  if (!Atomics.waitAsync) {
    await pauseFor(POLL_MS)
    return 'timed-out'
  }
  const beganMs = elapsedMs()
  const waiting = Atomics.waitAsync(words, at, value, mostMs)
  if (!waiting.async) return 'woken'
  // A pending waitAsync does not keep a process alive; a timer does.
  const letEnd = keepAlive()
  try {
    if ((await waiting.value) !== 'timed-out') return 'woken'
    // The runtime measures the sleep from the event loop's last reading of the clock, so it can be too short.
    return elapsedMs() - beganMs < FIRST_SLEEP_MS ? 'too-short' : 'timed-out'
  } finally {
    letEnd()
  }
}
