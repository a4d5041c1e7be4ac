/**
 * One asynchronous holding (a task) from beginning to end, and the tasks around it and inside it.
 *
 * Invariant A task ends, and releases its locks and its owner, when its callback has settled and the nested
 *           tasks that rely on its locks have ended. Its other nested tasks move to the task around it.
 */

import { intend, listOf, removeHeld } from './held-list.ts'
import { nestIn, type Owner } from './owners.ts'
import type { LockPlan } from './plan.ts'
import { leave } from './readers.ts'
import { holdsExclusively } from './refusals.ts'
import { releaseOwner } from './register-owner.ts'
import { numberOf, type Table } from './table.ts'
import { wake } from './wait.ts'

/** One asynchronous holding, from its first wait to its end. */
export interface Task {
  readonly table: Table
  readonly owner: Owner
  /** The tasks of its thread in its table that have not ended. */
  readonly running: Set<Task>
  /** The holding around it, of any table. */
  readonly outer: Task | undefined
  /** The holding of the same table in which it is nested; changes when that one ends. */
  parent: Task | undefined
  /** The tasks nested in it that have not ended. */
  readonly nested: Set<Task>
  /** The number of the frame that awaits its callback; 0 if there is none. */
  frame: number
  /**
   * Whether it relies on a lock of the holdings around it. Its parent then keeps all of its own locks until
   * this task ends.
   */
  relies: boolean
  /** Whether its callback has ended, or it was refused. */
  settled: boolean
  /** Whether its locks are released: it has settled, and the nested tasks that rely on it have ended. */
  ended: boolean
}

/** Starts a task. `lender`: the outermost of the tasks around it on whose locks it relies. */
export function beginTask(
  made: Pick<Task, 'table' | 'owner' | 'running' | 'outer' | 'parent'>,
  lender: Task | undefined,
): Task {
  const { parent, running } = made
  const task: Task = {
    ...made,
    nested: new Set(),
    frame: 0,
    relies: lender !== undefined,
    settled: false,
    ended: false,
  }
  // Mark the tasks in between too: otherwise this one would not be nested in the lender after they end.
  for (let each = parent; lender && each && each !== lender; each = each.parent) each.relies = true
  parent?.nested.add(task)
  running.add(task)
  return task
}

/**
 * Yields the tasks of a table around a holding, innermost first: those that run, and those that have settled
 * but on which the task inside relies. `outer` is the innermost task of any table.
 */
export function* surrounding({ buffer }: Table, outer: Task | undefined): Generator<Task> {
  let inner: Task | undefined
  for (let task = outer; task; task = task.outer) {
    if (task.ended || task.table.buffer !== buffer) continue
    if (task.settled && !inner?.relies) continue
    yield task
    inner = task
  }
}

/** Whether a holding has a lock of a plan in a mode that spares a holding inside it from taking it again. */
export function lends({ table, owner }: Task, plan: LockPlan, lock: number): boolean {
  const isReader = plan.shared.has(lock) && owner.shared.has(lock)
  return isReader || holdsExclusively(table, owner, lock)
}

/** Settles a task whose callback has ended. The task ends with the last nested task that relies on it. */
export function settle(task: Task): void {
  task.settled = true
  handOn(task)
  if (task.nested.size === 0) end(task)
}

/** Releases the locks of a task, then its owner. */
function end(task: Task): void {
  const { table, owner, parent } = task
  const { words } = table
  task.ended = true
  parent?.nested.delete(task)
  for (const lock of [...owner.shared]) leave(table, owner, lock)
  for (const word of listOf(table, owner.id)) {
    intend(table, owner, numberOf(table, word))
    removeHeld(table, owner, word)
    const bits = Atomics.exchange(words, word >> 2, 0) ^ owner.me
    if (bits !== 0) wake(words, word, bits)
  }
  task.running.delete(task)
  releaseOwner(table, owner)
  if (parent?.settled && parent.nested.size === 0) end(parent)
}

/**
 * Moves the tasks nested in a settled task to its parent, because the settled task's owner number will be
 * used again. Tasks that rely on its locks stay.
 */
function handOn({ table, nested, parent }: Task): void {
  for (const task of [...nested].filter(({ relies }) => !relies)) {
    nested.delete(task)
    task.parent = parent
    parent?.nested.add(task)
    nestIn(table, task.owner, parent?.owner.id ?? 0)
  }
}
