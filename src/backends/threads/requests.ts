/**
 * What the kernel could not do at once: requests that must wait, or must be refused, and freeing that
 * must wake someone or is out of turn. All numbers here are locks' own, checked before.
 */

import { elapsedMs } from '../../core/clock.ts'
import { type Caller, LockUsageError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { freedAfter } from './callback.ts'
import { inherit, isLeft, noticeEndOf, type OnOwnerDied, recover } from './deaths.ts'
import { ALL_DONE, HIGH_BUSY, type Kernel, NOT_ON_TOP, notOnTop } from './kernel.ts'
import { LINK_OFFSET, SHARED, WAKE_ALL } from './layout.ts'
import { intend, lastTaken, type Owner, pushHeld, removeHeld, waitsForOf } from './owners.ts'
import { modeIn, type Plan, planFor } from './plan.ts'
import { leave, readersOf } from './readers.ts'
import {
  holdsAlone,
  mustNotBlock,
  notHeld,
  refuse,
  refuseOwnThread,
  refuseRepaired,
} from './refusals.ts'
import { addressOf, numberOf, ownerIn, type Table } from './table.ts'
import type { Tasks } from './tasks.ts'
import { LONGEST_SLEEP_MS, type Terms, wake } from './wait.ts'
import { mayBlock, Waiter } from './waiter.ts'

/** A request with more locks than this is not given back to stand back: that costs more than it saves. */
const MOST_GIVEN_BACK = 64

/** The requests of one thread. */
export class Requests {
  readonly #table: Table
  readonly #owner: Owner
  readonly #kernel: Kernel
  readonly #tasks: Tasks
  readonly #onOwnerDied: OnOwnerDied | undefined
  readonly #waiter: Waiter
  readonly #lockCount: number
  /** In a re-entrant table: how often more than once each lock is held shared. */
  readonly #sharedAgain = new Map<number, number>()
  /** There too: how often each lock is held shared by who holds it alone, which is to hold it again. */
  readonly #sharedAlone = new Map<number, number>()
  #repairs = 0
  /**
   * When a try last looked whether an owner lives, or through the readers of a lock `i`, under `-1 - i`. Only
   * looks of the last LONGEST_SLEEP_MS, the oldest first.
   */
  readonly #lookedMs = new Map<number, number>()
  #hasWoken = false

  constructor(
    table: Table,
    owner: Owner,
    kernel: Kernel,
    tasks: Tasks,
    onOwnerDied: OnOwnerDied | undefined,
  ) {
    this.#table = table
    this.#owner = owner
    this.#kernel = kernel
    this.#tasks = tasks
    this.#onOwnerDied = onOwnerDied
    this.#waiter = new Waiter(table, owner)
    this.#lockCount = table.layout.lockCount
  }

  /** How often this thread slept because a lock was busy. */
  get sleeps(): number {
    return this.#waiter.sleeps
  }

  /** The lock of a record. */
  lockOf(record: number): number {
    return record % this.#lockCount
  }

  /**
   * Takes a plan's locks, of which the first `done` are held already, by waiting wherever one cannot be
   * had at once. Standing back means giving all of them back and beginning anew. When it throws, none
   * of them is held.
   */
  takeAll(plan: Plan, terms: Terms, done = 0): void {
    const { locks } = plan
    let taken = done
    try {
      while (taken < locks.length) {
        if (this.#takeOne(locks[taken] as number, plan, taken, terms)) taken++
        else {
          this.freeAll(plan, taken)
          taken = 0
          this.#waiter.nap()
        }
      }
    } catch (error) {
      this.freeAll(plan, taken)
      throw error
    }
  }

  /** Takes the lock of one record. */
  take(record: number, mode: LockMode, caller: Caller): void {
    const lock = this.lockOf(record)
    const plan = mode === 'shared' ? { locks: [lock], shared: new Set([lock]) } : planFor(lock)
    this.takeAll(plan, { caller })
  }

  /** Takes the locks of two records, where the kernel answered `answer`. */
  takePair(a: number, b: number, answer: number, caller: Caller): void {
    this.takeAll(this.#pairOf(a, b), { caller }, answer === HIGH_BUSY ? 1 : 0)
  }

  /** Takes every lock of the table, where the kernel has taken those before `busy` and met this one. */
  takeEvery(busy: number, caller: Caller): void {
    let taken = busy
    try {
      for (;;) {
        if (this.#takeOne(taken, planFor(taken), taken, { caller })) taken++
        else {
          this.#freeDownFrom(taken - 1)
          taken = 0
          this.#waiter.nap()
        }
        if (taken === this.#lockCount) return
        const next = this.#kernel.lockAll(taken)
        if (next === ALL_DONE) return
        taken = next
      }
    } catch (error) {
      this.#freeDownFrom(taken - 1)
      throw error
    }
  }

  /** Takes a plan's locks if that needs no waiting; else none of them, and the answer is false. */
  tryTakeAll(plan: Plan, caller: Caller): boolean {
    let taken = 0
    let isAll = false
    try {
      while (taken < plan.locks.length && this.#tryOne(plan, taken, caller)) taken++
      isAll = taken === plan.locks.length
    } finally {
      if (!isAll) this.freeAll(plan, taken)
    }
    return isAll
  }

  #tryOne(plan: Plan, place: number, caller: Caller): boolean {
    const lock = plan.locks[place] as number
    const mode = modeIn(plan, lock)
    if (this.#takeFree(lock, mode)) return true
    if (this.#holds(lock)) return false
    refuse(this.#table, this.#owner, lock, plan, { caller })
    const seen = this.#wordOf(lock)
    if (this.#takeAtOnce(lock, mode, seen)) return true
    if (!this.#inheritIfLeft(lock, seen, caller)) {
      this.#lookAfterHolders(lock, seen)
      return false
    }
    return this.#takeAtOnce(lock, mode, this.#wordOf(lock))
  }

  /** Do the holders of a busy lock live? A thread that only ever tries would not learn it by a sleep. */
  #lookAfterHolders(lock: number, seen: number): void {
    const now = elapsedMs()
    this.#lookAfter(ownerIn(seen), now)
    // Each try would go through the whole row otherwise.
    if ((seen & SHARED) === 0 || !this.#isDue(-1 - lock, now)) return
    for (const reader of readersOf(this.#table, lock)) this.#lookAfter(reader, now)
  }

  #lookAfter(id: number, now: number): void {
    if (id !== 0 && this.#isDue(id, now)) noticeEndOf(this.#table, this.#owner, id)
  }

  /** Whether the last look at this key, if any, was long enough ago; then this is one. */
  #isDue(key: number, now: number): boolean {
    const looked = this.#lookedMs
    if (now - (looked.get(key) ?? Number.NEGATIVE_INFINITY) < LONGEST_SLEEP_MS) return false
    // The oldest come first.
    for (const [old, lookedMs] of looked) {
      if (now - lookedMs < LONGEST_SLEEP_MS) break
      looked.delete(old)
    }
    looked.set(key, now)
    return true
  }

  /**
   * Frees the first `taken` locks of a plan, the last one taken first.
   *
   * @throws LockUsageError if some are not held any more, when all others are free.
   */
  freeAll(plan: Plan, taken: number = plan.locks.length, caller?: Caller): void {
    let missing: number[] | undefined
    for (let i = taken - 1; i >= 0; i--) {
      const lock = plan.locks[i] as number
      if (this.#freeOne(lock, modeIn(plan, lock))) continue
      missing = [lock, ...(missing ?? [])]
    }
    this.#letWokenGoFirst()
    if (missing) throw this.#notHeld(missing, caller)
  }

  /** Frees one lock that is held shared. */
  freeShared(lock: number, caller: Caller): void {
    if (!this.#freeOne(lock, 'shared')) throw this.#notHeld([lock], caller)
    this.#letWokenGoFirst()
  }

  /** False if this thread does not hold the lock so; then nothing has changed. */
  #freeOne(lock: number, mode: LockMode): boolean {
    const isAlone = this.#table.layout.reentrant && !this.#owner.shared.has(lock)
    if (mode === 'shared' && isAlone) {
      const times = this.#sharedAlone.get(lock) ?? 0
      if (times === 0) return false
      this.#sharedAlone.set(lock, times - 1)
    }
    if (mode === 'exclusive' || isAlone) {
      const answer = this.#kernel.unlock(lock)
      return answer === 0 || this.#finishFreeingOne(lock, answer)
    }
    if (!this.#owner.shared.has(lock)) return false
    const again = this.#sharedAgain.get(lock) ?? 0
    if (again > 0) this.#sharedAgain.set(lock, again - 1)
    else leave(this.#table, this.#owner, lock)
    return true
  }

  /** Frees an abandoned lock and all others that its thread left. */
  recover(lock: number, caller: Caller): void {
    recover(this.#table, this.#owner, lock, caller)
  }

  /** Throws unless this thread holds the locks of both records. */
  mustHoldPair(a: number, b: number, caller: Caller): void {
    const { locks } = this.#pairOf(a, b)
    const isHeld = (lock: number): boolean => holdsAlone(this.#table, this.#owner, lock)
    if (!locks.every(isHeld)) throw this.#notHeld(locks, caller)
  }

  /**
   * Frees every lock, where the kernel's `unlockAll` gave this answer.
   *
   * @throws LockUsageError if some are not held any more, when all others are free.
   */
  freeEvery(answer: number, caller: Caller): void {
    const missing = this.#freeDownFrom(this.#lockCount - 1, answer)
    if (missing.length > 0) throw this.#notHeld(missing, caller)
  }

  /** Finishes what the kernel's `unlock` left: waiters to wake, or a lock deeper in the list. */
  finishFreeing(lock: number, answer: number, caller: Caller): void {
    if (!this.#finishFreeingOne(lock, answer)) throw this.#notHeld([lock], caller)
    this.#letWokenGoFirst()
  }

  /**
   * Frees the locks of two records after their callback threw: its error, which is the one to be thrown
   * also where one of them is not held any more.
   */
  freedPairAfter(error: unknown, a: number, b: number): unknown {
    return freedAfter(error, () => this.freeAll(this.#pairOf(a, b)))
  }

  /** The same for what the kernel's `unlock2` left of the locks of two records. */
  finishFreeingPair(a: number, b: number, answer: number, caller: Caller): void {
    const plan = this.#pairOf(a, b)
    const [low, high] = plan.locks as readonly [low: number, high?: number]
    if (answer === NOT_ON_TOP) {
      this.freeAll(plan, plan.locks.length, caller)
      return
    }
    if (high === undefined) this.#wake(low, answer)
    else {
      this.#wake(high, answer & 3)
      this.#wake(low, answer >> 2)
    }
    this.#letWokenGoFirst()
  }

  /** False if this thread does not hold the lock; then nothing has changed. */
  #finishFreeingOne(lock: number, answer: number): boolean {
    let bits = answer
    if (answer === NOT_ON_TOP) {
      if (!holdsAlone(this.#table, this.#owner, lock)) return false
      const word = addressOf(this.#table, lock)
      intend(this.#table, this.#owner, lock)
      removeHeld(this.#table, this.#owner, word)
      bits = Atomics.exchange(this.#table.words, word >> 2, 0) ^ this.#owner.me
    }
    this.#wake(lock, bits)
    return true
  }

  /**
   * Takes one lock of a plan of which `taken` others are held, however long that takes; or says why it
   * never can be had; or answers false: the thread should stand back from the whole request.
   */
  #takeOne(lock: number, plan: Plan, taken: number, terms: Terms): boolean {
    const { caller } = terms
    const mode = modeIn(plan, lock)
    if (this.#takeFree(lock, mode)) return true
    refuse(this.#table, this.#owner, lock, plan, terms)
    for (;;) {
      const seen = this.#wordOf(lock)
      if (this.#takeAtOnce(lock, mode, seen)) return true
      if (this.#inheritIfLeft(lock, seen, caller)) continue
      if (!mayBlock) throw mustNotBlock(caller)
      this.#tasks.refuseToBlock(lock, caller)
      refuseOwnThread(this.#table, this.#owner, lock, seen, caller)
      if (this.#waiter.metBusyLock() && this.#holdsOnly(taken)) return false
      // The intent that takeAtOnce published still stands.
      if (!this.#waiter.take(lock, mode, terms)) continue
      if (mode === 'exclusive') pushHeld(this.#table, this.#owner, addressOf(this.#table, lock))
      return true
    }
  }

  /** Takes a lock by the kernel; or, where the table is re-entrant, one more time. */
  #takeFree(lock: number, mode: LockMode): boolean {
    if (mode === 'exclusive') return this.#kernel.lock(lock) === 0
    if (!this.#table.layout.reentrant || !this.#holds(lock)) return false
    if (!this.#owner.shared.has(lock)) {
      this.#sharedAlone.set(lock, (this.#sharedAlone.get(lock) ?? 0) + 1)
      return this.#kernel.lock(lock) === 0
    }
    this.#sharedAgain.set(lock, (this.#sharedAgain.get(lock) ?? 0) + 1)
    return true
  }

  /** Takes a lock that this thread may ask for, if that needs no waiting, as its word was `seen`. */
  #takeAtOnce(lock: number, mode: LockMode, seen: number): boolean {
    intend(this.#table, this.#owner, lock)
    if (!this.#waiter.takeAtOnce(lock, mode, seen)) return false
    if (mode === 'exclusive') pushHeld(this.#table, this.#owner, addressOf(this.#table, lock))
    return true
  }

  /** Of a lock whose owner died and which nobody repairs: makes it sound, or throws. */
  #inheritIfLeft(lock: number, seen: number, caller: Caller | undefined): boolean {
    if (!isLeft(this.#table, seen)) {
      if (this.#repairs > 0) refuseRepaired(this.#table, this.#owner, lock, seen, caller)
      return false
    }
    this.#repairs++
    try {
      inherit(this.#table, this.#owner, lock, this.#onOwnerDied, caller)
    } finally {
      this.#repairs--
    }
    return true
  }

  /** Throws while this thread waits for a lock, as in `onLongWait`, or `onOwnerDied` runs in it. */
  refuseIfBusy(): void {
    const word = waitsForOf(this.#table, this.#owner.id)
    if (word !== 0) {
      throw new LockUsageError(
        `close: ${this.#owner.label} waits for lock ${numberOf(this.#table, word)}; close the table ` +
          'when that call has returned, not in onLongWait',
      )
    }
    if (this.#repairs === 0) return
    throw new LockUsageError(
      'close: onOwnerDied is repairing what another thread left; close the table when it has returned',
    )
  }

  /** Frees the locks from `last` down to 0, where the kernel gave this answer; those that are not held. */
  #freeDownFrom(
    last: number,
    first: number = last < 0 ? ALL_DONE : this.#kernel.unlockAll(last),
  ): number[] {
    const missing: number[] = []
    for (let answer = first; answer !== ALL_DONE; ) {
      const isFreed = answer >= 0
      const lock = isFreed ? answer : notOnTop(answer)
      if (isFreed) this.#wake(lock, WAKE_ALL)
      else if (!this.#finishFreeingOne(lock, NOT_ON_TOP)) missing.unshift(lock)
      answer = lock > 0 ? this.#kernel.unlockAll(lock - 1) : ALL_DONE
    }
    this.#letWokenGoFirst()
    return missing
  }

  /** The plan for the locks of two records. */
  #pairOf(a: number, b: number): Plan {
    const first = this.lockOf(a)
    const second = this.lockOf(b)
    if (first === second) return planFor(first)
    return first < second ? planFor(first, second) : planFor(second, first)
  }

  /** Wakes those who sleep on a lock that was just freed, as its waiter bits ask for. */
  #wake(lock: number, bits: number): void {
    if (bits === 0) return
    if (wake(this.#table.words, addressOf(this.#table, lock), bits)) this.#hasWoken = true
  }

  #letWokenGoFirst(): void {
    if (!this.#hasWoken || lastTaken(this.#table, this.#owner) !== 0) return
    this.#hasWoken = false
    this.#waiter.letWokenGoFirst()
  }

  #wordOf(lock: number): number {
    return Atomics.load(this.#table.words, addressOf(this.#table, lock) >> 2)
  }

  /** Whether this thread holds a lock, in whatever mode. */
  #holds(lock: number): boolean {
    return this.#owner.shared.has(lock) || holdsAlone(this.#table, this.#owner, lock)
  }

  /** Whether the locks of a request, `taken` in number, are all that this thread holds. */
  #holdsOnly(taken: number): boolean {
    if (taken > MOST_GIVEN_BACK || this.#owner.shared.size > 0) return false
    let word = lastTaken(this.#table, this.#owner)
    for (let i = 0; i < taken; i++) word = this.#table.words[(word + LINK_OFFSET) >> 2] as number
    return word === 0
  }

  #notHeld(locks: readonly number[], caller: Caller | undefined): Error {
    const isTasks = this.#tasks.holdsAny(locks)
    return notHeld(this.#table, this.#owner, locks, isTasks, caller)
  }
}
