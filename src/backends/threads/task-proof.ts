/**
 * Proofs that the code around a task waits for it.
 *
 * A task proves it late: while it waits, it reads V8's async stack, in which
 * the end of each holding's callback stands under a name of its own (core/await-chain.ts). The code that took
 * its thread's own locks has none: only where the thread's outermost code itself awaits the task is it taken
 * to wait. Where that has started other code and not awaited it, and that has the locks, it errs.
 */

import { awaitInFrame, canProve, provesWaits, readAwaitChain } from '../../core/await-chain.ts'
import { beginProof, giveVerdict, type Owner } from './owners.ts'
import type { LockPlan } from './plan.ts'
import { refuse } from './refusals.ts'
import type { Table } from './table.ts'
import type { Task } from './task.ts'
import type { Terms } from './wait.ts'

/** Publishes which of the code around a waiting task waits for it now. Called while the task waits. */
export function proveWaits(task: Task): void {
  beginProof(task.table, task.owner)
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
    if (isReached && isInChain) giveVerdict(task.table, child.owner, true)
    else if (child === task) giveVerdict(task.table, child.owner, false)
    isReached = isInChain
  }
}

/**
 * Throws where a holding is asked for a lock that its thread holds across its event loop, and the thread's
 * outermost code awaits it. Where other code does, that need not be the code that holds the lock.
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
 * promise with two reactions, so it is awaited again only when it has settled.
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
