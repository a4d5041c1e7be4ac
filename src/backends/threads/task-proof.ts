/**
 * Proofs that the code around a task waits for it.
 *
 * A task proves this late, while it waits: it reads V8's async stack. In it, each holding has a frame with a
 * name of its own: a function that awaits the end of the holding's callback (core/await-chain.ts). The code
 * that took the locks of the task's thread has no such frame. It counts as waiting only if the thread's
 * outermost code itself awaits the task. That is wrong if the outermost code has started other code without
 * awaiting it, and that code has the locks.
 */

import { awaitInFrame, canProve, provesWaits, readAwaitChain } from '../../core/await-chain.ts'
import { beginProof, giveVerdict, type Owner } from './owners.ts'
import type { LockPlan } from './plan.ts'
import { refuse } from './refusals.ts'
import type { Table } from './table.ts'
import type { Task } from './task.ts'
import type { Terms } from './wait.ts'

/** Publishes which code around a waiting task waits for it now. Called while the task waits. */
export function proveWaits(task: Task): void {
  beginProof(task.table, task.owner)
  const chain = provesWaits() ? readAwaitChain('frames') : undefined
  if (chain === undefined) return
  let isReached = true
  for (let child: Task | undefined = task; child; child = child.parent) {
    const { parent } = child
    // A settled parent waits only for the nested tasks that rely on it. A thread's code has no frame, and it
    // can have branches: any of them can have taken the thread's locks.
    const isInChain = parent
      ? parent.settled || chain.frames.has(parent.frame)
      : chain.isAwaitedAtRoot
    // Keep the outer verdicts: another task nested in the child may prove what this one cannot.
    if (isReached && isInChain) giveVerdict(task.table, child.owner, true)
    else if (child === task) giveVerdict(task.table, child.owner, false)
    isReached = isInChain
  }
}

/**
 * Throws if a holding requests a lock that its thread keeps while the event loop runs, and the thread's
 * outermost code awaits the holding. If other code awaits it, that code need not be the one that holds the
 * lock.
 */
export async function refuseAtRoot(
  table: Table,
  thread: Owner,
  lock: number,
  plan: LockPlan,
  terms: Terms,
): Promise<void> {
  if (!(await canProve()) || !readAwaitChain('frames')?.isAwaitedAtRoot) return
  refuse(table, thread, lock, plan, terms)
}

/**
 * Awaits the result of a callback in a frame of the task's own, so that await chains show it. V8 follows no
 * promise with two reactions, so this awaits the result again only after it has settled.
 */
export async function inFrame<Result>(
  task: Task,
  result: Result | PromiseLike<Result>,
): Promise<Result> {
  const end = Promise.resolve(result)
  const { id, awaits } = awaitInFrame(end)
  task.frame = id
  await awaits
  return await end
}
