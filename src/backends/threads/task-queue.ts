/**
 * The tasks of one thread that wait for one lock: the first of them sleeps on the lock's word for all.
 *
 * Steps     Each task sleeps on a word in its own slot until it is the first, and then on the lock's word.
 *           The first one wakes the next when it leaves the queue, with the lock or without it.
 * Invariant While the queue is not empty, its first task is awake, has been woken, or sleeps on the lock's
 *           word with the waiter bits set (acquire.ts). The others need no wake-up from the lock: whether a
 *           word can be taken does not depend on which task tries, so none of them could do more than the
 *           first. They still check the lock after MAX_SLEEP_MS. Under order 'free' the first wakes
 *           them if one of them may have to search for a deadlock again, or to prove a wait.
 *           A queue belongs to one thread: no other thread reads or writes it.
 * Cost      a release wakes one task of each thread, which wakes one more. If it woke all of them, n tasks
 *           would check the lock n² times.
 */

import { SLOT } from './layout.ts'
import type { Owner } from './owners.ts'
import type { Table } from './table.ts'

/** The queues of this thread's tasks, by lock. */
const queues = new WeakMap<Table, Map<number, Set<Owner>>>()

/** Adds a task to the end of the queue for a lock, unless it is already in the queue. */
export function enterQueue(table: Table, owner: Owner, lock: number): void {
  let ofTable = queues.get(table)
  if (!ofTable) {
    ofTable = new Map()
    queues.set(table, ofTable)
  }
  const queue = ofTable.get(lock)
  if (queue) queue.add(owner)
  else ofTable.set(lock, new Set([owner]))
}

/** Removes a task from the queue for a lock, if it is in it. If it was the first, wakes the next. */
export function leaveQueue(table: Table, owner: Owner, lock: number): void {
  const ofTable = queues.get(table)
  const queue = ofTable?.get(lock)
  if (!queue) return
  const wasFirst = isFirst(table, owner, lock)
  if (!queue.delete(owner) || !wasFirst) return
  const [next] = queue
  if (next) wakeInQueue(table, next)
  else ofTable?.delete(lock)
}

/** Whether a task is the first in the queue for a lock. */
export function isFirst(table: Table, owner: Owner, lock: number): boolean {
  const queue = queues.get(table)?.get(lock)
  return queue?.values().next().value === owner
}

/** Wakes the tasks in the queue for a lock that sleep on their own words. */
export function wakeQueue(table: Table, lock: number): void {
  for (const owner of queues.get(table)?.get(lock) ?? []) wakeInQueue(table, owner)
}

/** The index of the word on which a task sleeps that is not the first. The word is always 0. */
export function ownWordOf(owner: Owner): number {
  return (owner.slot + SLOT.backOff) >> 2
}

function wakeInQueue({ words }: Table, owner: Owner): void {
  Atomics.notify(words, ownWordOf(owner))
}
