/**
 * What the kernel could not do at once: requests that must wait, or must be refused, and freeing that
 * must wake someone or is out of turn. All numbers here are locks' own, checked before.
 */

import { type Caller, DeadlockError, LockOrderError, LockUsageError } from '../../core/errors.ts'
import { describeSelfDeadlock } from './deadlock.ts'
import { inherit, isLeft, type OnOwnerDied, recover } from './deaths.ts'
import { ALL_DONE, BUSY, HIGH_BUSY, type Kernel, NOT_ON_TOP, REFUSED } from './kernel.ts'
import { FREE_SLOT, LINK_OFFSET, WAKE_ALL } from './layout.ts'
import { ownLifeline } from './lifelines.ts'
import {
  kindOf,
  labelOf,
  lastTaken,
  leaderOf,
  locksHeldBy,
  type Owner,
  pushHeld,
  removeHeld,
  tagOf,
} from './owners.ts'
import { addressOf, describeLocks, ownerIn, type Table } from './table.ts'
import type { Tasks } from './tasks.ts'
import { mayBlock, stackAt, Waiter, wake } from './waiter.ts'

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
   * Takes a set of locks (ascending, each once), of which the first `done` are held already, by
   * waiting wherever the kernel cannot have one at once. Standing back means giving all of them back
   * and beginning anew. When it throws, none of them is held.
   */
  takeAll(locks: readonly number[], caller: Caller, done = 0): void {
    let taken = done
    try {
      while (taken < locks.length) {
        if (this.#takeOne(locks[taken] as number, caller, taken, locks)) taken++
        else {
          this.freeAll(locks, taken)
          taken = 0
          this.#waiter.nap()
        }
      }
    } catch (error) {
      this.freeAll(locks, taken)
      throw error
    }
  }

  /** Takes the locks of two records, where the kernel answered `answer`. */
  takePair(a: number, b: number, answer: number, caller: Caller): void {
    const locks = this.#locksOf(a, b)
    if (answer === REFUSED) throw this.#refusal(locks[0], caller, locks)
    this.takeAll(locks, caller, answer === HIGH_BUSY ? 1 : 0)
  }

  /** Takes every lock of the table, where the kernel has taken those before `busy` and met this one. */
  takeEvery(busy: number, caller: Caller): void {
    let taken = busy
    try {
      for (;;) {
        if (this.#takeOne(taken, caller, taken, [taken])) taken++
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

  /** Takes a set of locks if that needs no waiting; else none of them, and the answer is false. */
  tryTakeAll(locks: readonly number[], caller: Caller): boolean {
    for (const [taken, lock] of locks.entries()) {
      let answer = this.#kernel.lock(lock)
      if (answer === 0) continue
      try {
        if (answer === BUSY && this.#inheritIfLeft(lock, this.#wordOf(lock), caller)) {
          answer = this.#kernel.lock(lock)
        }
      } catch (error) {
        this.freeAll(locks, taken)
        throw error
      }
      if (answer === 0) continue
      this.freeAll(locks, taken)
      if (answer === REFUSED && !this.#holds(lock)) throw this.#orderError(lock, caller, locks)
      return false
    }
    return true
  }

  /**
   * Frees the first `taken` of some locks, the last one taken first.
   *
   * @throws LockUsageError if some are not held any more, when all others are free.
   */
  freeAll(locks: readonly number[], taken: number = locks.length, caller?: Caller): void {
    let missing: number[] | undefined
    for (let i = taken - 1; i >= 0; i--) {
      const lock = locks[i] as number
      const answer = this.#kernel.unlock(lock)
      if (answer === 0 || this.#finishFreeingOne(lock, answer)) continue
      missing = [lock, ...(missing ?? [])]
    }
    this.#letWokenGoFirst()
    if (missing) throw this.#notHeld(missing, caller)
  }

  /** Frees an abandoned lock and all others that its thread left. */
  recover(lock: number, caller: Caller): void {
    recover(this.#table, this.#owner, lock, caller)
  }

  /** Throws unless this thread holds the locks of both records. */
  mustHoldPair(a: number, b: number, caller: Caller): void {
    const locks = this.#locksOf(a, b)
    if (!locks.every((lock) => this.#holds(lock))) throw this.#notHeld(locks, caller)
  }

  /** Frees every lock, where the kernel has freed those above `left` and left this one unfinished. */
  freeEvery(left: number): void {
    this.#finishInSweep(left)
    this.#freeDownFrom(left - 1)
  }

  /** Finishes what the kernel's `unlock` left: waiters to wake, or a lock deeper in the list. */
  finishFreeing(lock: number, answer: number, caller: Caller): void {
    if (!this.#finishFreeingOne(lock, answer)) throw this.#notHeld([lock], caller)
    this.#letWokenGoFirst()
  }

  /** The same for what the kernel's `unlock2` left of the locks of two records. */
  finishFreeingPair(a: number, b: number, answer: number, caller: Caller): void {
    const locks = this.#locksOf(a, b)
    const [low, high] = locks
    if (answer === NOT_ON_TOP) {
      this.freeAll(locks, locks.length, caller)
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
      if (!this.#holds(lock)) return false
      const word = addressOf(this.#table, lock)
      removeHeld(this.#table, this.#owner, word)
      bits = Atomics.exchange(this.#table.words, word >> 2, 0) ^ this.#owner.me
    }
    this.#wake(lock, bits)
    return true
  }

  /**
   * Takes one lock of a request that has `taken` others already, however long that takes; or says why
   * it never can be had; or answers false: the thread should stand back from the whole request.
   */
  #takeOne(lock: number, caller: Caller, taken: number, request: readonly number[]): boolean {
    const word = addressOf(this.#table, lock)
    for (;;) {
      const answer = this.#kernel.lock(lock)
      if (answer === 0) return true
      const seen = this.#wordOf(lock)
      const holder = ownerIn(seen)
      if (answer === REFUSED || holder === this.#owner.id)
        throw this.#refusal(lock, caller, request)
      if (this.#inheritIfLeft(lock, seen, caller)) continue
      if (!mayBlock) throw mustNotBlock(caller)
      this.#tasks.refuseToBlock(lock, caller)
      this.#refuseOwnThread(lock, holder, caller)
      if (this.#waiter.metBusyLock() && this.#holdsOnly(taken)) return false
      if (!this.#waiter.take(word, caller)) continue
      pushHeld(this.#table, this.#owner, word)
      return true
    }
  }

  /** Throws where this thread has opened the table more than once, and would wait for itself. */
  #refuseOwnThread(lock: number, holder: number, caller: Caller): void {
    if (holder === 0 || tagOf(this.#table, holder) !== ownLifeline().tag) return
    // A place that was given back has no tag, as the main thread.
    if (kindOf(this.#table, holder) === FREE_SLOT) return
    if (leaderOf(this.#table, holder) === this.#owner.id) return
    throw new LockUsageError(
      `${this.#owner.label} would wait for lock ${lock}, which ${labelOf(this.#table, holder)} holds: the ` +
        'same thread, which has opened this table more than once. Open a table once in a thread',
      caller,
    )
  }

  /** Of a lock whose owner died, as its word says, and which nobody repairs: makes it sound, or throws. */
  #inheritIfLeft(lock: number, seen: number, caller: Caller): boolean {
    if (!isLeft(this.#table, seen)) return false
    inherit(this.#table, this.#owner, lock, this.#onOwnerDied, caller)
    return true
  }

  #freeDownFrom(last: number): void {
    for (let from = last; from >= 0; from--) {
      from = this.#kernel.unlockAll(from)
      if (from === ALL_DONE) break
      this.#finishInSweep(from)
    }
    this.#letWokenGoFirst()
  }

  /** What the kernel's `unlockAll` left of a lock: still held, or freed with its waiters to be woken. */
  #finishInSweep(lock: number): void {
    if (this.#holds(lock)) this.#finishFreeingOne(lock, NOT_ON_TOP)
    else this.#wake(lock, WAKE_ALL)
  }

  /** The locks of two records, each once and the lower first. */
  #locksOf(a: number, b: number): readonly [low: number, ...high: number[]] {
    const first = this.lockOf(a)
    const second = this.lockOf(b)
    if (first === second) return [first]
    return first < second ? [first, second] : [second, first]
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

  /** Whether this thread holds a lock. */
  #holds(lock: number): boolean {
    return ownerIn(this.#wordOf(lock)) === this.#owner.id
  }

  #wordOf(lock: number): number {
    return Atomics.load(this.#table.words, addressOf(this.#table, lock) >> 2)
  }

  /** Whether the locks of a request, `taken` in number, are all that this thread holds. */
  #holdsOnly(taken: number): boolean {
    if (taken > MOST_GIVEN_BACK) return false
    let word = lastTaken(this.#table, this.#owner)
    for (let i = 0; i < taken; i++) word = this.#table.words[(word + LINK_OFFSET) >> 2] as number
    return word === 0
  }

  #refusal(lock: number, caller: Caller, request: readonly number[]): Error {
    if (!this.#holds(lock)) return this.#orderError(lock, caller, request)
    const report = describeSelfDeadlock(this.#table, this.#owner, lock, stackAt(caller))
    return new DeadlockError(report, caller)
  }

  #orderError(wanted: number, caller: Caller, request: readonly number[]): LockOrderError {
    const held = locksHeldBy(this.#table, this.#owner.id)
    const all = [...request.slice(0, 9), ...held.slice(-3)].sort((a, b) => a - b)
    const { count } = this.#table.layout
    const shared =
      this.#lockCount === count
        ? ''
        : ` (its ${count} records share ${this.#lockCount} locks: record i has lock i % ${this.#lockCount})`
    return new LockOrderError(
      `lock ${wanted} asked for by ${this.#owner.label} while it holds ${describeLocks(held)}: ` +
        `this table takes locks in ascending order only${shared}. Take them all in one request, ` +
        `such as hold([${all.join(', ')}], …), or create the table with order: 'free'`,
      caller,
    )
  }

  #notHeld(locks: readonly number[], caller: Caller | undefined): LockUsageError {
    const held = locksHeldBy(this.#table, this.#owner.id)
    const reason = this.#tasks.holdsAny(locks)
      ? 'it was taken by holdAsync, which frees it itself'
      : `it holds ${held.length > 0 ? describeLocks(held) : 'nothing'}`
    return new LockUsageError(
      `unlock: ${this.#owner.label} does not hold ${describeLocks(locks)}; ${reason}`,
      caller,
    )
  }
}

function mustNotBlock(caller: Caller): LockUsageError {
  return new LockUsageError(
    'this thread must not block (as the main thread of a browser): use holdAsync',
    caller,
  )
}
