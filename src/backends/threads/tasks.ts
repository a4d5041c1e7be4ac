/**
 * Asynchronous holdings: locks for threads that must not block.
 *
 * Each holding is an owner of its own (a task), so that two of them in one thread exclude each other
 * and a deadlock through them is seen like any other.
 *
 * A task is nested in the holding around it, or in its thread, where that holds locks across its event loop.
 * Whether the code there waits for the task is proved late: while it waits, it reads V8's async stack, in which
 * the end of each holding's callback stands under a name of its own (core/await-chain.ts). The code that took
 * its thread's own locks has none: only where the thread's outermost code itself awaits the task is it taken
 * to wait. Where that has started other code and not awaited it, and that has the locks, it errs.
 *
 * Invariant the locks of a task are on its own list; it takes them in ascending order, one by one,
 *           and frees them all when its callback has settled, or when one cannot be had; in a re-entrant
 *           table not before the nested tasks have ended that asked for one of its locks again. It awaits
 *           these without any doubt then.
 */

import {
  awaitInFrame,
  canProve,
  provesWaits,
  REQUEST,
  readAwaitChain,
} from '../../core/await-chain.ts'
import { builtin } from '../../core/builtin.ts'
import { stackBeginningAt } from '../../core/call-stack.ts'
import { pauseFor } from '../../core/clock.ts'
import { LockOrderError, LockUsageError, LockwiseError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { stackAt } from './caller-stack.ts'
import { firstTaken, intend, listOf, locksHeld, removeHeld } from './held-list.ts'
import { NOT_PROVED, PROVED, TASK_SLOT } from './layout.ts'
import { noticeEnds } from './owner-slots.ts'
import { OwnerWait } from './owner-wait.ts'
import { nestIn, type Owner, setProof } from './owners.ts'
import { type LockPlan, modeIn } from './plan.ts'
import { publishHolding } from './published-wait.ts'
import { leave } from './readers.ts'
import { inherit, type OnOwnerDied } from './recovery.ts'
import { holdsAlone, refuse } from './refusals.ts'
import { releaseOwner, tryRegisterOwner } from './register-owner.ts'
import { numberOf, type Table } from './table.ts'
import { takeForTask } from './task-waiter.ts'
import { type Terms, wake } from './wait.ts'

/** One asynchronous holding, from its first wait to its end. */
interface Task {
  readonly table: Table
  readonly owner: Owner
  /** The holding around it, of whatever table. */
  readonly outer: Task | undefined
  /** The holding in which it is nested, of the same table; changes when that ends. */
  parent: Task | undefined
  /** The tasks nested in it that have not ended. */
  readonly nested: Set<Task>
  /** The number of the frame that awaits its callback; 0 where there is none. */
  frame: number
  /** Whether it relies on a lock of the holdings around it: its parent keeps all of its locks until it ends. */
  relies: boolean
  /** Whether its callback has ended, or it was refused. */
  settled: boolean
  /** Whether its locks are released: when it has settled, and what is nested in it and relies on it has ended. */
  ended: boolean
}

/** Where all owners are in use, a new holding looks again this often. */
const RETRY_MS = 10

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

  static {
    // Await chains show where our calls end.
    Object.defineProperty(Tasks.prototype.hold, 'name', { value: REQUEST })
  }

  /** Holds a plan's locks while what `fn` returns is unsettled. Only a public method awaits it. */
  async hold<Result>(
    plan: LockPlan,
    terms: Terms,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Result> {
    this.#asked++
    try {
      return await this.#holdOnce(plan, { ...terms, stack: stackAt(terms.caller) }, fn)
    } finally {
      this.#asked--
    }
  }

  async #holdOnce<Result>(
    whole: LockPlan,
    { stack, untilMs, timeoutMs }: Terms & { readonly stack: string },
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Result> {
    // The caller has gone when an error is made: it is not on the call stack any more.
    const terms: Terms = { caller: undefined, stack, untilMs, timeoutMs }
    const outer = context?.getStore()
    // Not in the caller's own step: a blocking hold around this call has ended by the next one, and
    // what the thread still holds then, it holds across its event loop.
    await undefined
    let task: Task | undefined
    let isGranted = false
    try {
      const plan = this.#withoutHeld(whole, outer)
      const relied = plan === whole ? undefined : this.#lenderOf(whole, outer)
      this.#refuse(plan, outer, terms)
      task = await this.#begin(outer, terms, relied)
      for (const lock of plan.locks) await this.#take(task, lock, modeIn(plan, lock), terms)
      isGranted = true
      publishHolding(this.#table, task.owner, stack)
      const result = context ? context.run(task, fn) : fn()
      return await (this.#table.layout.order === 'free' ? inFrame(task, result) : result)
    } catch (error) {
      throw isGranted ? error : beginningAt(error, stack)
    } finally {
      if (task) this.#settle(task)
    }
  }

  /** A thread that blocks stops its own tasks: under an order, it must not wait below their locks. */
  refuseToBlock(wanted: number): void {
    if (this.#running.size === 0 || this.#table.layout.order === 'free') return
    const held = [...this.#running].flatMap((task) => locksHeld(this.#table, task.owner))
    const highest = highestOf(held)
    if (wanted > highest) return
    throw new LockOrderError(
      `${this.#thread.label} would block for lock ${wanted} while an asynchronous holding of its own ` +
        `has lock ${highest}, and could not end it meanwhile: use holdAsync for lock ${wanted} too`,
    )
  }

  /** Whether an asynchronous holding of this thread has one of these locks. */
  holdsAny(locks: readonly number[]): boolean {
    return [...this.#running].some(({ owner }) =>
      locksHeld(this.#table, owner).some((held) => locks.includes(held)),
    )
  }

  /** Throws while asynchronous holdings of this thread run. */
  refuseIfBusy(): void {
    if (this.#asked === 0) return
    throw new LockUsageError(
      `close: ${this.#asked} holdAsync of ${this.#thread.label} have not ended; await them first`,
    )
  }

  /**
   * Those of some holdings, each around the one before, that are of this table and run; or have settled, and
   * the one inside relies on them.
   */
  *#surrounding(outer: Task | undefined): Generator<Task> {
    let inner: Task | undefined
    for (let task = outer; task; task = task.outer) {
      if (task.ended || task.table.buffer !== this.#table.buffer) continue
      if (task.settled && !inner?.relies) continue
      yield task
      inner = task
    }
  }

  /** In a re-entrant table, a plan without what the holdings around it have: it stays held after it. */
  #withoutHeld(plan: LockPlan, outer: Task | undefined): LockPlan {
    if (!this.#table.layout.reentrant) return plan
    const around = [...this.#surrounding(outer)]
    const locks = plan.locks.filter((lock) => !around.some((task) => this.#lends(task, plan, lock)))
    return locks.length === plan.locks.length ? plan : { locks, shared: plan.shared }
  }

  /** The outermost of the holdings around a plan that have one of its locks. */
  #lenderOf(plan: LockPlan, outer: Task | undefined): Task | undefined {
    const around = [...this.#surrounding(outer)]
    return around.findLast((task) => plan.locks.some((lock) => this.#lends(task, plan, lock)))
  }

  /** Whether a holding has a lock of a plan so that one inside it need not take it again. */
  #lends({ owner }: Task, plan: LockPlan, lock: number): boolean {
    const isReader = plan.shared.has(lock) && owner.shared.has(lock)
    return isReader || holdsAlone(this.#table, owner, lock)
  }

  /** Throws where a holding must not be asked for, because of those around it. */
  #refuse(plan: LockPlan, outer: Task | undefined, terms: Terms): void {
    const [wanted] = plan.locks
    if (wanted === undefined || this.#table.layout.order === 'free') return
    const around = [this.#thread, ...[...this.#surrounding(outer)].map((task) => task.owner)]
    for (const owner of around.reverse()) refuse(this.#table, owner, wanted, plan, terms)
  }

  async #begin(outer: Task | undefined, terms: Terms, lender: Task | undefined): Promise<Task> {
    const [parent] = this.#surrounding(outer)
    let wait: OwnerWait | undefined
    let isNoticed = false
    try {
      for (;;) {
        const acrossEventLoop = locksHeld(this.#table, this.#thread).length > 0
        const owner = this.#tryRegister(parent, acrossEventLoop)
        if (owner) {
          if (parent || acrossEventLoop) void canProve()
          return this.#newTask(owner, outer, parent, lender)
        }
        if (parent || acrossEventLoop) {
          if (!isNoticed) {
            isNoticed = true
            noticeEnds(this.#table, this.#thread)
            continue
          }
          throw new LockUsageError(
            `all ${this.#table.layout.owners} owners of this table are in use, and who holds locks ` +
              'cannot wait for one: create the table with more owners',
          )
        }
        wait ??= new OwnerWait(this.#table, this.#thread, terms)
        wait.look()
        await pauseFor(RETRY_MS)
      }
    } finally {
      wait?.end()
    }
  }

  #tryRegister(parent: Task | undefined, acrossEventLoop: boolean): Owner | undefined {
    return tryRegisterOwner(this.#table, `${this.#thread.label} (task ${this.#begun + 1})`, {
      kind: TASK_SLOT,
      thread: this.#thread.id,
      parent: parent?.owner.id ?? (acrossEventLoop ? this.#thread.id : 0),
      under: acrossEventLoop ? firstTaken(this.#table, this.#thread) : 0,
    })
  }

  #newTask(
    owner: Owner,
    outer: Task | undefined,
    parent: Task | undefined,
    lender: Task | undefined,
  ): Task {
    const task: Task = {
      table: this.#table,
      owner,
      outer,
      parent,
      nested: new Set(),
      frame: 0,
      relies: lender !== undefined,
      settled: false,
      ended: false,
    }
    // Those in between as well: else it would not be nested in the lender when they have ended.
    for (let each = parent; lender && each && each !== lender; each = each.parent)
      each.relies = true
    parent?.nested.add(task)
    this.#running.add(task)
    this.#begun++
    return task
  }

  /** Its callback has ended: so does the task, with the last of the nested ones that rely on it. */
  #settle(task: Task): void {
    task.settled = true
    this.#handOn(task)
    if (task.nested.size === 0) this.#end(task)
  }

  #end(task: Task): void {
    const { words } = this.#table
    const { parent } = task
    task.ended = true
    parent?.nested.delete(task)
    for (const lock of [...task.owner.shared]) leave(this.#table, task.owner, lock)
    for (const word of listOf(this.#table, task.owner.id)) {
      intend(this.#table, task.owner, numberOf(this.#table, word))
      removeHeld(this.#table, task.owner, word)
      const bits = Atomics.exchange(words, word >> 2, 0) ^ task.owner.me
      if (bits !== 0) wake(words, word, bits)
    }
    this.#running.delete(task)
    releaseOwner(this.#table, task.owner)
    if (parent?.settled && parent.nested.size === 0) this.#end(parent)
  }

  /**
   * Leaves what is nested in a settled task to the one around it, except what relies on it: the task's owner
   * number will be another's.
   */
  #handOn({ nested, parent }: Task): void {
    for (const task of [...nested].filter(({ relies }) => !relies)) {
      nested.delete(task)
      task.parent = parent
      parent?.nested.add(task)
      nestIn(this.#table, task.owner, parent?.owner.id ?? 0)
    }
  }

  /** Publishes which of the code around a waiting task waits for it now. */
  #prove(task: Task): void {
    const chain = provesWaits() ? readAwaitChain('frames') : undefined
    if (chain === undefined) return
    let isReached = true
    for (let child: Task | undefined = task; child; child = child.parent) {
      const { parent } = child
      // One that has settled waits for the nested ones that rely on it, and only for these. A thread's code has
      // no frame. It can have branches, and any of them have taken the thread's locks.
      const isInChain = parent
        ? parent.settled || chain.frames.has(parent.frame)
        : chain.isAwaitedAtRoot
      // Another task nested in the child can prove what this one cannot.
      if (isReached && isInChain) setProof(this.#table, child.owner.id, PROVED)
      else if (child === task) setProof(this.#table, child.owner.id, NOT_PROVED)
      isReached = isInChain
    }
  }

  async #take(task: Task, lock: number, mode: LockMode, terms: Terms): Promise<void> {
    const { owner } = task
    const table = this.#table
    const prove = (): void => this.#prove(task)
    while (!(await takeForTask({ table, owner, lock, mode, terms, prove }))) {
      inherit(table, owner, lock, this.#onOwnerDied)
    }
  }
}

/** An error of ours, whose stack then begins at these calls: it was made when they had been left. */
function beginningAt(error: unknown, calls: string): unknown {
  if (error instanceof LockwiseError && calls !== '') error.stack = stackBeginningAt(error, calls)
  return error
}

/**
 * Awaits the result of a callback in a frame of the task's own, so that await chains show it. V8 follows no
 * promise with two reactions, so it is awaited again only when it has settled.
 */
async function inFrame<Result>(task: Task, result: Result | PromiseLike<Result>): Promise<Result> {
  const end = Promise.resolve(result)
  const { id, awaits } = awaitInFrame(end)
  task.frame = id
  await awaits
  return await end
}

/** The highest of some lock numbers, -1 for none. */
function highestOf(locks: readonly number[]): number {
  return locks.reduce((highest, lock) => Math.max(highest, lock), -1)
}

/** The part of Node's AsyncLocalStorage that is used; absent in browsers. */
interface TaskContext {
  run<Result>(task: Task, fn: () => Result): Result
  getStore(): Task | undefined
}

const context = makeContext()

function makeContext(): TaskContext | undefined {
  const hooks = builtin<{ AsyncLocalStorage: new () => TaskContext }>('node:async_hooks')
  return hooks && new hooks.AsyncLocalStorage()
}
