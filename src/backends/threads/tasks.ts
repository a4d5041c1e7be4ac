/**
 * Asynchronous holdings: locks for threads that must not block.
 *
 * Each holding is an owner of its own (a task), so that two of them in one thread exclude each other
 * and a deadlock through them is seen like any other. A task sleeps by `Atomics.waitAsync` and sets
 * WAKE_ALL beside WAITER: its thread may be busy when the lock is freed, and a wake-up spent on it
 * alone would leave others asleep beside a free lock.
 *
 * Invariant the locks of a task are on its own list; it takes them in ascending order, one by one,
 *           and frees them all when its callback has settled, or when one cannot be had.
 */

import { type Caller, DeadlockError, LockOrderError, LockUsageError } from '../../core/errors.ts'
import { describeSelfDeadlock, findDeadlock } from './deadlock.ts'
import { inherit, isLeft, type OnOwnerDied } from './deaths.ts'
import { TASK_SLOT, WAITER, WAKE_ALL } from './layout.ts'
import {
  endWait,
  listOf,
  locksHeldBy,
  type Owner,
  publishWait,
  pushHeld,
  releaseOwner,
  removeHeld,
  tryClaimOwner,
} from './owners.ts'
import { addressOf, type Table } from './table.ts'
import { announceSleep, LONGEST_SLEEP_MS, lookAfter, stackAt, wake } from './waiter.ts'

/** One asynchronous holding, from its first wait to its end. */
interface Task {
  readonly table: Table
  readonly owner: Owner
  /** The holding around it, of whatever table. */
  readonly outer: Task | undefined
  ended: boolean
}

/** Where all owners are in use, a new holding looks again this often. */
const RETRY_MS = 10
/** Without `Atomics.waitAsync`, a busy lock is looked at this often. */
const POLL_MS = 1
/** As long as a timer can be: it only keeps the process alive. */
const LONG_MS = 2 ** 31 - 1

/** The asynchronous holdings of one thread. */
export class Tasks {
  readonly #table: Table
  readonly #thread: Owner
  readonly #onOwnerDied: OnOwnerDied | undefined
  readonly #running = new Set<Task>()
  /** Holdings asked for that have not ended, those without an owner yet included. */
  #asked = 0
  #begun = 0

  constructor(table: Table, thread: Owner, onOwnerDied: OnOwnerDied | undefined) {
    this.#table = table
    this.#thread = thread
    this.#onOwnerDied = onOwnerDied
  }

  /** Holds `locks` (ascending, each once) while what `fn` returns is unsettled. */
  async hold<Result>(
    locks: readonly number[],
    fn: () => Result | PromiseLike<Result>,
    caller: Caller,
  ): Promise<Result> {
    this.#asked++
    try {
      return await this.#holdOnce(locks, fn, stackAt(caller))
    } finally {
      this.#asked--
    }
  }

