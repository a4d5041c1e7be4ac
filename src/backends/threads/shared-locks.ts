/**
 * `SharedLocks`: a table of locks in shared memory, as one thread sees it.
 *
 * Every call checks the numbers. `lock`, `lockPair`, `holdPair` and `holdAll` then let the kernel take the
 * locks, and acquire-plan.ts takes those that the kernel could not take at once. `hold`, `tryHold` and
 * `lockShared` call acquire-plan.ts directly, and `holdAsync` calls tasks.ts. A release takes the same steps
 * in reverse, and release.ts does what the kernel leaves.
 */

import { type Caller, LockUsageError } from '../../core/errors.ts'
import { show } from '../../core/format.ts'
import { PlanAcquirer } from './acquire-plan.ts'
import { called, type Settled, settled } from './callback.ts'
import { beginningAbove } from './caller-stack.ts'
import { unwatch, watch } from './deaths.ts'
import { locksHeld } from './held-list.ts'
import {
  badDuration,
  type HoldOptions,
  isDuration,
  mustBeFunction,
  mustBeListener,
  mustBeObject,
  parseCall,
} from './hold-arguments.ts'
import { inspectTables } from './inspect.ts'
import { ALL_DONE, type Kernel, NOT_ON_TOP } from './kernel.ts'
import { kernelFor } from './kernel-for.ts'
import { LONG_WAIT_MS, reportLongWaits } from './long-waits.ts'
import { registerThread } from './owner-slots.ts'
import type { Owner } from './owners.ts'
import {
  badIndex,
  badPair,
  isIndex,
  isPair,
  type LockPlan,
  makePlan,
  refuseClosed,
  type WantedLocks,
} from './plan.ts'
import { recover } from './recovery.ts'
import { ReentrantReads } from './reentrant-reads.ts'
import { releaseOwner } from './register-owner.ts'
import { Releaser } from './release.ts'
import { Repairs } from './running-repairs.ts'
import {
  createTable,
  describeLocks,
  handleOf,
  lockOf,
  openTable,
  type RecordView,
  type SharedLocksHandle,
  type Table,
  viewRecords,
} from './table.ts'
import type { LockOrder } from './table-layout.ts'
import {
  CREATE_OPTIONS,
  OPEN_OPTIONS,
  type OpenOptions,
  type SharedLocksOptions,
} from './table-options.ts'
import { Tasks } from './tasks.ts'
import { ThreadWaiter } from './thread-waiter.ts'

/**
 * Locks in shared memory. Make one with {@link SharedLocks.create}, send its `handle` to other
 * threads, and {@link SharedLocks.open} it once in each.
 *
 * Errors of every call that takes locks:
 *
 * - `LockUsageError`: a number is not a lock number of this table.
 * - `LockOrderError`: the request violates the order.
 * - `DeadlockError`: under order `'free'`; under any order, if a thread requests a lock that it holds, unless
 *   the table is re-entrant.
 * - `OwnerDiedError`: the lock's holder ended without releasing it.
 *
 * After an error, the thread holds only the locks that it held before.
 *
 * The end of a thread is noticed at once if the thread that started it runs its event loop. Otherwise a
 * thread that waits for one of its locks notices it within some tenths of a second.
 *
 * Waiters are not served in turn: that would cost a switch of threads for every request. A thread that
 * keeps waking others lets them go first once in 0.1 ms, so that none starves (eventual fairness, as in
 * Rust's parking_lot). bench/RESULTS.md has the longest waits. Readers do not overtake a writer that already
 * waits for readers to leave.
 *
 * No wait is silent. A wait that lasts for `longWaitMs` is reported. The error of a time limit names the
 * holders, since when they have held the lock, and what they wait for themselves. A thread that takes a
 * free lock does not record the time. Then the error gives the time for which the waiter has seen this
 * holder.
 *
 * A free lock costs one atomic operation to take and one to release; two and two in shared mode. A wait
 * that sleeps costs tens of microseconds.
 */
export class SharedLocks {
  readonly #table: Table
  readonly #owner: Owner
  readonly #lock: Kernel['lock']
  readonly #unlock: Kernel['unlock']
  readonly #lock2: Kernel['lock2']
  readonly #unlock2: Kernel['unlock2']
  readonly #lockAll: Kernel['lockAll']
  readonly #unlockAll: Kernel['unlockAll']
  readonly #waiter: ThreadWaiter
  readonly #acquirer: PlanAcquirer
  readonly #releaser: Releaser
  readonly #tasks: Tasks
  /** The number of records; 0 once this thread has closed the table. */
  #count: number

