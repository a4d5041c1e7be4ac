/**
 * One wait for a lock, from its publication to its end: what threads that block and tasks
 * that do not have in common (acquire.ts).
 *
 * A published wait stands until it is granted or given up, through spurious wake-ups too. Whenever it
 * is published, or the lock has changed hands, a deadlock is looked for before the next sleep. One that is
 * only suspected is looked for again after short sleeps, once for all waits of a thread (suspects.ts).
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

/** Nobody sleeps longer than this without looking at the lock again, and whether its owner lives. */
export const LONGEST_SLEEP_MS = 100
/**
 * The length of a first sleep, after which a waiter looks whether its announcement stands (acquire.ts).
 * A store leaves a processor's buffer within microseconds, also when it misses every cache, and at the
 * latest when the system switches threads: a millisecond is far longer.
 */
export const FIRST_SLEEP_MS = 1
/** A wait that is over looks so often whether its lock is free just now: some ten microseconds. */
const LAST_LOOKS = 2000

/** A wait that is not woken looks for a deadlock again after each sleep if its last look had so few steps. */
const STEPS_PER_SLEEP = 32

/**
 * How a sleep ended: by a wake-up, or because the word had changed; by time; or by time, but so early that it
 * proves nothing about the waiter bits.
 */
export type SleepEnd = 'woken' | 'timed-out' | 'too-short'

/** The terms on which a request waits. */
export interface Terms {
  /** Published stacks begin above this. */
  readonly caller: Caller | undefined
  /** The stack to be published, where it is known already. */
  readonly stack?: string
  /** When the request is given up, on the clock of `elapsedMs()`. */
  readonly untilMs?: number | undefined
  /** How long that is from its beginning. */
  readonly timeoutMs?: number | undefined
}

/** A wait that is published from its making on. */
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
  /** Those that look for a deadlock with it, once it suspects one. */
  #suspects: Suspects | undefined
  /** How many sleeps there were since a deadlock was looked for. */
  #sleeps = 0
  /** Whether the last sleep ended by time. */
  #hasSleptOut = false
  /** Whether the waiter bits stood when that was so, and the sleep now may be long. */
  #bitsStood = false

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

  /** Publishes the wait, at first or after {@link end}. */
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

  /** It is granted, or given up. Ending it again changes nothing. */
  end(): void {
    if (!this.#isPublished) return
    this.#isPublished = false
    this.#watch.end()
    this.#suspects?.remove(this.#search)
    endWait(this.#table, this.#owner)
  }

  /** It waits for others than before: a deadlock through them has not been looked for. */
  change(): void {
    this.#isChecked = false
  }

  /** Throws if the wait is a deadlock's victim; it has ended then. */
  refuseDeadlock(): void {
    if (!this.#mayDeadlock) return
    const search = this.#search
    if (search.isSuspected) this.#suspects?.look()
    else if (!this.#isChecked) this.#lookForDeadlock()
    if (search.report) throw new DeadlockError(search.report)
  }

  /** Looks by itself, unless other waits of its thread suspect a deadlock: then one search is enough for all. */
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
   * A sleep is over. Woken, it may wait for another owner, or for the same one, which has had the lock from
   * others meanwhile. Where it was not woken it looks now and then: the longer the way, the more seldom.
   */
  slept(end: SleepEnd): void {
    if (end !== 'woken') this.#lookAfter()
    if (end === 'too-short') this.distrustBits()
    this.#sleeps++
    if (end === 'woken' || this.#sleeps > this.#search.steps / STEPS_PER_SLEEP)
      this.#isChecked = false
  }

  /** The sleep that is over proves nothing about the waiter bits: it was too short, or on another word. */
  distrustBits(): void {
    this.#hasSleptOut = false
  }

  /**
   * Sets waiter bits in the word at index `at`, which was read as `seen`, and raises the sleep count.
   * Returns how long to sleep at most on `seen | bits`; 0 where the word has changed, and must be looked
   * at again. acquire.ts says when that is short.
   */
  announce(at: number, seen: number, bits: number): number {
    const { words } = this.#table
    const stands = (seen & bits) === bits
    if (!stands && Atomics.compareExchange(words, at, seen, seen | bits) !== seen) return 0
    this.#bitsStood = stands && this.#hasSleptOut
    this.#hasSleptOut = false
    Atomics.add(words, HEADER.sleepCount >> 2, 1)
    return this.#bitsStood ? LONGEST_SLEEP_MS : FIRST_SLEEP_MS
  }

  /** How long to sleep within the time limit, and `longestMs` at most. */
  sleepMs(longestMs: number): number {
    const { untilMs } = this.#terms
    const pauseMs = this.#search.isSuspected ? this.#suspects?.pauseMs : undefined
    const most = Math.min(longestMs, pauseMs ?? longestMs)
    return untilMs === undefined ? most : Math.max(0, Math.min(most, untilMs - elapsedMs()))
  }

  /**
   * Throws if the time is over and the lock cannot be had: looks for as long as a spin lasts, since a
   * thread that wakes late may not have looked for long. The wait has ended when it throws. Reports a wait
   * that lasts long.
   */
  refuseLate(): void {
    const { untilMs, timeoutMs, stack, caller } = this.#terms
    this.#watch.look(this.#mode, () => stack ?? stackAt(caller))
    if (untilMs === undefined || elapsedMs() < untilMs) return
    // The last sleep was cut short, and proves nothing.
    this.#hasSleptOut = false
    for (let look = 0; look < LAST_LOOKS; look++) if (this.#canBeHad()) return
    const { seen } = this.#watch
    const error = timedOut(this.#table, this.#owner, this.#lock, seen, timeoutMs)
    this.end()
    // A wake-up that came too late for this wait is for the next. All others, while bits that this
    // wait has set may still be wiped out: they rely on them.
    const at = addressOf(this.#table, this.#lock) >> 2
    Atomics.notify(this.#table.words, at, this.#bitsStood ? 1 : Number.POSITIVE_INFINITY)
    throw error
  }

  /** Whether the lock is open; or, where this owner is its pending writer, without readers. */
  #canBeHad(): boolean {
    const seen = Atomics.load(this.#table.words, addressOf(this.#table, this.#lock) >> 2)
    if (ownerIn(seen) !== this.#owner.id) return isOpen(seen)
    return readersOf(this.#table, this.#lock).next().done === true
  }

  /** After a sleep that ended by time: do those live for whom it waits, are they anyone at all? */
  #lookAfter(): void {
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
      // Twice: its place may be another's by now, and the lock too.
      else if (Atomics.load(table.words, at) === seen && isNobody()) {
        throw damaged(`owner ${holder} holds a lock, and is nobody`)
      }
    }
  }
}

/** Wakes those who sleep on a lock that was just freed, as its waiter bits ask for: were there any? */
export function wake(words: Int32Array, word: number, bits: number): boolean {
  const most = (bits & WAKE_ALL) !== 0 ? Number.POSITIVE_INFINITY : 1
  return Atomics.notify(words, word >> 2, most) > 0
}