  async #holdOnce<Result>(
    locks: readonly number[],
    fn: () => Result | PromiseLike<Result>,
    stack: string,
  ): Promise<Result> {
    const outer = context?.getStore()
    // Not in the caller's own step: a blocking hold around this call has ended by the next one, and
    // what the thread still holds then, it holds across its event loop.
    await undefined
    this.#refuseOrder(locks, outer, stack)
    const task = await this.#begin(outer)
    try {
      for (const lock of locks) await this.#take(task, lock, stack)
      return await (context ? context.run(task, fn) : fn())
    } finally {
      this.#end(task)
    }
  }

  /** A thread that blocks stops its own tasks: under an order, it must not wait below their locks. */
  refuseToBlock(wanted: number, caller: Caller): void {
    if (this.#running.size === 0 || this.#table.layout.order === 'free') return
    const held = [...this.#running].flatMap((task) => locksHeldBy(this.#table, task.owner.id))
    const highest = highestOf(held)
    if (wanted > highest) return
    throw new LockOrderError(
      `${this.#thread.label} would block for lock ${wanted} while an asynchronous holding of its own ` +
        `has lock ${highest}, and could not end it meanwhile: use holdAsync for lock ${wanted} too`,
      caller,
    )
  }

  /** Whether an asynchronous holding of this thread has one of these locks. */
  holdsAny(locks: readonly number[]): boolean {
    return [...this.#running].some(({ owner }) =>
      locksHeldBy(this.#table, owner.id).some((held) => locks.includes(held)),
    )
  }

  /** Throws while asynchronous holdings of this thread run. */
  refuseIfBusy(): void {
    if (this.#asked === 0) return
    throw new LockUsageError(
      `close: ${this.#asked} holdAsync of ${this.#thread.label} have not ended; await them first`,
    )
  }

  /** Those of some holdings, each around the one before, that are of this table and have not ended. */
  *#surrounding(outer: Task | undefined): Generator<Task> {
    for (let task = outer; task; task = task.outer) {
      if (!task.ended && task.table.buffer === this.#table.buffer) yield task
    }
  }

  #refuseOrder(locks: readonly number[], outer: Task | undefined, stack: string): void {
    const wanted = locks[0]
    if (wanted === undefined || this.#table.layout.order === 'free') return
    const around = [...this.#surrounding(outer)].map((task) => task.owner)
    const held = [this.#thread, ...around].flatMap(({ id }) => locksHeldBy(this.#table, id))
    if (held.includes(wanted)) {
      const holder = around[0] ?? this.#thread
      throw new DeadlockError(describeSelfDeadlock(this.#table, holder, wanted, stack))
    }
    const highest = highestOf(held)
    if (wanted > highest) return
    throw new LockOrderError(
      `holdAsync asked for lock ${wanted} inside a holding of lock ${highest}: this table takes locks ` +
        "in ascending order only. Take them all in one request, or create the table with order: 'free'",
    )
  }

  async #begin(outer: Task | undefined): Promise<Task> {
    const [parent] = this.#surrounding(outer)
    for (;;) {
      const acrossEventLoop = locksHeldBy(this.#table, this.#thread.id).length > 0
      const owner = tryClaimOwner(this.#table, `${this.#thread.label} (task ${this.#begun + 1})`, {
        kind: TASK_SLOT,
        thread: this.#thread.id,
        parent: parent?.owner.id ?? (acrossEventLoop ? this.#thread.id : 0),
      })
      if (owner) {
        const task = { table: this.#table, owner, outer, ended: false }
        this.#running.add(task)
        this.#begun++
        return task
      }
      if (parent || acrossEventLoop) {
        throw new LockUsageError(
          `all ${this.#table.layout.owners} owners of this table are in use, and who holds locks ` +
            'cannot wait for one: create the table with more owners',
        )
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  #end(task: Task): void {
    const { words } = this.#table
    task.ended = true
    for (const word of listOf(this.#table, task.owner.id)) {
      removeHeld(this.#table, task.owner, word)
      const bits = Atomics.exchange(words, word >> 2, 0) ^ task.owner.me
      if (bits !== 0) wake(words, word, bits)
    }
    this.#running.delete(task)
    releaseOwner(this.#table, task.owner)
  }

  async #take(task: Task, lock: number, stack: string): Promise<void> {
    const { words, layout } = this.#table
    const { owner } = task
    const word = addressOf(this.#table, lock)
    const at = word >> 2
    let waited = false
    for (;;) {
      const seen = Atomics.load(words, at)
      if (seen === 0) {
        const mine = waited ? owner.me | WAITER : owner.me
        if (Atomics.compareExchange(words, at, 0, mine) === 0) break
        continue
      }
      if (isLeft(this.#table, seen)) {
        if (waited) endWait(this.#table, owner)
        waited = false
        inherit(this.#table, owner, lock, this.#onOwnerDied)
        continue
      }
      const first = !waited
      waited = true
      if (first) publishWait(this.#table, owner, word, stack)
      if (first && layout.order === 'free') {
        const report = findDeadlock(this.#table, owner)
        if (report) throw new DeadlockError(report)
      }
      if (announceSleep(words, at, seen, WAITER | WAKE_ALL)) {
        const end = await sleep(words, at, seen | WAITER | WAKE_ALL)
        if (end === 'timed-out') lookAfter(this.#table, owner, at)
      }
    }
    if (waited) endWait(this.#table, owner)
    pushHeld(this.#table, owner, word)
  }
}

/** The highest of some lock numbers, -1 for none. */
function highestOf(locks: readonly number[]): number {
  return locks.reduce((highest, lock) => Math.max(highest, lock), -1)
}

/** Sleeps until the word at index `at` is woken or no longer `value`, without blocking the thread. */
async function sleep(words: Int32Array, at: number, value: number): Promise<string> {
  if (!Atomics.waitAsync) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    return 'timed-out'
  }
  const waiting = Atomics.waitAsync(words, at, value, LONGEST_SLEEP_MS)
  if (!waiting.async) return waiting.value
  // A pending waitAsync does not keep a process alive; a timer does.
  const alive = setInterval(() => {}, LONG_MS)
  try {
    return await waiting.value
  } finally {
    clearInterval(alive)
  }
}

/** The part of Node's AsyncLocalStorage that is used; absent in browsers. */
interface TaskContext {
  run<Result>(task: Task, fn: () => Result): Result
  getStore(): Task | undefined
}

const context = makeContext()

function makeContext(): TaskContext | undefined {
  const { process } = globalThis as {
    readonly process?: { getBuiltinModule?(id: string): unknown }
  }
  const hooks = process?.getBuiltinModule?.('node:async_hooks') as
    | { AsyncLocalStorage: new () => TaskContext }
    | undefined
  return hooks && new hooks.AsyncLocalStorage()
}
