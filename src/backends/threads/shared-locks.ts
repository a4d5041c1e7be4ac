/**
 * `SharedLocks`: a table of locks in shared memory, as one thread sees it.
 *
 * Every call is: check the numbers, turn them into lock addresses in ascending order, let the kernel
 * take them, and only where it could not, wait (waiter.ts). Freeing is the same backwards.
 */

import { DeadlockError, LockOrderError, LockUsageError } from '../../core/errors.ts'
import { atomicsKernel } from './atomics-kernel.ts'
import { describeSelfDeadlock } from './deadlock.ts'
import { ALL_DONE, HIGH_BUSY, type Kernel, NOT_ON_TOP, REFUSED } from './kernel.ts'
import { HEADER, LINK_OFFSET, type LockOrder, SLOT, show, WAKE_ALL } from './layout.ts'
import { claimThread, locksHeldBy, type Owner, releaseOwner } from './owners.ts'
import {
  addressOf,
  createTable,
  handleOf,
  openTable,
  ownerIn,
  type RecordView,
  type SharedLocksHandle,
  type Table,
  viewRecords,
} from './table.ts'
import { Tasks } from './tasks.ts'
import { type Caller, mayBlock, stackAt, Waiter, wake } from './waiter.ts'
import { wasmKernel } from './wasm-kernel.ts'

/** A request with more locks than this is not given back to stand back: that costs more than it saves. */
const MOST_GIVEN_BACK = 64

/** What a new table is to be. */
export interface SharedLocksOptions {
  /** How many records, and so how many lock numbers: from 0 to `count - 1`. */
  readonly count: number
  /**
   * Bytes from one record to the next, a multiple of 8. Default 64: a cache line each, which is best
   * up to thousands of records; 16 or 32 is better for many more. Where every record has a lock of its
   * own the first 8 bytes are the lock's and the rest are yours; in a striped table all are yours.
   */
  readonly recordBytes?: number
  /**
   * Share this many locks among all records (record `i` has lock `i % stripes`). Default: a lock for
   * every record. 64 to 1,024 stripes keep memory flat and make {@link SharedLocks.holdAll} cheap;
   * 1 is a global lock.
   */
  readonly stripes?: number
  /**
   * `'ascending'` (default): taking a lower number while holding a higher one throws
   * `LockOrderError`, so a deadlock cannot happen. `'free'`: any order; a deadlock is detected when
   * it closes and one of its threads gets `DeadlockError`.
   */
  readonly order?: LockOrder
  /** How many threads and asynchronous holdings can have the table open at once. Default 128. */
  readonly owners?: number
  /** Default `'wasm'`: a shared WebAssembly memory. `'buffer'`: a plain SharedArrayBuffer. */
  readonly memory?: 'wasm' | 'buffer'
  /** What this thread is called in reports. Default `thread N`. */
  readonly label?: string
}

/** How a thread opens a table. */
export interface OpenOptions {
  /** What this thread is called in reports. Default `thread N`. */
  readonly label?: string
}

/**
 * Locks in shared memory. Make one with {@link SharedLocks.create}, send its `handle` to other
 * threads, and {@link SharedLocks.open} it once in each.
 *
 * Errors of every call that takes locks: `LockUsageError` (a number that is none of this table's),
 * `LockOrderError` (against the order), `DeadlockError` (order `'free'`; and in any order for a thread
 * that asks for a lock it holds: locks are not re-entrant). None of them leaves anything taken that
 * was not held before.
 */
export class SharedLocks {
  readonly #table: Table
  readonly #owner: Owner
  readonly #kernel: Kernel
  readonly #lock: Kernel['lock']
  readonly #unlock: Kernel['unlock']
  readonly #lock2: Kernel['lock2']
  readonly #unlock2: Kernel['unlock2']
  readonly #waiter: Waiter
  readonly #tasks: Tasks
  #count: number
  readonly #lockCount: number
  #closed = false

  private constructor(table: Table, label: string | undefined) {
    const { layout } = table
    const owner = claimThread(table, label)
    this.#table = table
    this.#owner = owner
    this.#kernel = kernelFor(table, owner)
    this.#lock = this.#kernel.lock
    this.#unlock = this.#kernel.unlock
    this.#lock2 = this.#kernel.lock2
    this.#unlock2 = this.#kernel.unlock2
    this.#waiter = new Waiter(table, owner)
    this.#tasks = new Tasks(table, owner)
    this.#count = layout.count
    this.#lockCount = layout.lockCount
  }

