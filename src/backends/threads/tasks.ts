/**
 * Asynchronous holdings: locks for threads that must not block.
 *
 * Each holding is an owner of its own (a task), so that two of them in one thread exclude each other
 * and a deadlock through them is detected like any other.
 *
 * A task is nested in the holding around it, or in its thread if that keeps locks while its event loop runs.
 * A proof that the code there waits for the task comes late: task-proof.ts.
 *
 * Invariant The locks of a task are on its own list. It takes them in ascending order, one by one, and
 *           releases them all when its callback has settled, or when it cannot get one of them. In a
 *           re-entrant table it first waits until the nested tasks that requested one of its locks again
 *           have ended. This wait is certain, without an await chain that shows it.
 */

import { newAsyncContext } from '../../core/async-context.ts'
import { canProve, REQUEST } from '../../core/await-chain.ts'
import { stackBeginningAt } from '../../core/call-site.ts'
import { type Caller, LockOrderError, LockUsageError, LockwiseError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { holdersText } from '../../core/report-text.ts'
import { stackAt } from './caller-stack.ts'
import { firstTaken, locksHeld } from './held-list.ts'
import { describeHolders } from './holders.ts'
import { TASK_SLOT } from './layout.ts'
import { inUse, noticeEnds } from './owner-slots.ts'
import { OwnerQueue } from './owner-wait.ts'
import { type Owner, ownersIn } from './owners.ts'
import { type LockPlan, modeIn } from './plan.ts'
import { publishHolding } from './published-wait.ts'
import { holdsExclusively, refuse, refuseBelow } from './refusals.ts'
import { tryRegisterOwner } from './register-owner.ts'
import type { Repairs } from './running-repairs.ts'
import { stripesText, type Table } from './table.ts'
import { beginTask, lends, settle, surrounding, type Task } from './task.ts'
import { inFrame, proveWaits, refuseAtRoot } from './task-proof.ts'
import { takeForTask } from './task-waiter.ts'
import type { Terms } from './wait.ts'

/** The asynchronous holdings of one thread. */
export class Tasks {
  readonly #table: Table
  readonly #thread: Owner
  readonly #repairs: Repairs
  readonly #owners: OwnerQueue
  readonly #running = new Set<Task>()
  /** The requested holdings that have not ended, including those without an owner yet. */
  #asked = 0
  #begun = 0

  constructor(table: Table, thread: Owner, repairs: Repairs) {
    this.#table = table
    this.#thread = thread
    this.#owners = new OwnerQueue(table, thread, () => this.#tryRegister(undefined, false))
    this.#repairs = repairs
  }

  static {
    // By this name, a reader of await chains recognises where our own calls end.
    Object.defineProperty(Tasks.prototype.hold, 'name', { value: REQUEST })
  }

  /** Holds a plan's locks until the result of `fn` settles. A public method must await it: await-chain.ts. */
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
    // When an error is made, the caller is no longer on the call stack.
    const terms: Terms = { caller: undefined, stack, untilMs, timeoutMs }
    const outer = context?.getStore()
    // Continue in a later step than the caller's: a blocking hold around this call has ended by then. If
    // the thread still holds locks, it keeps them while its event loop runs.
    await undefined
    let task: Task | undefined
    let isGranted = false
    try {
      const plan = this.#withoutHeld(whole, outer)
      const relied = plan === whole ? undefined : this.#lenderOf(whole, outer)
      const refusal = this.#refuse(plan, outer, terms)
      if (refusal !== undefined) await refusal
      task = await this.#begin(outer, terms, relied)
      for (const lock of plan.locks) await this.#take(task, lock, modeIn(plan, lock), terms)
      isGranted = true
      publishHolding(this.#table, task.owner, stack)
      const result = context ? context.run(task, fn) : fn()
      return await (this.#table.layout.order === 'free' ? inFrame(task, result) : result)
    } catch (error) {
      throw isGranted || this.#repairs.hasThrown(error) ? error : beginningAt(error, stack)
    } finally {
      if (task) settle(task)
    }
  }

  /**
   * Throws, under order 'ascending', if the thread would block for a lock up to the highest that its tasks
   * hold. While it blocks, its tasks cannot end, and the lock's holder may wait for one of them.
   */
  refuseToBlock(wanted: number): void {
    if (this.#running.size === 0 || this.#table.layout.order === 'free') return
    const table = this.#table
    const held = [...this.#running].map(({ owner }) => ({ owner, locks: locksHeld(table, owner) }))
    const highest = highestOf(held.flatMap(({ locks }) => locks))
    if (wanted > highest) return
    const isSame = held.some(({ locks }) => locks.includes(wanted))
    const lock = isSame ? wanted : highest
    const ids = held.filter(({ locks }) => locks.includes(lock)).map(({ owner }) => owner.id)
    const holders = holdersText(describeHolders(table, lock, ids), ids.length)
    const advice = isSame
      ? `In the callback of that holdAsync, do not request the lock again; elsewhere, wait with holdAsync([${lock}], …)`
      : `Take both in one holdAsync([${wanted}, ${lock}], …), or wait with holdAsync in code that holds no lock`
    throw new LockOrderError(
      `${this.#thread.label} would block for lock ${wanted}${stripesText(table)}` +
        `${isSame ? ', ' : ` while lock ${lock} is `}held by ${holders}, a holdAsync of the same thread, which ` +
        `cannot end while the thread is blocked. ${advice}`,
    )
  }

  /** Whether an asynchronous holding of this thread has one of these locks. */
  holdsAny(locks: readonly number[]): boolean {
    return [...this.#running].some(({ owner }) =>
      locksHeld(this.#table, owner).some((held) => locks.includes(held)),
    )
  }

  /** Throws while asynchronous holdings of this thread run. */
  refuseIfBusy(caller: Caller): void {
    if (this.#asked === 0) return
    const { label } = this.#thread
    throw new LockUsageError(
      this.#asked === 1
        ? `close: a holdAsync of ${label} has not ended; await it first`
        : `close: ${this.#asked} holdAsync calls of ${label} have not ended; await them first`,
      caller,
    )
  }

  /**
   * Removes from a plan, in a re-entrant table, the locks of the holdings around it: those outlast this one.
   */
  #withoutHeld(plan: LockPlan, outer: Task | undefined): LockPlan {
    if (!this.#table.layout.reentrant) return plan
    const around = [...surrounding(this.#table, outer)]
    const locks = plan.locks.filter((lock) => !around.some((task) => lends(task, plan, lock)))
    return locks.length === plan.locks.length ? plan : { locks, shared: plan.shared }
  }

  /** The outermost of the holdings around a plan that has one of the plan's locks. */
  #lenderOf(plan: LockPlan, outer: Task | undefined): Task | undefined {
    const around = [...surrounding(this.#table, outer)]
    return around.findLast((task) => plan.locks.some((lock) => lends(task, plan, lock)))
  }

  /**
   * Throws, under order 'ascending', if a holding must not be requested because of the holdings around it, or
   * of higher locks that its thread holds. If the thread itself holds the lowest requested lock, and not both
   * are shared, returns a promise that decides later.
   */
  #refuse(plan: LockPlan, outer: Task | undefined, terms: Terms): Promise<void> | undefined {
    const [wanted] = plan.locks
    const [table, thread] = [this.#table, this.#thread]
    if (wanted === undefined || table.layout.order === 'free') return undefined
    for (const { owner } of [...surrounding(table, outer)].reverse()) {
      refuse(table, owner, wanted, plan, terms)
    }
    refuseBelow(table, thread, wanted, plan, wanted + 1)
    const isReader = thread.shared.has(wanted) && !plan.shared.has(wanted)
    if (!isReader && !holdsExclusively(table, thread, wanted)) return undefined
    return refuseAtRoot(table, thread, wanted, plan, terms)
  }

  async #begin(outer: Task | undefined, terms: Terms, lender: Task | undefined): Promise<Task> {
    const [parent] = surrounding(this.#table, outer)
    // Decide this now: locks that the thread takes while this call waits belong to other code.
    const threadHoldsLocks = locksHeld(this.#table, this.#thread).length > 0
    const isNested = parent !== undefined || threadHoldsLocks
    const owner = isNested
      ? this.#mustRegister(parent, threadHoldsLocks)
      : (this.#owners.tryTake() ?? (await this.#owners.wait(terms)))
    if (isNested) void canProve()
    const around = { outer, parent, running: this.#running }
    return beginTask({ table: this.#table, owner, ...around }, lender)
  }

  /** Registers the owner of a nested holding. It must not wait: the holdings around it may use all slots. */
  #mustRegister(parent: Task | undefined, threadHoldsLocks: boolean): Owner {
    const owner = this.#tryRegister(parent, threadHoldsLocks)
    if (owner) return owner
    noticeEnds(this.#table, this.#thread)
    const next = this.#tryRegister(parent, threadHoldsLocks)
    if (next) return next
    throw new LockUsageError(
      `holdAsync of ${this.#thread.label} cannot begin inside another holding: ` +
        `${inUse(this.#table, ownersIn(this.#table)).text}. It does not wait for a slot, because the holdings ` +
        'around it may have them all: create the table with more owners, one for each thread and one for each ' +
        'holdAsync that runs at the same time; or take all locks in the outer call',
    )
  }

  #tryRegister(parent: Task | undefined, threadHoldsLocks: boolean): Owner | undefined {
    const owner = tryRegisterOwner(this.#table, `${this.#thread.label} (task ${this.#begun + 1})`, {
      kind: TASK_SLOT,
      thread: this.#thread.id,
      parent: parent?.owner.id ?? (threadHoldsLocks ? this.#thread.id : 0),
      under: threadHoldsLocks ? firstTaken(this.#table, this.#thread) : 0,
    })
    if (owner) this.#begun++
    return owner
  }

  async #take(task: Task, lock: number, mode: LockMode, terms: Terms): Promise<void> {
    const { owner } = task
    const table = this.#table
    const prove = (): void => proveWaits(task)
    while (!(await takeForTask({ table, owner, lock, mode, terms, prove }))) {
      this.#repairs.repair(owner, lock)
    }
  }
}

/**
 * Makes the stack of an error of ours begin at `calls`, because the error was made after they had returned.
 */
function beginningAt(error: unknown, calls: string): unknown {
  if (error instanceof LockwiseError && calls !== '') error.stack = stackBeginningAt(error, calls)
  return error
}

/** The highest of some lock numbers, -1 for none. */
function highestOf(locks: readonly number[]): number {
  return locks.reduce((highest, lock) => Math.max(highest, lock), -1)
}

const context = newAsyncContext<Task>()
