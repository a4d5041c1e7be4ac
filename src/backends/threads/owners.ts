/**
 * Owners: who can hold locks. A thread is one, and so is every asynchronous holding.
 *
 * An owner's slot says what it is, what it waits for since when and where, and heads the list of the
 * locks it holds. Only the owner writes its slot; `kind` is taken by compare-exchange and given back
 * last. Others read a slot only to explain a deadlock, and then twice (deadlock.ts); when its thread has
 * ended, others write it too (deaths.ts).
 */

import { nowMs } from '../../core/clock.ts'
import { LockUsageError } from '../../core/errors.ts'
import type { LockMode } from '../../core/modes.ts'
import { show } from '../../core/show.ts'
import {
  damaged,
  FREE_SLOT,
  HEADER_BYTES,
  LABEL_BYTES,
  LINK_OFFSET,
  NOT_PROVED,
  OWNER_SHIFT,
  READS,
  SLOT,
  STACK_BYTES,
  TAG_SHIFT,
} from './layout.ts'
import { type Lifeline, ownLifeline } from './lifelines.ts'
import { addressOf, isLock, nodeOf, numberOf, ownerIn, type Table } from './table.ts'

/** One owner as the thread it belongs to sees it. */
export interface Owner {
  /** From 1 up, in the order of opening; free numbers are used again. */
  readonly id: number
  /** The lock word of a lock that it holds and nobody waits for. */
  readonly me: number
  /** The address of its slot. */
  readonly slot: number
  readonly label: string
  /** The locks that it holds shared; in shared memory these stand in their rows (readers.ts). */
  readonly shared: Set<number>
}

/** What kind of owner, and for a task which thread runs it and which task it is nested in. */
export interface OwnerKind {
  readonly kind: number
  readonly thread?: number
  readonly parent?: number
  readonly under?: number
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

/** Registers an owner in a free slot; `undefined` when all are in use. */
export function tryRegisterOwner(
  table: Table,
  label: string | undefined,
  is: OwnerKind,
): Owner | undefined {
  if (label !== undefined && typeof label !== 'string') {
    throw new LockUsageError(`label must be a string, not ${show(label)}`)
  }
  for (let id = 1; id <= table.layout.owners; id++) {
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
  const { tag, ...lifeline } = ownLifeline()
  const slot = slotOf(table, id)
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
}

/**
 * A slot's kind and the number of its thread, in one word that is read and changed in one step: a slot
 * can be given to another thread at any moment.
 */
export function stateOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.kind) >> 2)
}

/** The kind in a slot's state: FREE_SLOT and so on. */
export function kindIn(state: number): number {
  return state & ((1 << TAG_SHIFT) - 1)
}

/** The system's number of the thread in a slot's state. */
export function tagIn(state: number): number {
  return state >> TAG_SHIFT
}

/** Makes a slot another kind of the same thread, or free, unless its state is another one by now. */
export function changeKind(table: Table, id: number, state: number, kind: number): void {
  const at = (slotOf(table, id) + SLOT.kind) >> 2
  const changed = kind === FREE_SLOT ? FREE_SLOT : (tagIn(state) << TAG_SHIFT) | kind
  Atomics.compareExchange(table.words, at, state, changed)
}

/** What kind of owner a slot has: FREE_SLOT and so on. */
export function kindOf(table: Table, id: number): number {
  return kindIn(stateOf(table, id))
}

/** The numbers of all owners of a table. */
export function ownersIn(table: Table): number[] {
  const all = Array.from({ length: table.layout.owners }, (_, i) => i + 1)
  return all.filter((id) => kindOf(table, id) !== FREE_SLOT)
}

/** The system's number of the thread that an owner belongs to. */
export function tagOf(table: Table, id: number): number {
  return tagIn(stateOf(table, id))
}

/** The owner that is the thread of an owner: itself, or the one that the task runs on. */
export function leaderOf(table: Table, id: number): number {
  return table.words[(slotOf(table, id) + SLOT.thread) >> 2] as number
}