  /**
   * Makes a new table; this thread is its first owner.
   *
   * @throws LockUsageError for an option out of its range.
   */
  static create(options: SharedLocksOptions): SharedLocks {
    const { memory = 'wasm' } = options
    if (memory !== 'wasm' && memory !== 'buffer') {
      throw new LockUsageError(`memory must be 'wasm' or 'buffer', not ${show(memory)}`)
    }
    return new SharedLocks(createTable(options, memory), options.label)
  }

  /**
   * Opens a table in this thread, which becomes one more owner of it. Open it once in a thread.
   *
   * @throws LockUsageError if `handle` is not a table's, or all its owners are in use.
   */
  static open(handle: SharedLocksHandle, options: OpenOptions = {}): SharedLocks {
    return new SharedLocks(openTable(handle), options.label)
  }

  /** What to send to another thread, as `workerData` or by `postMessage`. */
  get handle(): SharedLocksHandle {
    return handleOf(this.#table)
  }

  /** How many records, and lock numbers, there are. */
  get count(): number {
    return this.#table.layout.count
  }

  /** How many locks stand behind them: `count`, or the number of stripes. */
  get lockCount(): number {
    return this.#lockCount
  }

  /** Bytes from one record to the next. */
  get recordBytes(): number {
    return this.#table.layout.recordBytes
  }

  /** The order this table keeps. */
  get order(): LockOrder {
    return this.#table.layout.order
  }

  /** This thread's number in the table, from 1. */
  get thread(): number {
    return this.#owner.id
  }

  /** What this thread is called in reports. */
  get label(): string {
    return this.#owner.label
  }

  /** How often this thread slept because a lock was busy. */
  get sleeps(): number {
    return this.#waiter.sleeps
  }

  /**
   * The users' bytes as a typed array. The first of record `i` is element
   * `i * recordBytes / View.BYTES_PER_ELEMENT`; where every record has a lock of its own, a record has
   * `recordBytes - 8` bytes, and what lies behind them is the next record's lock: leave it alone.
   */
  view<View>(View: RecordView<View>): View {
    return viewRecords(this.#table, View)
  }

  /**
   * Takes locks `a` and `b`, the lower number first whatever the order given, calls `fn(...args)`,
   * frees them and returns what `fn` returned. Blocks the thread while a lock is busy.
   *
   * The hot path: a function that stays the same, with its arguments, costs no more than calls written
   * by hand; a fresh closure for every call costs a third more.
   */
  holdPair<Args extends unknown[], Result>(
    a: number,
    b: number,
    fn: (...args: Args) => Result,
    ...args: Args
  ): Result {
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count)
    const busy = this.#lock2(a, b)
    if (busy !== 0) this.#waitForPair(a, b, busy, this.holdPair)
    try {
      return settled(fn(...args))
    } finally {
      const bits = this.#unlock2(a, b)
      if (bits !== 0) this.#finishFreeingPair(a, b, bits)
    }
  }

  /**
   * Takes any number of locks, each once and the lowest first, calls `fn`, frees them and returns what
   * `fn` returned. Blocks the thread while one is busy.
   */
  hold<Result>(indices: Iterable<number>, fn: () => Result): Result {
    const locks = this.#plan(indices)
    this.#takeAll(locks, this.hold)
    try {
      return settled(fn())
    } finally {
      this.#freeAll(locks, locks.length)
    }
  }

  /**
   * Like {@link hold}, but never waits: where a lock is busy it calls nothing, holds nothing and
   * returns `undefined` at once. The order is kept here too.
   */
  tryHold<Result>(indices: Iterable<number>, fn: () => Result): Result | undefined {
    const locks = this.#plan(indices)
    for (const [taken, lock] of locks.entries()) {
      const answer = this.#lock(lock)
      if (answer === 0) continue
      this.#freeAll(locks, taken)
      if (answer === REFUSED && !this.#holds(lock)) throw this.#orderError(lock)
      return undefined
    }
    try {
      return settled(fn())
    } finally {
      this.#freeAll(locks, locks.length)
    }
  }

  /**
   * Takes every lock of the table, calls `fn`, frees them and returns what `fn` returned. Some
   * nanoseconds for each lock, in the kernel: cheap for a striped table, milliseconds for 65,536 locks.
   */
  holdAll<Result>(fn: () => Result): Result {
    checked(0, this.#count)
    const last = this.#lockCount - 1
    let from = 0
    try {
      while (from <= last) {
        const busy = this.#kernel.lockAll(from)
        if (busy === ALL_DONE) break
        from = busy
        if (this.#takeOne(busy, this.holdAll, busy)) from++
        else {
          this.#freeDownFrom(busy - 1)
          from = 0
          this.#waiter.nap()
        }
      }
    } catch (error) {
      this.#freeDownFrom(from - 1)
      throw error
    }
    try {
      return settled(fn())
    } finally {
      this.#freeDownFrom(last)
    }
  }

  /**
   * Takes locks without ever blocking the thread, for threads with an event loop to keep running, the
   * main thread first of all. `fn` is called when all are held, and they are freed when what it
   * returned settles. Every such holding is an owner of its own: two of them in one thread exclude
   * each other, and a nested one is checked against the order of those around it (where the runtime
   * has `AsyncLocalStorage`). Keeps the process alive while it waits.
   *
   * A wrong number rejects the promise, like every other error.
   */
  async holdAsync<Result>(
    indices: Iterable<number>,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Result> {
    return this.#tasks.hold(this.#plan(indices), fn, this.holdAsync)
  }

  /** Takes one lock; blocks the thread while it is busy. Pair it with {@link unlock} in a `finally`. */
  lock(index: number): void {
    const record = checked(index, this.#count)
    if (this.#lock(record) !== 0) this.#takeAll([this.#lockOf(record)], this.lock)
  }

  /**
   * Frees one lock.
   *
   * @throws LockUsageError if this thread does not hold it; then nothing has changed.
   */
  unlock(index: number): void {
    const record = checked(index, this.#count)
    const bits = this.#unlock(record)
    if (bits !== 0) this.#finishFreeing(this.#lockOf(record), bits)
  }

  /** Takes two locks as {@link holdPair} does, for those who write their own `try`/`finally`. */
  lockPair(a: number, b: number): void {
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count)
    const busy = this.#lock2(a, b)
    if (busy !== 0) this.#waitForPair(a, b, busy, this.lockPair)
  }

  /**
   * Frees what {@link lockPair} took.
   *
   * @throws LockUsageError if this thread does not hold both; then nothing has changed.
   */
  unlockPair(a: number, b: number): void {
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count)
    const bits = this.#unlock2(a, b)
    if (bits !== 0) this.#finishFreeingPair(a, b, bits)
  }

  /**
   * Gives this thread's place in the table back to others; the object cannot be used after it.
   *
   * @throws LockUsageError if it still holds locks.
   */
  close(): void {
    if (this.#closed) return
    const held = locksHeldBy(this.#table, this.#owner.id)
    if (held.length > 0) {
      throw new LockUsageError(
        `close: ${this.label} still holds ${describeLocks(held)}; unlock first`,
      )
    }
    this.#tasks.refuseIfBusy()
    this.#closed = true
    this.#count = 0
    releaseOwner(this.#table, this.#owner)
  }

  /** The lock of a record. */
  #lockOf(record: number): number {
    return record % this.#lockCount
  }

  /** A set of locks: checked, each once, in ascending order. */
  #plan(indices: Iterable<number>): number[] {
    if (this.#closed) throw badIndex(0, 0)
    if (typeof indices !== 'object' || indices === null || !(Symbol.iterator in indices)) {
      throw new LockUsageError(`expected an array of lock numbers, not ${show(indices)}`)
    }
    const locks = new Set<number>()
    for (const index of indices) locks.add(this.#lockOf(checked(index, this.#count)))
    return [...locks].sort((a, b) => a - b)
  }

  /**
   * Takes a set of locks, of which the first `done` are held already, by waiting wherever the kernel
   * cannot have one at once. Standing back means giving all of them back and beginning anew.
   */
  #takeAll(locks: readonly number[], caller: Caller, done = 0): void {
    let taken = done
    try {
      while (taken < locks.length) {
        if (this.#takeOne(locks[taken] as number, caller, taken)) taken++
        else {
          this.#freeAll(locks, taken)
          taken = 0
          this.#waiter.nap()
        }
      }
    } catch (error) {
      this.#freeAll(locks, taken)
      throw error
    }
  }

  /**
   * Takes one lock of a request that has `taken` others already, however long that takes; or says why
   * it never can be had; or answers false: the thread should stand back from the whole request.
   */
  #takeOne(lock: number, caller: Caller, taken: number): boolean {
    const answer = this.#lock(lock)
    if (answer === 0) return true
    if (answer === REFUSED || this.#holds(lock)) throw this.#refusal(lock, caller)
    if (!mayBlock) throw mustNotBlock()
    this.#tasks.refuseToBlock(lock)
    if (this.#waiter.metBusyLock() && this.#holdsOnly(taken)) return false
    const word = addressOf(this.#table, lock)
    this.#waiter.take(word, caller)
    this.#push(word)
    return true
  }

  /** The kernel could not take a pair; `busy` is its answer. */
  #waitForPair(a: number, b: number, busy: number, caller: Caller): void {
    const [low, high] = this.#lowerFirst(a, b)
    if (low === high) this.#takeAll([low], caller)
    else if (busy === REFUSED) throw this.#refusal(low, caller)
    else this.#takeAll([low, high], caller, busy === HIGH_BUSY ? 1 : 0)
  }

  #lowerFirst(a: number, b: number): [low: number, high: number] {
    const first = this.#lockOf(a)
    const second = this.#lockOf(b)
    return first < second ? [first, second] : [second, first]
  }

  /** Frees the first `taken` of the locks, the last one taken first. */
  #freeAll(locks: readonly number[], taken: number): void {
    for (let i = taken - 1; i >= 0; i--) this.#free(locks[i] as number)
  }

  #free(lock: number): void {
    const bits = this.#unlock(lock)
    if (bits !== 0) this.#finishFreeing(lock, bits)
  }

  /** Frees every lock from this one down. */
  #freeDownFrom(last: number): void {
    for (let from = last; from >= 0; from--) {
      from = this.#kernel.unlockAll(from)
      if (from === ALL_DONE) return
      if (this.#holds(from)) this.#finishFreeing(from, NOT_ON_TOP)
      else wake(this.#table.words, addressOf(this.#table, from), WAKE_ALL)
    }
  }

  /** Whether this thread holds a lock. */
  #holds(lock: number): boolean {
    return (
      ownerIn(Atomics.load(this.#table.words, addressOf(this.#table, lock) >> 2)) === this.#owner.id
    )
  }

  /** The address of the lock taken last, 0 for none. */
  get #top(): number {
    return this.#table.words[(this.#owner.slot + SLOT.top) >> 2] as number
  }

  /** Whether the locks of a request, `taken` in number, are all that this thread holds. */
  #holdsOnly(taken: number): boolean {
    if (taken > MOST_GIVEN_BACK) return false
    let word = this.#top
    for (let i = 0; i < taken; i++) word = this.#table.words[(word + LINK_OFFSET) >> 2] as number
    return word === 0
  }

  /** Puts a lock that was taken by waiting on this owner's list. */
  #push(word: number): void {
    const { words } = this.#table
    words[(word + LINK_OFFSET) >> 2] = this.#top
    words[(this.#owner.slot + SLOT.top) >> 2] = word
  }

  /** Finishes what the kernel's `unlock` left: waiters to wake, or a lock deeper in the list. */
  #finishFreeing(lock: number, bits: number): void {
    const word = addressOf(this.#table, lock)
    let toWake = bits
    if (bits === NOT_ON_TOP) {
      if (!this.#holds(lock)) throw this.#notHeld([lock])
      this.#removeFromList(word)
      toWake = Atomics.exchange(this.#table.words, word >> 2, 0) ^ this.#owner.me
    }
    if (toWake !== 0) wake(this.#table.words, word, toWake)
  }

  #finishFreeingPair(a: number, b: number, bits: number): void {
    const [low, high] = this.#lowerFirst(a, b)
    if (low === high) {
      this.#finishFreeing(low, bits)
      return
    }
    const { words } = this.#table
    if (bits === NOT_ON_TOP) {
      if (!this.#holds(low) || !this.#holds(high)) throw this.#notHeld([low, high])
      this.#freeAll([low, high], 2)
      return
    }
    if ((bits & 3) !== 0) wake(words, addressOf(this.#table, high), bits & 3)
    if (bits >> 2 !== 0) wake(words, addressOf(this.#table, low), bits >> 2)
  }

  #removeFromList(word: number): void {
    const { words } = this.#table
    let at = (this.#owner.slot + SLOT.top) >> 2
    while (words[at] !== word) at = ((words[at] as number) + LINK_OFFSET) >> 2
    words[at] = words[(word + LINK_OFFSET) >> 2] as number
  }

  #refusal(lock: number, caller: Caller): Error {
    return this.#holds(lock) ? this.#selfDeadlock(lock, caller) : this.#orderError(lock)
  }

  #selfDeadlock(lock: number, caller: Caller): DeadlockError {
    const report = describeSelfDeadlock(this.#table, this.#owner, lock, stackAt(caller))
    return new DeadlockError(report)
  }

  #orderError(wanted: number): LockOrderError {
    const held = locksHeldBy(this.#table, this.#owner.id)
    return new LockOrderError(
      `lock ${wanted} asked for by ${this.label} while it holds ${describeLocks(held)}: ` +
        'this table takes locks in ascending order only. Take them all in one request, such as ' +
        `hold([${[wanted, ...held.slice(-3)].sort((a, b) => a - b).join(', ')}], …), or create the ` +
        "table with order: 'free'",
    )
  }

  #notHeld(locks: readonly number[]): LockUsageError {
    const held = locksHeldBy(this.#table, this.#owner.id)
    return new LockUsageError(
      `unlock: ${this.label} does not hold ${describeLocks(locks)}` +
        (held.length > 0 ? `; it holds ${describeLocks(held)}` : '; it holds nothing'),
    )
  }
}

/** The kernel that suits this engine and this memory. */
function kernelFor(table: Table, owner: Owner): Kernel {
  const { layout, wasm, words } = table
  const setting = {
    me: owner.me,
    top: owner.slot + SLOT.top,
    ascending: layout.order === 'ascending' ? -1 : 0,
    sleepCount: HEADER.sleepCount,
    base: layout.locksBase,
    stride: layout.lockStride,
    last: layout.lockCount - 1,
    stripes: layout.lockCount === layout.count ? 0 : layout.lockCount,
  }
  // JavaScriptCore compiles Atomics in line, which is as fast and saves the calls.
  return wasm === undefined || 'Bun' in globalThis
    ? atomicsKernel(words, setting)
    : wasmKernel(wasm, setting)
}

/** Whether both are lock numbers: NaN, 1.5, -1, '3' and the like are not. */
function isPair(a: number, b: number, count: number): boolean {
  return (
    typeof a === 'number' &&
    typeof b === 'number' &&
    a >>> 0 === a &&
    b >>> 0 === b &&
    a < count &&
    b < count
  )
}

function badPair(a: number, b: number, count: number): LockUsageError {
  return badIndex(isPair(a, a, count) ? b : a, count)
}

/** A lock number, if it is one. */
function checked(index: number, count: number): number {
  if (typeof index === 'number' && index >>> 0 === index && index < count) return index
  throw badIndex(index, count)
}

function badIndex(index: unknown, count: number): LockUsageError {
  return new LockUsageError(
    count === 0
      ? 'this thread has closed this table'
      : `a lock number must be a whole number from 0 to ${count - 1}, not ${show(index)}`,
  )
}

function mustNotBlock(): LockUsageError {
  return new LockUsageError(
    'this thread must not block (as the main thread of a browser): use holdAsync',
  )
}

/** `lock 3`, `locks 3, 5 and 7`, and no more than ten numbers. */
function describeLocks(locks: readonly number[]): string {
  if (locks.length === 1) return `lock ${locks[0]}`
  if (locks.length > 10) return `${locks.length} locks (${locks.slice(0, 9).join(', ')}, …)`
  return `locks ${locks.slice(0, -1).join(', ')} and ${locks.at(-1)}`
}

/** What a blocking callback returned; a promise is refused, for the locks are freed before it settles. */
function settled<Result>(result: Result): Result {
  if (typeof result === 'object' && result !== null && 'then' in result) {
    throw new LockUsageError(
      'the callback returned a promise, but its locks are freed as soon as it returns: use holdAsync',
    )
  }
  return result
}
