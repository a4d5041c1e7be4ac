/**
 * One wait for a lock, from its publication to its end: the part that blocking threads and non-blocking tasks
 * have in common (acquire.ts).
 *
 * A wait stays published until it is granted or given up, also during spurious wake-ups. A reader withdraws
 * it during each try to enter (acquire.ts). After each publication, and each time the lock has changed hands,
 * the wait looks for a deadlock before the next sleep. For one that it only suspects, it searches again after
 * short sleeps, once for all waits of a thread (suspects.ts).
 */

import { elapsedMs, nowMs } from '../../core/clock.ts'
import { type Caller, DeadlockError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { stackAt } from './caller-stack.ts'
import { findDeadlock, isWaitedFor, type Search } from './deadlock.ts'
import { noticeEndOf } from './deaths.ts'
import { FREE_SLOT, HEADER, WAKE_ALL } from './layout.ts'
import { WaitWatch } from './long-waits.ts'
import { kindOf, type Owner } from './owners.ts'
import { endWait, publishWait } from './published-wait.ts'
import { isOpen, readersOf } from './readers.ts'
import { type Suspects, suspectsWith } from './suspects.ts'
import { addressOf, ownerIn, type Table } from './table.ts'
import { damaged } from './table-layout.ts'
import { timedOut } from './time-limit.ts'

/** The longest sleep of a waiter; after it, the waiter checks the lock, and that its owner lives. */
export const MAX_SLEEP_MS = 100
/**
 * The length of a first sleep; after it the waiter checks that its waiter bits are still set (acquire.ts). A
 * store leaves a processor's buffer within microseconds, even if it misses every cache, and at the latest
 * when the system switches threads: a millisecond is far longer.
 */
export const FIRST_SLEEP_MS = 1
/** The number of last checks of the lock when the time is over; together some ten microseconds. */
const LAST_CHECKS = 2000

/**
 * A wait that is not woken searches again once its sleeps exceed the steps of its last search divided by
 * this.
 */
const STEPS_PER_SLEEP = 32

/**
 * How a sleep ended: by a wake-up or because the word had changed; by time; or by time, but so early that it
 * proves nothing about the waiter bits.
 */
export type SleepEnd = 'woken' | 'timed-out' | 'too-short'

/** The terms on which a request waits. */
export interface Terms {
  /** Published stacks begin above this. */
  readonly caller: Caller | undefined
  /** The stack to publish, if it is already known. */
  readonly stack?: string
  /** When the request is given up, on the clock of `elapsedMs()`. */
  readonly untilMs?: number | undefined
  /** The time limit, counted from the beginning of the request. */
  readonly timeoutMs?: number | undefined
}

/** A wait; its constructor publishes it. */
export class Wait {
  readonly #table: Table
  readonly #owner: Owner
  readonly #lock: number
  readonly #mode: LockMode
  readonly #terms: Terms
  readonly #sinceMs = nowMs()
  readonly #stack: string
  readonly #mayDeadlock: boolean
  readonly #watch: WaitWatch
  #isPublished = false
  #isChecked = false
  readonly #search: Search
  /** The suspects that look for a deadlock with this wait, once it suspects one. */
  #suspects: Suspects | undefined
  /** The number of sleeps since the last search for a deadlock. */
  #sleeps = 0
  /** Whether the last sleep ended by time. */
  #hasSleptOut = false
  /** Whether the waiter bits were still set after such a sleep, so that the present sleep may be long. */
  #trustsBits = false

  constructor(table: Table, owner: Owner, lock: number, mode: LockMode, terms: Terms) {
    this.#table = table
    this.#owner = owner
    this.#lock = lock
    this.#mode = mode
    this.#terms = terms
    const word = addressOf(table, lock)
    this.#search = { owner, word, isSuspected: false, report: undefined, steps: 0 }
    this.#mayDeadlock = table.layout.order === 'free'
    this.#stack = this.#mayDeadlock ? (terms.stack ?? stackAt(terms.caller)) : ''
    this.#watch = new WaitWatch(table, owner, this.#sinceMs, lock)
    this.publish()
  }

  /** Publishes the wait, first or again after {@link end}. */
  publish(): void {
    this.#isPublished = true
    this.#isChecked = false
    this.#search.report = undefined
    publishWait(this.#table, this.#owner, {
      lock: this.#lock,
      mode: this.#mode,
      sinceMs: this.#sinceMs,
      stack: this.#stack,
    })
  }

  /**
   * Withdraws the published wait: it is granted or given up, or a reader tries to enter. A second call
   * changes nothing.
   */
  end(): void {
    if (!this.#isPublished) return
    this.#isPublished = false
    this.#watch.end()
    this.#suspects?.remove(this.#search)
    endWait(this.#table, this.#owner)
  }

  /** Notes that the wait has new blockers: no search for a deadlock has followed them. */
  change(): void {
    this.#isChecked = false
  }

  /** Throws if the wait is a deadlock's victim; the wait has then ended. */
  refuseDeadlock(): void {
    if (!this.#mayDeadlock) return
    const search = this.#search
    if (search.isSuspected) this.#suspects?.check()
    else if (!this.#isChecked) this.#lookForDeadlock()
    if (search.report) throw new DeadlockError(search.report)
  }

  /** Searches by itself, unless other waits of its thread suspect a deadlock: then one search serves all. */
  #lookForDeadlock(): void {
    const [table, owner, search] = [this.#table, this.#owner, this.#search]
    this.#isChecked = true
    this.#sleeps = 0
    this.#suspects ??= suspectsWith(table, owner)
    if (this.#suspects.areNone) findDeadlock(table, search)
    else search.isSuspected = isWaitedFor(table, owner)
    if (search.isSuspected) this.#suspects.add(search)
  }

  /**
   * Notes the end of a sleep. A woken wait may now wait for another owner, or for the same one, which has got
   * the lock from others meanwhile. A wait that was not woken searches only now and then: the longer the last
   * search, the less often.
   */
  slept(end: SleepEnd): void {
    if (end !== 'woken') this.#checkHolders()
    if (end === 'too-short') this.distrustBits()
    this.#sleeps++
    if (end === 'woken' || this.#sleeps > this.#search.steps / STEPS_PER_SLEEP)
      this.#isChecked = false
  }

  /** Notes that the last sleep proves nothing about the waiter bits: it was too short, or on another word. */
  distrustBits(): void {
    this.#hasSleptOut = false
  }

  /**
   * Sets waiter bits in the word at index `at`, which was read as `seen`, and raises the sleep count. Returns
   * how long to sleep at most on `seen | bits`; 0 if the word has changed and must be read again. acquire.ts
   * says when the time is short.
   */
  announce(at: number, seen: number, bits: number): number {
    const { words } = this.#table
    const areSet = (seen & bits) === bits
    if (!areSet && Atomics.compareExchange(words, at, seen, seen | bits) !== seen) return 0
    this.#trustsBits = areSet && this.#hasSleptOut
    this.#hasSleptOut = false
    Atomics.add(words, HEADER.sleepCount >> 2, 1)
    return this.#trustsBits ? MAX_SLEEP_MS : FIRST_SLEEP_MS
  }

  /** The time to sleep: at most `longestMs`, and within the time limit. */
  sleepMs(longestMs: number): number {
    const { untilMs } = this.#terms
    const pauseMs = this.#search.isSuspected ? this.#suspects?.pauseMs : undefined
    const most = Math.min(longestMs, pauseMs ?? longestMs)
    return untilMs === undefined ? most : Math.max(0, Math.min(most, untilMs - elapsedMs()))
  }

  /**
   * Throws if the time is over and the lock is not available. First checks the lock LAST_CHECKS times,
   * because a thread that wakes late may not have checked it for a long time. The wait has ended when it
   * throws. Also reports a wait that lasts long.
   */
  refuseLate(): void {
    const { untilMs, timeoutMs, stack, caller } = this.#terms
    this.#watch.check(this.#mode, () => stack ?? stackAt(caller))
    if (untilMs === undefined || elapsedMs() < untilMs) return
    // The last sleep was cut short, and proves nothing.
    this.#hasSleptOut = false
    for (let check = 0; check < LAST_CHECKS; check++) if (this.#canBeHad()) return
    const { seen } = this.#watch
    const error = timedOut(this.#table, this.#owner, this.#lock, seen, timeoutMs)
    this.end()
    // Pass on a wake-up that came too late for this wait. Wake all if bits that this wait has set may still
    // be erased, because other waiters rely on them.
    const at = addressOf(this.#table, this.#lock) >> 2
    Atomics.notify(this.#table.words, at, this.#trustsBits ? 1 : Number.POSITIVE_INFINITY)
    throw error
  }

  /** Whether the lock is open; or, if this owner is its pending writer, without readers. */
  #canBeHad(): boolean {
    const seen = Atomics.load(this.#table.words, addressOf(this.#table, this.#lock) >> 2)
    if (ownerIn(seen) !== this.#owner.id) return isOpen(seen)
    return readersOf(this.#table, this.#lock).next().done === true
  }

  /** Checks, after a sleep that ended by time, that the owners it waits for exist and live. */
  #checkHolders(): void {
    const table = this.#table
    this.#hasSleptOut = true
    const at = addressOf(table, this.#lock) >> 2
    const seen = Atomics.load(table.words, at)
    const holder = ownerIn(seen)
    if (holder === this.#owner.id) {
      for (const reader of readersOf(table, this.#lock)) noticeEndOf(table, this.#owner, reader)
    } else if (holder !== 0) {
      const isNobody = (): boolean => kindOf(table, holder) === FREE_SLOT
      if (!isNobody()) noticeEndOf(table, this.#owner, holder)
      // Check twice: another owner may have got the slot meanwhile, and the lock too.
      else if (Atomics.load(table.words, at) === seen && isNobody()) {
        throw damaged(`owner ${holder} holds a lock, but does not exist`)
      }
    }
  }
}

/**
 * Wakes the sleepers on a lock that was just released, as its waiter bits ask for; returns whether there were
 * any.
 */
export function wake(words: Int32Array, word: number, bits: number): boolean {
  const most = (bits & WAKE_ALL) !== 0 ? Number.POSITIVE_INFINITY : 1
  return Atomics.notify(words, word >> 2, most) > 0
}