/**
 * How to see whether the thread of an owner has ended; `undefined` while the slot is being given to
 * another one.
 */
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

/** Nests a task in another owner, or in none. Only its own thread does. */
export function nestIn(table: Table, owner: Owner, parent: number): void {
  setProof(table, owner.id, NOT_PROVED)
  Atomics.store(table.words, (owner.slot + SLOT.parent) >> 2, parent)
}

/** Whether a task's parent is proved to wait for it: NOT_PROVED and so on. */
export function proofOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.proof) >> 2)
}

export function setProof(table: Table, id: number, proof: number): void {
  Atomics.store(table.words, (slotOf(table, id) + SLOT.proof) >> 2, proof)
}

/** The entry of its thread's list that was held when a task was asked for, see `SLOT.under`. */
export function underOf(table: Table, id: number): number {
  return table.words[(slotOf(table, id) + SLOT.under) >> 2] as number
}

/** The entry of an owner's list that it took first, 0 for none: a lock, or its node. */
export function firstTaken(table: Table, owner: Owner): number {
  let first = 0
  for (const entry of entriesOf(table, owner.id)) first = entry
  return first
}

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

/** Two equal readings, and a wait in both, mean one unbroken wait. */
export function epochOf(table: Table, id: number): number {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.epoch) >> 2)
}

/** Says, before the owner sleeps, what it waits for, since when and (order 'free') where. */
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

/** Says, of an asynchronous holding that has all its locks, since when, and (order 'free') where it asked. */
export function publishHolding(table: Table, owner: Owner, stack: string): void {
  table.floats[(owner.slot + SLOT.since) >> 3] = nowMs()
  if (table.layout.order === 'free') {
    writeText(table, owner.slot + SLOT.stack, owner.slot + SLOT.stackBytes, stack, STACK_BYTES)
  }
}

/** Takes the published wait back: the lock was granted, or the wait given up. */
export function endWait(table: Table, owner: Owner): void {
  endWaitOf(table, owner.id)
}

/** The same for an owner by its number. */
export function endWaitOf(table: Table, id: number): void {
  const slot = slotOf(table, id)
  Atomics.store(table.words, (slot + SLOT.waitsFor) >> 2, 0)
  Atomics.add(table.words, (slot + SLOT.epoch) >> 2, 1)
}

/** The address of the lock an owner took last, 0 for none: the head of its list. */
export function lastTaken(table: Table, owner: Owner): number {
  return table.words[(owner.slot + SLOT.top) >> 2] as number
}

/**
 * Says, before an owner takes or frees a lock without its kernel, which lock that is: if its thread ends
 * in between, the lock is found though it is not on the list. It need not be taken back.
 */
export function intend(table: Table, owner: Owner, lock: number): void {
  table.words[(owner.slot + SLOT.intent) >> 2] = addressOf(table, lock)
}

/** Puts a lock that an owner took without its kernel on its list. */
export function pushHeld(table: Table, owner: Owner, word: number): void {
  table.words[(word + LINK_OFFSET) >> 2] = lastTaken(table, owner)
  table.words[(owner.slot + SLOT.top) >> 2] = word
}

/** Takes a lock, or the owner's node, off an owner's list, wherever it stands there. */
export function removeHeld(table: Table, owner: Owner, word: number): void {
  const { words } = table
  let at = (owner.slot + SLOT.top) >> 2
  for (const taken of entriesOf(table, owner.id)) {
    if (taken === word) {
      words[at] = words[(word + LINK_OFFSET) >> 2] as number
      return
    }
    at = (taken + LINK_OFFSET) >> 2
  }
}

/** The addresses of the locks that an owner holds alone, the last one taken first. */
export function* listOf(table: Table, id: number): Generator<number> {
  for (const word of entriesOf(table, id)) if (word !== nodeOf(table, id)) yield word
}

/**
 * The entries of an owner's list, as far as they can be read while its thread may change them: it ends
 * where it leads to a lock that the owner does not hold.
 */
