/**
 * Registers owners in free slots, and gives the slots back.
 *
 * Cost      while slots are free, some hundred nanoseconds: the thread first tries the slots that it gave
 *           back itself, then goes on after the last slot that it found. It checks all slots only if none
 *           is free.
 */

import { LockUsageError } from '../../core/errors.ts'
import { show } from '../../core/format.ts'
import {
  FREE_SLOT,
  LABEL_BYTES,
  NOT_PROVED,
  OWNER_SHIFT,
  READS,
  SLOT,
  TAG_SHIFT,
} from './layout.ts'
import { ownLifeline } from './lifelines.ts'
import { type Owner, slotOf } from './owners.ts'
import { endWaitOf, waitsForOf } from './published-wait.ts'
import { writeText } from './slot-text.ts'
import type { Table } from './table.ts'

/** The kind of an owner; for a task also the thread that runs it and the owner in which it is nested. */
export interface OwnerKind {
  readonly kind: number
  readonly thread?: number
  readonly parent?: number
  readonly under?: number
}

/** The slots of a table as one thread knows them. */
interface KnownSlots {
  /** The slots that this thread gave back. Other threads may have taken them since. */
  readonly released: number[]
  /** The search for a free slot begins here. */
  next: number
  onReleased: (() => void) | undefined
}

const known = new WeakMap<Table, KnownSlots>()

function slotsOf(table: Table): KnownSlots {
  let slots = known.get(table)
  if (!slots) {
    slots = { released: [], next: 1, onReleased: undefined }
    known.set(table, slots)
  }
  return slots
}

/** Calls `listener` after each slot of a table that this thread gives back. */
export function onReleased(table: Table, listener: () => void): void {
  slotsOf(table).onReleased = listener
}

/** Registers an owner in a free slot; returns `undefined` if all are in use. */
export function tryRegisterOwner(
  table: Table,
  label: string | undefined,
  is: OwnerKind,
): Owner | undefined {
  if (label !== undefined && typeof label !== 'string') {
    throw new LockUsageError(`label must be a string, not ${show(label)}`)
  }
  const slots = slotsOf(table)
  for (let id = slots.released.pop(); id !== undefined; id = slots.released.pop()) {
    const owner = tryRegisterAt(table, id, label, is)
    if (owner) return owner
  }
  const { owners } = table.layout
  for (let looks = 0; looks < owners; looks++) {
    const id = slots.next
    slots.next = id < owners ? id + 1 : 1
    const owner = tryRegisterAt(table, id, label, is)
    if (owner) return owner
  }
  return undefined
}

/** Registers an owner in this slot, if it is free. */
export function tryRegisterAt(
  table: Table,
  id: number,
  label: string | undefined,
  is: OwnerKind,
): Owner | undefined {
  const { words, floats } = table
  const slot = slotOf(table, id)
  if (Atomics.load(words, (slot + SLOT.kind) >> 2) !== FREE_SLOT) return undefined
  const { tag, ...lifeline } = ownLifeline()
  const kind = (tag << TAG_SHIFT) | is.kind
  if (Atomics.compareExchange(words, (slot + SLOT.kind) >> 2, FREE_SLOT, kind) !== FREE_SLOT) {
    return undefined
  }
  const name = label ?? `thread ${id}`
  if (waitsForOf(table, id) !== 0) endWaitOf(table, id)
  words[(slot + SLOT.top) >> 2] = 0
  floats[(slot + SLOT.since) >> 3] = 0
  words[(slot + SLOT.intent) >> 2] = 0
  words[(slot + SLOT.moreReads) >> 2] = 0
  for (let read = 0; read < READS; read++) words[((slot + SLOT.reads) >> 2) + read] = 0
  words[(slot + SLOT.thread) >> 2] = is.thread ?? id
  words[(slot + SLOT.under) >> 2] = is.under ?? 0
  Atomics.store(words, (slot + SLOT.proof) >> 2, NOT_PROVED)
  Atomics.store(words, (slot + SLOT.parent) >> 2, is.parent ?? 0)
  words[(slot + SLOT.lifeline) >> 2] = lifeline.kind
  floats[(slot + SLOT.lifelineNumber) >> 3] = lifeline.number
  floats[(slot + SLOT.lifelineMade) >> 3] = lifeline.made
  Atomics.store(words, (slot + SLOT.lifelineTag) >> 2, tag)
  writeText(table, slot + SLOT.label, slot + SLOT.labelBytes, name, LABEL_BYTES)
  return { id, me: id << OWNER_SHIFT, slot, label: name, shared: new Set() }
}

/** Gives the slot back; the owner must hold nothing and wait for nothing. */
export function releaseOwner(table: Table, owner: Owner): void {
  Atomics.store(table.words, (owner.slot + SLOT.kind) >> 2, FREE_SLOT)
  // The guest's slot is not among the free slots.
  if (owner.id > table.layout.owners) return
  const slots = slotsOf(table)
  slots.released.push(owner.id)
  slots.onReleased?.()
}
