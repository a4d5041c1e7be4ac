/**
 * Owners: the threads and asynchronous holdings that can hold locks.
 *
 * An owner's slot says what kind it is and what it waits for, since when and where. It also heads the list of
 * the locks that the owner holds. Only the owner writes its slot, except that any owner can request a proof
 * there (`wantProof`). The owner takes the slot by a compare-exchange of `kind`; its last write there gives
 * the slot back. Other threads read a slot for reports (holders.ts), and read it twice to find a deadlock
 * (deadlock.ts). After its thread has ended, others write it too (deaths.ts).
 */

import {
  FREE_SLOT,
  HEADER_BYTES,
  LABEL_BYTES,
  PROVED,
  SLOT,
  TAG_SHIFT,
  VERDICT,
  WANTED,
} from './layout.ts'
import type { Lifeline } from './lifelines.ts'
import { readText } from './slot-text.ts'
import type { Table } from './table.ts'
import { damaged } from './table-layout.ts'

/** One owner, as its thread sees it. */
export interface Owner {
  /** The number of its slot, from 1 up; used again when the slot is free. */
  readonly id: number
  /** The lock word of a lock that it holds and nobody waits for. */
  readonly me: number
  /** The address of its slot. */
  readonly slot: number
  readonly label: string
  /** The locks that it holds shared; in shared memory, bits in their rows stand for them (readers.ts). */
  readonly shared: Set<number>
}

/**
 * The address of an owner's slot.
 *
 * @throws LockUsageError if there is no such owner: the table is damaged.
 */
export function slotOf({ layout }: Table, id: number): number {
  if (id === layout.owners + 1) return layout.guestBase
  if (id < 1 || id > layout.owners) throw damaged(`there is no owner ${id}`)
  return HEADER_BYTES + (id - 1) * layout.ownerBytes
}

/**
 * A slot's kind and the number of its thread. Both are in one word, so that they are read and changed in one
 * step: another thread can get the slot at any moment.
 */
export function stateOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.kind) >> 2)
}

/** The kind in a slot's state: FREE_SLOT and so on. */
export function kindIn(state: number): number {
  return state & ((1 << TAG_SHIFT) - 1)
}

/** The runtime's number of the thread in a slot's state. */
export function tagIn(state: number): number {
  return state >> TAG_SHIFT
}

/** Changes a slot to another kind of the same thread, or to free, if its state is still `state`. */
export function changeKind(table: Table, id: number, state: number, kind: number): void {
  const at = (slotOf(table, id) + SLOT.kind) >> 2
  const changed = kind === FREE_SLOT ? FREE_SLOT : (tagIn(state) << TAG_SHIFT) | kind
  Atomics.compareExchange(table.words, at, state, changed)
}

/** The kind of owner that a slot has: FREE_SLOT and so on. */
export function kindOf(table: Table, id: number): number {
  return kindIn(stateOf(table, id))
}

/** The numbers of all owners of a table. */
export function ownersIn(table: Table): number[] {
  const all = Array.from({ length: table.layout.owners }, (_, i) => i + 1)
  return all.filter((id) => kindOf(table, id) !== FREE_SLOT)
}

/** The runtime's number of the thread that an owner belongs to. */
export function tagOf(table: Table, id: number): number {
  return tagIn(stateOf(table, id))
}

/** The owner that is the thread of an owner: itself, or the thread on which the task runs. */
export function leaderOf(table: Table, id: number): number {
  return table.words[(slotOf(table, id) + SLOT.thread) >> 2] as number
}

/** The lifeline of an owner's thread; `undefined` while the slot is being given to another owner. */
export function lifelineOf(table: Table, id: number): Lifeline | undefined {
  const { words, floats } = table
  const slot = slotOf(table, id)
  const state = stateOf(table, id)
  const tag = tagIn(state)
  if (Atomics.load(words, (slot + SLOT.lifelineTag) >> 2) !== tag) return undefined
  const lifeline = {
    tag,
    kind: words[(slot + SLOT.lifeline) >> 2] as number,
    number: floats[(slot + SLOT.lifelineNumber) >> 3] as number,
    made: floats[(slot + SLOT.lifelineMade) >> 3] as number,
  }
  return stateOf(table, id) === state ? lifeline : undefined
}

/** The owner that a task is nested in, 0 for none. */
export function parentOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.parent) >> 2)
}

/** Nests a task in another owner, or in none. Only for its own thread. */
export function nestIn(table: Table, owner: Owner, parent: number): void {
  giveVerdict(table, owner, false)
  Atomics.store(table.words, (owner.slot + SLOT.parent) >> 2, parent)
}

/**
 * Requests a new proof that a task's parent waits for it. Returns the proof word, for {@link isProvedSince}.
 */
export function wantProof(table: Table, id: number): number {
  return Atomics.or(table.words, proofAt(table, id), WANTED)
}

/** Whether a proof is requested that no {@link beginProof} has begun. */
export function isProofWanted(table: Table, owner: Owner): boolean {
  return (Atomics.load(table.words, proofAt(table, owner.id)) & WANTED) !== 0
}

/** Marks a proof as begun: only a request after this asks for another one. */
export function beginProof(table: Table, owner: Owner): void {
  Atomics.and(table.words, proofAt(table, owner.id), ~WANTED)
}

/** Publishes whether a task's parent waits for it now. Only for its own thread. */
export function giveVerdict(table: Table, owner: Owner, isProved: boolean): void {
  const at = proofAt(table, owner.id)
  const verdict = isProved ? PROVED : 0
  // Meanwhile only WANTED can change, and it is kept.
  for (let seen = Atomics.load(table.words, at); ; ) {
    const given = ((seen + VERDICT) & ~PROVED) | verdict
    const found = Atomics.compareExchange(table.words, at, seen, given)
    if (found === seen) return
    seen = found
  }
}

/**
 * Whether the last verdict is that a task's parent waits for it, and is newer than the proof word `since`.
 */
export function isProvedSince(table: Table, id: number, since: number): boolean {
  const proof = Atomics.load(table.words, proofAt(table, id))
  const mask = ~(PROVED | WANTED)
  return (proof & PROVED) !== 0 && (((proof & mask) - (since & mask)) | 0) > 0
}

function proofAt(table: Table, id: number): number {
  return (slotOf(table, id) + SLOT.proof) >> 2
}

/** The entry of its thread's list that must be held for the thread to count as a task's parent. */
export function underOf(table: Table, id: number): number {
  return table.words[(slotOf(table, id) + SLOT.under) >> 2] as number
}

/** An owner's label, as it published it. */
export function labelOf(table: Table, id: number): string {
  const slot = slotOf(table, id)
  return readText(table, slot + SLOT.label, slot + SLOT.labelBytes, LABEL_BYTES)
}