export function entriesSeen(table: Table, id: number): Set<number> {
  const { words } = table
  const node = nodeOf(table, id)
  const seen = new Set<number>()
  let entry = words[(slotOf(table, id) + SLOT.top) >> 2] as number
  while (!seen.has(entry) && (entry === node || isHeldBy(table, entry, id))) {
    seen.add(entry)
    entry = words[(entry + LINK_OFFSET) >> 2] as number
  }
  return seen
}

/** Whether there is a lock at an address that carries this owner. */
function isHeldBy(table: Table, address: number, id: number): boolean {
  return isLock(table, address) && ownerIn(Atomics.load(table.words, address >> 2)) === id
}

/** An owner's list: locks, and the node that stands for all that it holds shared. For its own thread. */
function* entriesOf(table: Table, id: number): Generator<number> {
  const { words, layout } = table
  const node = nodeOf(table, id)
  let word = words[(slotOf(table, id) + SLOT.top) >> 2] as number
  for (let count = 0; word !== 0; count++) {
    if (word !== node) numberOf(table, word)
    if (count > layout.lockCount) throw damaged(`the locks of owner ${id} are a ring`)
    const next = words[(word + LINK_OFFSET) >> 2] as number
    yield word
    word = next
  }
}

/** Whether an owner holds locks shared: its node is in its list then. */
export function hasShared(table: Table, id: number): boolean {
  return [...entriesOf(table, id)].includes(nodeOf(table, id))
}

/** The numbers of the locks that an owner holds, lowest first: of this thread's own owners. */
export function locksHeld(table: Table, owner: Owner): number[] {
  const alone = [...listOf(table, owner.id)].map((word) => numberOf(table, word))
  return [...alone, ...owner.shared].sort((a, b) => a - b)
}

/** Whether one of this thread's own owners holds this lock or a higher one. Order 'ascending' only. */
export function holdsFrom(table: Table, owner: Owner, lock: number): boolean {
  const from = addressOf(table, lock)
  const top = lastTaken(table, owner)
  // Without shared ones, what was taken last is the highest.
  if (owner.shared.size === 0) return top >= from
  for (const shared of owner.shared) if (shared >= lock) return true
  for (const alone of listOf(table, owner.id)) if (alone >= from) return true
  return false
}

/** An owner's label, as it published it. */
export function labelOf(table: Table, id: number): string {
  const slot = slotOf(table, id)
  return readText(table, slot + SLOT.label, slot + SLOT.labelBytes, LABEL_BYTES)
}

/** The call stack at which an owner waits, or an asynchronous holding that does not wait was asked for. */
export function stackOf(table: Table, id: number): string {
  if (table.layout.order !== 'free') return ''
  const slot = slotOf(table, id)
  return readText(table, slot + SLOT.stack, slot + SLOT.stackBytes, STACK_BYTES)
}

/** In which mode an owner waits for a lock. */
export function waitingMode(table: Table, id: number): LockMode {
  return table.words[(slotOf(table, id) + SLOT.waitsShared) >> 2] === 1 ? 'shared' : 'exclusive'
}

/**
 * Since when an owner waits, in milliseconds since 1970; of an asynchronous holding that does not wait:
 * since when it has its locks.
 */
export function waitingSince(table: Table, id: number): number {
  return table.floats[(slotOf(table, id) + SLOT.since) >> 3] as number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Writes as much of `text` as fits, cut at a character. (Encoders refuse shared memory: a copy.) */
function writeText(table: Table, at: number, lengthAt: number, text: string, most: number): void {
  const copy = new Uint8Array(most)
  const { written } = encoder.encodeInto(text, copy)
  table.bytes.set(copy.subarray(0, written), at)
  table.words[lengthAt >> 2] = written
}

function readText(table: Table, at: number, lengthAt: number, most: number): string {
  const length = Math.min(Math.max(0, table.words[lengthAt >> 2] as number), most)
  return decoder.decode(table.bytes.slice(at, at + length))
}
