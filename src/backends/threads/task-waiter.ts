/**
 * The contended path of an asynchronous holding: waiter.ts without blocking the thread.
 *
 * A task sleeps by `Atomics.waitAsync` and sets WAKE_ALL beside WAITER: its thread may be busy when the
 * lock is freed, and a wake-up spent on it alone would leave others asleep beside a free lock. It does
 * not spin: its thread has other work. Where several tasks of one thread wait for one lock, only the first
 * sleeps on its word and announces that (task-queue.ts).
 *
 * Its first sleep is short for the reason in waiter.ts. Where its bits were wiped out, others that rely
 * on WAKE_ALL may sleep on: it takes the lock with both bits. A busy thread looks again late, so that
 * a thread which came after and relies on the task's bits can sleep LONGEST_SLEEP_MS, and no longer.
 */

import { elapsedMs, keepAlive, pauseFor } from '../../core/clock.ts'
import type { LockMode } from '../../core/modes.ts'
import { isLeft } from './deaths.ts'
import { SHARED, WAITER, WAKE_ALL, WANTED } from './layout.ts'
import { intend, type Owner, proofOf, pushHeld } from './owners.ts'
import { endClaim, giveUpClaim, isOpen, rowOf, tryEnter, wakeMissed } from './readers.ts'
import { addressOf, type Table } from './table.ts'
import { enterQueue, isFirst, leaveQueue, ownWordOf, wakeQueue } from './task-queue.ts'
import { FIRST_SLEEP_MS, LONGEST_SLEEP_MS, type Terms, Wait } from './wait.ts'

/** Without `Atomics.waitAsync`, a busy lock is looked at this often. */
const POLL_MS = 1
const BITS = WAITER | WAKE_ALL

/**
 * Takes a lock for a task; false if it turns out to be abandoned, with nobody at work on it.
 *
 * `prove`: called while it waits, whenever a proof is wanted that its parents wait for it.
 *
 * @throws DeadlockError, LockTimeoutError; then it is not taken.
 */
export async function takeForTask(
  table: Table,
  owner: Owner,
  lock: number,
  mode: LockMode,
  terms: Terms,
  prove: () => void,
): Promise<boolean> {
  const { words } = table
  const at = addressOf(table, lock) >> 2
  const mayDeadlock = table.layout.order === 'free'
  let wait: Wait | undefined
  let isWoken = false
  intend(table, owner, lock)
  try {
    for (;;) {
      const seen = Atomics.load(words, at)
      if (isLeft(table, seen)) {
        wait?.end()
        return false
      }
      if (isOpen(seen)) {
        if (mode === 'shared') {
          // As in waiter.ts: no wait may be published beside a reader's bit.
          wait?.end()
          if (tryEnter(table, owner, lock)) {
            if (wait) wakeMissed(table, lock)
            return true
          }
          wait?.publish()
        } else if (claim(words, at, seen, wait ? owner.me | BITS : owner.me)) {
          if (seen === SHARED) {
            // The next one waits for this claim, and is to sleep on the word.
            leaveQueue(table, owner, lock)
            await drain(table, owner, lock, terms, wait, prove)
          }
          wait?.end()
          pushHeld(table, owner, addressOf(table, lock))
          return true
        }
      } else {
        wait ??= new Wait(table, owner, lock, mode, terms)
        enterQueue(table, owner, lock)
        if (isFirst(table, owner, lock)) {
          // An owner that saw no waiter bits did not look for deadlocks through the others; and whoever
          // woke this one may want a proof of theirs.
          if (mayDeadlock && (isWoken || (seen & BITS) !== BITS)) wakeQueue(table, lock)
          isWoken = false
          const longestMs = wait.announce(at, seen, BITS)
          if (longestMs === 0 || isLeft(table, seen)) continue
          wait.refuseDeadlock()
          isWoken = await sleep(words, at, seen | BITS, wait, longestMs)
        } else {
          wait.refuseDeadlock()
          await sleep(words, ownWordOf(owner), 0, wait, LONGEST_SLEEP_MS)
          wait.distrustBits()
        }
        if (proofOf(table, owner.id) === WANTED) prove()
        wait.refuseLate()
      }
    }
  } catch (error) {
    // Whatever the error: a wait that is given up must not stay published.
    wait?.end()
    throw error
  } finally {
    leaveQueue(table, owner, lock)
  }
}

function claim(words: Int32Array, at: number, seen: number, mine: number): boolean {
  return Atomics.compareExchange(words, at, seen, mine | seen) === seen
}

/** Waits until the readers of a lock that the task has claimed have left. */
async function drain(
  table: Table,
  owner: Owner,
  lock: number,
  terms: Terms,
  waiting: Wait | undefined,
  prove: () => void,
): Promise<void> {
  let wait = waiting
  wait?.change()
  try {
    for (const row of rowOf(table, lock)) {
      for (;;) {
        const readers = Atomics.load(table.words, row)
        if (readers === 0) break
        wait ??= new Wait(table, owner, lock, 'exclusive', terms)
        wait.refuseDeadlock()
        await sleep(table.words, row, readers, wait, LONGEST_SLEEP_MS)
        if (proofOf(table, owner.id) === WANTED) prove()
        wait.refuseLate()
      }
    }
  } catch (error) {
    wait?.end()
    giveUpClaim(table, lock)
    throw error
  }
  endClaim(table, lock)
  if (!waiting) wait?.end()
}

/**
 * Sleeps until the word at index `at` is woken or no longer `value`, without blocking the thread. Whether it
 * was that, and not the time.
 */
async function sleep(
  words: Int32Array,
  at: number,
  value: number,
  wait: Wait,
  longestMs: number,
): Promise<boolean> {
  if (!Atomics.waitAsync) {
    await pauseFor(POLL_MS)
    wait.slept(false)
    return false
  }
  const beganMs = elapsedMs()
  const waiting = Atomics.waitAsync(words, at, value, wait.sleepMs(longestMs))
  if (!waiting.async) {
    wait.slept(true)
    return true
  }
  // A pending waitAsync does not keep a process alive; a timer does.
  const letEnd = keepAlive()
  try {
    const isWoken = (await waiting.value) !== 'timed-out'
    wait.slept(isWoken)
    // Its time is counted from when the event loop last looked at the clock.
    if (elapsedMs() - beganMs < FIRST_SLEEP_MS) wait.distrustBits()
    return isWoken
  } finally {
    letEnd()
  }
}
