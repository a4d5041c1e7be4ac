/**
 * The tasks of one thread that wait for one lock: the first of them sleeps on the lock's word for all.
 *
 * Steps     Each task sleeps on its own slot's nap word, until it is the first, and then on the lock's word. The
 *           first one wakes the next when it leaves the queue: with the lock, or without it.
 * Invariant While the queue is not empty, its first task is awake, has been woken, or sleeps on the lock's
 *           word with the waiter bits set (acquire.ts). The others need no wake-up of the lock's: whether a
 *           word can be taken does not depend on who asks, so none of them could do more than the first.
 *           They look at the lock after LONGEST_SLEEP_MS all the same. Under order 'free' the first wakes
 *           them where one of them may have to look for a deadlock again, or to prove a wait.
 *           All of it is one thread's own: no other thread reads or writes a queue.
 * Cost      a release wakes one task of each thread, which wakes one more. Were all of them woken, n tasks
 *           would look at the lock n² times.
 */

import { SLOT } from './layout.ts'
import type { Owner } from './owners.ts'
import type { Table } from './table.ts'

/** The queues of this thread's tasks, by lock. */
const queues = new WeakMap<Table, Map<number, Set<Owner>>>()

/** Enters a task in the queue for a lock, at its end, unless it is in it. */
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

/** Takes a task out of the queue for a lock, if it is in it; the next one is the first then. */
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

/** Wakes all tasks in the queue for a lock that sleep on their own words. */
export function wakeQueue(table: Table, lock: number): void {
  for (const owner of queues.get(table)?.get(lock) ?? []) wakeInQueue(table, owner)
}

/** The index of the word on which a task sleeps that is not the first. It is always 0. */
export function ownWordOf(owner: Owner): number {
  return (owner.slot + SLOT.nap) >> 2
}

function wakeInQueue({ words }: Table, owner: Owner): void {
  Atomics.notify(words, ownWordOf(owner))
}