  static {
    inspectTables(SharedLocks.prototype, 'SharedLocks', (it) => {
      const locks = it as SharedLocks
      return { table: locks.#table, owner: locks.#owner, isClosed: locks.#count === 0 }
    })
  }

  private constructor(table: Table, options: OpenOptions) {
    // The constructor is private in TypeScript only.
    if (!(table as Table | undefined)?.layout) throw notMade(new.target)
    const { label, onOwnerDied, onLongWait, longWaitMs = LONG_WAIT_MS } = options
    const { layout } = table
    mustBeListener('onOwnerDied', onOwnerDied)
    mustBeListener('onLongWait', onLongWait)
    if (!isDuration(longWaitMs)) throw badDuration('longWaitMs', longWaitMs)
    reportLongWaits(table, longWaitMs, onLongWait)
    const owner = registerThread(table, label)
    this.#table = table
    this.#owner = owner
    const kernel = kernelFor(table, owner)
    this.#lock = kernel.lock
    this.#unlock = kernel.unlock
    this.#lock2 = kernel.lock2
    this.#unlock2 = kernel.unlock2
    this.#lockAll = kernel.lockAll
    this.#unlockAll = kernel.unlockAll
    const repairs = new Repairs(table, owner, onOwnerDied)
    const tasks = new Tasks(table, owner, repairs)
    const waiter = new ThreadWaiter(table, owner)
    const reads = layout.reentrant ? new ReentrantReads(owner) : undefined
    const releaser = new Releaser(table, owner, kernel, tasks, waiter, reads)
    this.#tasks = tasks
    this.#waiter = waiter
    this.#releaser = releaser
    this.#acquirer = new PlanAcquirer({
      table,
      owner,
      kernel,
      tasks,
      waiter,
      releaser,
      reads,
      repairs,
    })
    this.#count = layout.count
    watch(table, owner)
  }

  /**
   * Makes a new table; this thread is its first owner.
   *
   * @throws LockUsageError if an option is out of its range.
   */
  static create(options: SharedLocksOptions): SharedLocks {
    try {
      mustBeObject('create', options)
      CREATE_OPTIONS.mustKnow(options, 'create')
      const { memory = 'wasm' } = options
      if (memory !== 'wasm' && memory !== 'buffer') {
        throw new LockUsageError(`memory must be 'wasm' or 'buffer', not ${show(memory)}`)
      }
      return new SharedLocks(createTable(options, memory), options)
    } catch (error) {
      throw beginningAbove(error, SharedLocks.create)
    }
  }

  /**
   * Opens a table in this thread, which becomes one more owner of it. Open a table once in each thread.
   *
   * @throws LockUsageError if `handle` is not a table's, or all owner slots are in use.
   */
  static open(handle: SharedLocksHandle, options: OpenOptions = {}): SharedLocks {
    try {
      mustBeObject('open', options)
      OPEN_OPTIONS.mustKnow(options, 'open')
      return new SharedLocks(openTable(handle), options)
    } catch (error) {
      throw beginningAbove(error, SharedLocks.open)
    }
  }

  /**
   * The value to send to another thread of this process, as `workerData` or by `postMessage`. Shared memory
   * reaches no other process: there `open` refuses the value that arrives, or sending it fails.
   */
  get handle(): SharedLocksHandle {
    return handleOf(this.#table)
  }

  /** The number of records, which is also the number of lock numbers. */
  get count(): number {
    return this.#table.layout.count
  }

  /** The number of locks that the records use: `count`, or the number of stripes. */
  get lockCount(): number {
    return this.#table.layout.lockCount
  }

  /** Bytes from one record to the next. */
  get recordBytes(): number {
    return this.#table.layout.recordBytes
  }

  /** The order in which a thread must take locks. */
  get order(): LockOrder {
    return this.#table.layout.order
  }

  /** Whether a thread can take a lock again that it already holds. */
  get reentrant(): boolean {
    return this.#table.layout.reentrant
  }

  /** This thread's number in the table, from 1. */
  get thread(): number {
    return this.#owner.id
  }

  /** The name of this thread in reports. */
  get label(): string {
    return this.#owner.label
  }

  /** How often this thread slept because a lock was busy, or to let the threads that it woke go first. */
  get sleeps(): number {
    return this.#waiter.sleeps
  }

  /**
   * The users' bytes as a typed array. The first element of record `i` has index
   * `i * recordBytes / View.BYTES_PER_ELEMENT`. Where every record has a lock of its own, a record has
   * `recordBytes - 8` bytes, and the bytes after them are the next record's lock: do not touch them.
   */
  view<View>(View: RecordView<View>): View {
    return viewRecords(this.#table, View, this.view)
  }

  /**
   * Takes locks `a` and `b`, the lower number first in any case, calls `fn(...args)`, releases them and
   * returns what `fn` returned. Blocks the thread while a lock is busy.
   *
   * This is the hot path. Pass the same function each time, and what it needs as `args`: that costs no more
   * than {@link lockPair} and {@link unlockPair} around the code. A new closure for every call costs a third
   * more.
   */
  holdPair<Args extends unknown[], Result>(
    a: number,
    b: number,
    fn: (...args: Args) => Settled<Result>,
    ...args: Args
  ): Result {
    // Keep this small: V8 then compiles more of a caller's loop as one piece (test/bank/inlining.test.ts).
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count, this.holdPair)
    const busy = this.#lock2(a, b)
    if (busy !== 0) this.#acquirer.takePair(a, b, busy, this.holdPair)
    let result: Result
    try {
      result = settled(fn(...args))
    } catch (error) {
      throw this.#releaser.releasePairAfter(error, a, b)
    }
    const bits = this.#unlock2(a, b)
    if (bits !== 0) this.#releaser.finishPair(a, b, bits, this.holdPair)
    return result
  }

  /**
   * Takes any number of locks, each once and the lowest first, calls `fn`, releases them and returns what
   * `fn` returned. Blocks the thread while one is busy. A number requests its lock exclusively;
   * `shared(number)` requests it together with other shared holders. A single lock needs no array.
   *
   * @throws LockTimeoutError when `timeoutMs` is over.
   */
  hold<Result>(wanted: WantedLocks, fn: () => Settled<Result>): Result
  hold<Result>(wanted: WantedLocks, options: HoldOptions, fn: () => Settled<Result>): Result
  hold<Result>(
    wanted: WantedLocks,
    ...rest: [fn: () => Settled<Result>] | [options: HoldOptions, fn: () => Settled<Result>]
  ): Result {
    const { terms, fn } = parseCall(rest, this.hold)
    const plan = this.#plan(wanted, this.hold)
    return called(
      this.#releaser,
      () => this.#acquirer.takeAll(plan, terms),
      fn,
      () => this.#releaser.releaseAll(plan, plan.locks.length, this.hold),
    ) as Result
  }

  /**
   * Like {@link hold}, but never waits. If a lock is busy, it does not call `fn`, holds nothing and returns
   * `undefined` at once. A lock that this thread holds counts as busy, except where a re-entrant table lets
   * the thread take it again. A request that violates the order throws `LockOrderError`. Let `fn` return a
   * value, to distinguish the two results.
   */
  tryHold<Result>(wanted: WantedLocks, fn: () => Settled<Result>): Result | undefined {
    const plan = this.#plan(wanted, this.tryHold)
    mustBeFunction(fn, this.tryHold)
    return called(
      this.#releaser,
      () => this.#acquirer.tryTakeAll(plan, this.tryHold),
      fn,
      () => this.#releaser.releaseAll(plan, plan.locks.length, this.tryHold),
    )
  }

  /**
   * Takes every lock of the table, calls `fn`, releases them and returns what `fn` returned. Costs some
   * nanoseconds for each lock, in the kernel: cheap for a striped table, milliseconds for 65,536 locks.
   */
  holdAll<Result>(fn: () => Settled<Result>): Result {
    refuseClosed(this.#count, this.holdAll)
    mustBeFunction(fn, this.holdAll)
    return called(
      this.#releaser,
      () => {
        const busy = this.#lockAll(0)
        return busy === ALL_DONE || this.#acquirer.takeEvery(busy, this.holdAll)
      },
      fn,
      () => {
        const answer = this.#unlockAll(this.lockCount - 1)
        if (answer !== ALL_DONE) this.#releaser.releaseEvery(answer, this.holdAll)
      },
    ) as Result
  }

  /**
   * Takes locks without ever blocking the thread: for threads that must keep an event loop running, above all
   * the main thread. Calls `fn` when all are held, and releases them when the result of `fn` settles. Every
   * such holding is an owner of its own: two of them in one thread exclude each other. If the runtime has
   * `AsyncLocalStorage`, the order is also checked between the locks of a nested holding and those of the
   * holdings around it. Keeps the process alive while it waits.
   *
   * In a re-entrant table a nested holding does not take locks again that those around it hold: it relies on
   * them. If the callback of an outer holding ends before the nested one, the outer promise settles. But the
   * outer holding keeps all of its locks until the nested one has ended. Code outside that requests one of
   * these locks waits that long.
   *
   * If all owner slots of the table are in use, it waits for one too. It is refused (`LockUsageError`) if
   * none can become free: each belongs to a thread that keeps it, or to an ended thread whose locks nobody
   * has repaired. A nested holding, or one in a thread that holds locks, is refused at once: the holdings
   * around it may use all slots. A wrong number rejects the promise, like every other error; the stacks of
   * all errors begin at the caller.
   */
  async holdAsync<Result>(
    wanted: WantedLocks,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Result>
  async holdAsync<Result>(
    wanted: WantedLocks,
    options: HoldOptions,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Result>
  async holdAsync<Result>(
    wanted: WantedLocks,
    ...rest:
      | [fn: () => Result | PromiseLike<Result>]
      | [options: HoldOptions, fn: () => Result | PromiseLike<Result>]
  ): Promise<Result> {
    const { terms, fn } = parseCall(rest, this.holdAsync)
    const plan = this.#plan(wanted, this.holdAsync)
    return await this.#tasks.hold(plan, terms, fn)
  }

  /** Takes one lock; blocks the thread while it is busy. Pair it with {@link unlock} in a `finally`. */
  lock(index: number): void {
    if (!isIndex(index, this.#count)) throw badIndex(index, this.#count, this.lock)
    if (this.#lock(index) !== 0) this.#acquirer.take(index, 'exclusive', this.lock)
  }

  /**
   * Releases one lock.
   *
   * @throws LockUsageError if this thread does not hold it; then nothing has changed.
   */
  unlock(index: number): void {
    if (!isIndex(index, this.#count)) throw badIndex(index, this.#count, this.unlock)
    const bits = this.#unlock(index)
    if (bits === 0) return
    this.#releaser.finish(lockOf(this.#table, index), bits, this.unlock)
  }

  /**
   * Takes one lock together with other shared holders. Blocks the thread while another owner holds the lock
   * exclusively, or waits for readers to leave, so that readers do not starve writers. A thread that holds a
   * lock shared cannot take it exclusively as well (`LockUsageError`).
   */
  lockShared(index: number): void {
    if (!isIndex(index, this.#count)) throw badIndex(index, this.#count, this.lockShared)
    this.#acquirer.take(index, 'shared', this.lockShared)
  }

  /**
   * Releases a lock that {@link lockShared} took.
   *
   * @throws LockUsageError if this thread does not hold it shared; then nothing has changed.
   */
  unlockShared(index: number): void {
    if (!isIndex(index, this.#count)) throw badIndex(index, this.#count, this.unlockShared)
    this.#releaser.releaseShared(lockOf(this.#table, index), this.unlockShared)
  }

  /** Takes two locks as {@link holdPair} does, for code that has its own `try`/`finally`. */
  lockPair(a: number, b: number): void {
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count, this.lockPair)
    const busy = this.#lock2(a, b)
    if (busy !== 0) this.#acquirer.takePair(a, b, busy, this.lockPair)
  }

  /**
   * Releases the locks that {@link lockPair} took.
   *
   * @throws LockUsageError if this thread does not hold both; then nothing has changed.
   */
  unlockPair(a: number, b: number): void {
    if (!isPair(a, b, this.#count)) throw badPair(a, b, this.#count, this.unlockPair)
    const bits = this.#unlock2(a, b)
    if (bits === 0) return
    if (bits === NOT_ON_TOP) this.#releaser.mustHoldPair(a, b, this.unlockPair)
    this.#releaser.finishPair(a, b, bits, this.unlockPair)
  }

  /**
   * Declares an abandoned lock consistent, and with it all other locks that the same ended thread left: they
   * are free again.
   *
   * @throws LockUsageError if the lock is not abandoned.
   */
  recover(index: number): void {
    if (!isIndex(index, this.#count)) throw badIndex(index, this.#count, this.recover)
    recover(this.#table, this.#owner, lockOf(this.#table, index), this.recover)
  }

  /**
   * Gives this thread's slot in the table back to others; the object cannot be used afterwards.
   *
   * @throws LockUsageError if the thread still holds locks, waits for one (`close` was called in
   *   `onLongWait`), has a `holdAsync` that has not ended, or repairs locks that another thread left.
   */
  close(): void {
    if (this.#count === 0) return
    this.#releaser.release()
    const held = locksHeld(this.#table, this.#owner)
    if (held.length > 0) {
      throw new LockUsageError(
        `close: ${this.label} still holds ${describeLocks(held)}: close the table after all locks are ` +
          'released, and not in the callback of a hold',
        this.close,
      )
    }
    this.#tasks.refuseIfBusy(this.close)
    this.#acquirer.refuseIfBusy(this.close)
    this.#count = 0
    unwatch(this.#owner)
    releaseOwner(this.#table, this.#owner)
  }

  #plan(wanted: WantedLocks, caller: Caller): LockPlan {
    this.#releaser.release()
    return makePlan(
      wanted,
      () => this.#count,
      (record) => lockOf(this.#table, record),
      caller,
    )
  }
}

/** The error of `new SharedLocks(…)`. */
function notMade(caller: Caller): LockUsageError {
  return new LockUsageError(
    'new SharedLocks: make a table with SharedLocks.create(options), or open one in another thread ' +
      'with SharedLocks.open(handle)',
    caller,
  )
}
