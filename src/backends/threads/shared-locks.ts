/**
 * `SharedLocks`: a table of locks in shared memory, as one thread sees it.
 *
 * Every call is: check the numbers, turn them into lock addresses in ascending order, let the kernel
 * take them, and only where it could not, wait (waiter.ts). Freeing is the same backwards.
 */

import { DeadlockError, LockOrderError, LockUsageError } from '../../core/errors.ts'
import { atomicsKernel } from './atomics-kernel.ts'
import { describeSelfDeadlock } from './deadlock.ts'
import { BUSY, HIGH_BUSY, type Kernel, NOT_ON_TOP, REFUSED } from './kernel.ts'
import { LINK_OFFSET, type LockOrder, SLOT, show, WAKE_ALL } from './layout.ts'
import { claimThread, locksHeldBy, type Owner, releaseOwner } from './owners.ts'
import {
  addressOf,
  createTable,
  handleOf,
  numberOf,
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
  readonly #base: number
  readonly #stride: number
  readonly #striped: boolean
  #closed = false

  private constructor(table: Table, label: string | undefined) {
    const { layout } = table
    const owner = claimThread(table, label)
    const ownerOfKernel = {
      me: owner.me,
      top: owner.slot + SLOT.top,
      ascending: layout.order === 'ascending',
    }
    this.#table = table
    this.#owner = owner
    this.#kernel =
      table.wasm === undefined || 'Bun' in globalThis
        ? atomicsKernel(table.words, ownerOfKernel)
        : wasmKernel(table.wasm, ownerOfKernel)
    this.#lock = this.#kernel.lock
    this.#unlock = this.#kernel.unlock
    this.#lock2 = this.#kernel.lock2
    this.#unlock2 = this.#kernel.unlock2
    this.#waiter = new Waiter(table, owner)
    this.#tasks = new Tasks(table, owner)
    this.#count = layout.count
    this.#lockCount = layout.lockCount
    this.#base = layout.locksBase
    this.#stride = layout.lockStride
    this.#striped = layout.lockCount !== layout.count
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
    const first = this.#address(a)
    const second = this.#address(b)
    // The lower and the higher of the two without a branch, which would be mispredicted half the time.
    const less = (second - first) & ((second - first) >> 31)
    const low = first + less
    const high = second - less
    if (low === high) return this.#holdOne(low, fn, args)
    const busy = this.#lock2(low, high)
    if (busy !== 0) this.#waitForPair(low, high, busy, this.holdPair)
    try {
      return settled(fn(...args))
    } finally {
      const bits = this.#unlock2(low, high)
      if (bits !== 0) this.#finishFreeingPair(low, high, bits)
    }
  }

  /**
   * Takes any number of locks, each once and the lowest first, calls `fn`, frees them and returns what
   * `fn` returned. Blocks the thread while one is busy.
   */
  hold<Result>(indices: Iterable<number>, fn: () => Result): Result {
    const words = this.#plan(indices)
    this.#takeAll(words, this.hold)
    try {
      return settled(fn())
    } finally {
      this.#freeAll(words, words.length)
    }
  }

  /**
   * Like {@link hold}, but never waits: where a lock is busy it calls nothing, holds nothing and
   * returns `undefined` at once. The order is kept here too.
   */
  tryHold<Result>(indices: Iterable<number>, fn: () => Result): Result | undefined {
    const words = this.#plan(indices)
    for (const [taken, word] of words.entries()) {
      const answer = this.#lock(word)
      if (answer === 0) continue
      this.#freeAll(words, taken)
      if (answer === REFUSED && ownerIn(this.#seen(word)) !== this.#owner.id) {
        throw this.#orderError(word)
      }
      return undefined
    }
    try {
      return settled(fn())
    } finally {
      this.#freeAll(words, words.length)
    }
  }

  /**
   * Takes every lock of the table, calls `fn`, frees them and returns what `fn` returned. Some
   * nanoseconds for each lock, in the kernel: cheap for a striped table, milliseconds for 65,536 locks.
   */
  holdAll<Result>(fn: () => Result): Result {
    if (this.#closed) throw this.#badIndex(0)
    const first = this.#base
    const stride = this.#stride
    const last = addressOf(this.#table, this.#lockCount - 1)
    let from = first
    try {
      while (from <= last) {
        const busy = this.#kernel.lockAll(from, last, stride)
        if (busy === 0) break
        from = busy
        this.#take(busy, this.holdAll)
        from += stride
      }
    } catch (error) {
      this.#freeRange(first, from - stride)
      throw error
    }
    try {
      return settled(fn())
    } finally {
      this.#freeRange(first, last)
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
    const word = this.#address(index)
    if (this.#lock(word) !== 0) this.#take(word, this.lock)
  }

  /**
   * Frees one lock.
   *
   * @throws LockUsageError if this thread does not hold it; then nothing has changed.
   */
  unlock(index: number): void {
    const word = this.#address(index)
    const bits = this.#unlock(word)
    if (bits !== 0) this.#finishFreeing(word, bits, index)
  }

  /** Takes two locks as {@link holdPair} does, for those who write their own `try`/`finally`. */
  lockPair(a: number, b: number): void {
    const first = this.#address(a)
    const second = this.#address(b)
    const low = Math.min(first, second)
    const high = Math.max(first, second)
    if (low === high) {
      if (this.#lock(low) !== 0) this.#take(low, this.lockPair)
      return
    }
    const busy = this.#lock2(low, high)
    if (busy !== 0) this.#waitForPair(low, high, busy, this.lockPair)
  }

  /**
   * Frees what {@link lockPair} took.
   *
   * @throws LockUsageError if this thread does not hold both; then nothing has changed.
   */
  unlockPair(a: number, b: number): void {
    const first = this.#address(a)
    const second = this.#address(b)
    const low = Math.min(first, second)
    const high = Math.max(first, second)
    if (low === high) {
      const bits = this.#unlock(low)
      if (bits !== 0) this.#finishFreeing(low, bits, a)
      return
    }
    const bits = this.#unlock2(low, high)
    if (bits !== 0) this.#finishFreeingPair(low, high, bits)
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
      throw new LockUsageError(`close: ${this.label} still holds ${describeLocks(held)}; unlock first`)
    }
    this.#tasks.refuseIfBusy()
    this.#closed = true
    this.#count = 0
    releaseOwner(this.#table, this.#owner)
  }

  /** The address of the lock of a record; everything that takes a number asks here first. */
  #address(index: number): number {
    if (index >>> 0 !== index || index >= this.#count) throw this.#badIndex(index)
    return this.#base + (this.#striped ? index % this.#lockCount : index) * this.#stride
  }

  #badIndex(index: unknown): LockUsageError {
    if (this.#closed) return new LockUsageError(`${this.label} has closed this table`)
    return new LockUsageError(
      `a lock number must be a whole number from 0 to ${this.#count - 1}, not ${show(index)}`,
    )
  }

  /** The addresses of a set of locks: checked, each once, in ascending order. */
  #plan(indices: Iterable<number>): number[] {
    if (typeof indices !== 'object' || indices === null || !(Symbol.iterator in indices)) {
      throw new LockUsageError(`expected an array of lock numbers, not ${show(indices)}`)
    }
    const words = new Set<number>()
    for (const index of indices) words.add(this.#address(index))
    return [...words].sort((a, b) => a - b)
  }

  #holdOne<Args extends unknown[], Result>(
    word: number,
    fn: (...args: Args) => Result,
    args: Args,
  ): Result {
    if (this.#lock(word) !== 0) this.#take(word, this.holdPair)
    try {
      return settled(fn(...args))
    } finally {
      const bits = this.#unlock(word)
      if (bits !== 0) this.#finishFreeing(word, bits, numberOf(this.#table, word))
    }
  }

  #takeAll(words: readonly number[], caller: Caller): void {
    let taken = 0
    try {
      for (const word of words) {
        if (this.#lock(word) !== 0) this.#take(word, caller)
        taken++
      }
    } catch (error) {
      this.#freeAll(words, taken)
      throw error
    }
  }

  /** Frees the first `taken` of the locks, the last one taken first. */
  #freeAll(words: readonly number[], taken: number): void {
    for (let i = taken - 1; i >= 0; i--) {
      const word = words[i] as number
      const bits = this.#unlock(word)
      if (bits !== 0) this.#finishFreeing(word, bits, numberOf(this.#table, word))
    }
  }

  #freeRange(first: number, last: number): void {
    let from = last
    while (from >= first) {
      const word = this.#kernel.unlockAll(first, from, this.#stride)
      if (word === 0) return
      if (ownerIn(this.#seen(word)) === this.#owner.id) {
        this.#finishFreeing(word, NOT_ON_TOP, numberOf(this.#table, word))
      } else {
        wake(this.#table.words, word, WAKE_ALL)
      }
      from = word - this.#stride
    }
  }

  /** The kernel could not take a lock: waits for it, or says why it never can be had. */
  #take(word: number, caller: Caller): void {
    for (;;) {
      const answer = this.#lock(word)
      if (answer === 0) return
      if (answer === REFUSED) throw this.#refusal(word, caller)
      if (ownerIn(this.#seen(word)) === this.#owner.id) throw this.#selfDeadlock(word, caller)
      if (!mayBlock) throw this.#mustNotBlock()
      this.#tasks.refuseToBlock(word)
      if (this.#waiter.metBusyLock() && this.#top() === 0) {
        this.#waiter.nap()
        continue
      }
      this.#waiter.take(word, caller)
      this.#push(word)
      return
    }
  }

  /** The kernel could not take a pair; `busy` is its answer. */
  #waitForPair(low: number, high: number, busy: number, caller: Caller): void {
    let answer = busy
    while (answer !== 0) {
      if (answer === REFUSED) {
        throw this.#refusal(ownerIn(this.#seen(high)) === this.#owner.id ? high : low, caller)
      }
      if (answer === BUSY) {
        this.#take(low, caller)
        answer = this.#lock(high) === 0 ? 0 : HIGH_BUSY
        continue
      }
      // The lower lock is held. Hold it while waiting for the higher one, or stand back from both.
      if (this.#waiter.metBusyLock() && this.#table.words[(low + LINK_OFFSET) >> 2] === 0) {
        this.#freeAll([low], 1)
        this.#waiter.nap()
        answer = this.#lock2(low, high)
        continue
      }
      try {
        this.#take(high, caller)
      } catch (error) {
        this.#freeAll([low], 1)
        throw error
      }
      return
    }
  }

  #seen(word: number): number {
    return Atomics.load(this.#table.words, word >> 2)
  }

  #top(): number {
    return this.#table.words[(this.#owner.slot + SLOT.top) >> 2] as number
  }

  /** Puts a lock that was taken by waiting on this owner's list. */
  #push(word: number): void {
    const { words } = this.#table
    words[(word + LINK_OFFSET) >> 2] = this.#top()
    words[(this.#owner.slot + SLOT.top) >> 2] = word
  }

  /** Finishes what the kernel's `unlock` left: waiters to wake, or a lock deeper in the list. */
  #finishFreeing(word: number, bits: number, index: number): void {
    let toWake = bits
    if (bits === NOT_ON_TOP) {
      if (ownerIn(this.#seen(word)) !== this.#owner.id) throw this.#notHeld([index])
      this.#removeFromList(word)
      toWake = Atomics.exchange(this.#table.words, word >> 2, 0) ^ this.#owner.me
    }
    if (toWake !== 0) wake(this.#table.words, word, toWake)
  }

  #finishFreeingPair(low: number, high: number, bits: number): void {
    if (bits !== NOT_ON_TOP) {
      if ((bits & 3) !== 0) wake(this.#table.words, high, bits & 3)
      if (bits >> 2 !== 0) wake(this.#table.words, low, bits >> 2)
      return
    }
    const mine = [low, high].filter((word) => ownerIn(this.#seen(word)) === this.#owner.id)
    if (mine.length < 2) throw this.#notHeld([low, high].map((word) => numberOf(this.#table, word)))
    this.#freeAll([low, high], 2)
  }

  #removeFromList(word: number): void {
    const { words } = this.#table
    let at = (this.#owner.slot + SLOT.top) >> 2
    while (words[at] !== word) at = ((words[at] as number) + LINK_OFFSET) >> 2
    words[at] = words[(word + LINK_OFFSET) >> 2] as number
  }

  #mustNotBlock(): LockUsageError {
    return new LockUsageError(
      'this thread must not block (the main thread of a browser): use holdAsync',
    )
  }

  #refusal(word: number, caller: Caller): Error {
    return ownerIn(this.#seen(word)) === this.#owner.id
      ? this.#selfDeadlock(word, caller)
      : this.#orderError(word)
  }

  #selfDeadlock(word: number, caller: Caller): DeadlockError {
    const report = describeSelfDeadlock(this.#table, this.#owner, word, stackAt(caller))
    return new DeadlockError(report)
  }

  #orderError(word: number): LockOrderError {
    const wanted = numberOf(this.#table, word)
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
