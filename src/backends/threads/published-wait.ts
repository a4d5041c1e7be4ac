/**
 * The data that an owner publishes in its slot: the lock that it waits for, the mode, since when and where.
 * An asynchronous holding that does not wait publishes since when it has its locks. Only the owner writes
 * this; after its thread has ended, a sweep does.
 */

import { nowMs } from '../../core/clock.ts'
import type { LockMode } from '../../core/modes.ts'
import { SLOT, STACK_BYTES } from './layout.ts'
import { type Owner, slotOf } from './owners.ts'
import { readText, writeText } from './slot-text.ts'
import { addressOf, type Table } from './table.ts'

/** A wait as its owner publishes it. */
export interface PublishedWait {
  readonly lock: number
  readonly mode: LockMode
  /** When it began, in milliseconds since 1970. */
  readonly sinceMs: number
  /** The call stack at which the owner waits. */
  readonly stack: string
}

/** The address of the lock that an owner waits for, 0 for none. */
export function waitsForOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.waitsFor) >> 2)
}

/** A number that changes with each wait: two equal readings, and a wait in both, mean one unbroken wait. */
export function epochOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.epoch) >> 2)
}

/** Publishes, before the owner sleeps, what it waits for, since when and (order 'free') where. */
export function publishWait(table: Table, owner: Owner, wait: PublishedWait): void {
  const { words, floats } = table
  const { lock, mode, sinceMs, stack } = wait
  floats[(owner.slot + SLOT.since) >> 3] = sinceMs
  words[(owner.slot + SLOT.waitsShared) >> 2] = mode === 'shared' ? 1 : 0
  if (table.layout.order === 'free') {
    writeText(table, owner.slot + SLOT.stack, owner.slot + SLOT.stackBytes, stack, STACK_BYTES)
  }
  Atomics.add(words, (owner.slot + SLOT.epoch) >> 2, 1)
  Atomics.store(words, (owner.slot + SLOT.waitsFor) >> 2, addressOf(table, lock))
}

/**
 * Publishes since when an asynchronous holding has all its locks, and (order 'free') where it was requested.
 */
export function publishHolding(table: Table, owner: Owner, stack: string): void {
  table.floats[(owner.slot + SLOT.since) >> 3] = nowMs()
  if (table.layout.order === 'free') {
    writeText(table, owner.slot + SLOT.stack, owner.slot + SLOT.stackBytes, stack, STACK_BYTES)
  }
}

/** Withdraws the published wait: it is granted or given up, or a reader tries to enter (acquire.ts). */
export function endWait(table: Table, owner: Owner): void {
  endWaitOf(table, owner.id)
}

/** The same for an owner by its number. */
export function endWaitOf(table: Table, id: number): void {
  const slot = slotOf(table, id)
  Atomics.store(table.words, (slot + SLOT.waitsFor) >> 2, 0)
  Atomics.add(table.words, (slot + SLOT.epoch) >> 2, 1)
}

/**
 * The call stack at which an owner waits, or at which an asynchronous holding that has its locks was
 * requested.
 */
export function stackOf(table: Table, id: number): string {
  if (table.layout.order !== 'free') return ''
  const slot = slotOf(table, id)
  return readText(table, slot + SLOT.stack, slot + SLOT.stackBytes, STACK_BYTES)
}

/** The mode in which an owner waits for a lock. */
export function waitingMode(table: Table, id: number): LockMode {
  return table.words[(slotOf(table, id) + SLOT.waitsShared) >> 2] === 1 ? 'shared' : 'exclusive'
}

/**
 * Since when an owner waits, or since when an asynchronous holding that does not wait has its locks, in
 * milliseconds since 1970.
 */
export function waitingSince(table: Table, id: number): number {
  return table.floats[(slotOf(table, id) + SLOT.since) >> 3] as number
}
