/**
 * The wait-for graph between the owners of a table, read from their slots, and the search for a cycle in it.
 *
 * Edges lead from:
 * - a waiter to the owner of the lock;
 * - the pending writer of a lock to its readers;
 * - a task to its thread, if that is blocked;
 * - a dead owner to its recovering owner;
 * - an owner to the tasks nested in it, if its code waits for them: that must be proved (task-proof.ts).
 *
 * Cost      a walk reads a few words for each owner that it reaches, and one for each owner of the table.
 */

import { recovererOf } from './abandoned.ts'
import { DEAD_SLOT, TASK_SLOT, THREAD_SLOT } from './layout.ts'
import { kindOf, leaderOf, parentOf, underOf } from './owners.ts'
import { epochOf, waitsForOf } from './published-wait.ts'
import { hasPendingWriter, readersOf, readsAny } from './readers.ts'
import { addressOf, isLock, nodeOf, numberOf, ownerIn, type Table } from './table.ts'

/** One owner on a path, as it was read. `word` is 0 if it waits only because the next one waits. */
export interface Step {
  readonly id: number
  readonly word: number
  readonly epoch: number
}

/** Whether the edge from a parent to one of its tasks counts. */
export type Counts = (child: number) => boolean

/** The tasks nested in each owner. */
export type Children = ReadonlyMap<number, readonly number[]>

export function childrenIn(table: Table): Children {
  const children = new Map<number, number[]>()
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== TASK_SLOT) continue
    const parent = parentOf(table, id)
    if (parent === 0) continue
    const others = children.get(parent)
    if (others) others.push(id)
    else children.set(parent, [id])
  }
  return children
}

/**
 * The path from `start` back to itself, depth first; or any cycle that it leads to. `undefined` if there is
 * none. `seen` collects the owners that it reached; in a search for any cycle, `start` must be one of them.
 */
export function walk(
  table: Table,
  start: number,
  children: Children,
  counts: Counts,
  seen: Set<number> = new Set(),
  what: 'back' | 'any cycle' = 'back',
): Step[] | undefined {
  const steps: Step[] = []
  const open = [edgesOf(table, start, children, counts)]
  for (let edges = open.at(-1); edges; edges = open.at(-1)) {
    const { value, done } = edges.next()
    if (done) {
      open.pop()
      steps.pop()
      continue
    }
    const { step, next } = value
    if (next === start) return [...steps, step]
    if (seen.has(next)) {
      const at = what === 'any cycle' ? steps.findIndex(({ id }) => id === next) : -1
      if (at >= 0) return [...steps.slice(at), step]
      continue
    }
    seen.add(next)
    steps.push(step)
    open.push(edgesOf(table, next, children, counts))
  }
  return undefined
}

/** The edges from an owner to the owners that it waits for now. */
export function* edgesOf(
  table: Table,
  id: number,
  children: Children,
  counts: Counts,
): Generator<{ step: Step; next: number }, undefined> {
  const epoch = epochOf(table, id)
  const word = waitsForOf(table, id)
  if (word !== 0) {
    const step = { id, word, epoch }
    for (const next of blockersOf(table, numberOf(table, word), id)) yield { step, next }
  }
  const through = { id, word: 0, epoch: 0 }
  const kind = kindOf(table, id)
  if (kind === TASK_SLOT) {
    const thread = leaderOf(table, id)
    if (waitsForOf(table, thread) !== 0) yield { step: through, next: thread }
  }
  if (kind === DEAD_SLOT) {
    const recoverer = recovererOf(table, id)
    if (recoverer !== 0) yield { step: through, next: recoverer }
  }
  // A blocked thread waits only for that lock, not for anything that its tasks wait for.
  if (kind === THREAD_SLOT && word !== 0) return
  for (const child of children.get(id) ?? []) {
    if (waitsForOf(table, child) === 0 && !children.has(child)) continue
    if (kind === THREAD_SLOT && !holdsStill(table, id, underOf(table, child))) continue
    if (counts(child)) yield { step: through, next: child }
  }
}

/**
 * Whether a thread still holds the lock, or the shared locks, that were in its list as `entry`. Does not read
 * the list, because the thread can change it meanwhile.
 */
function holdsStill(table: Table, id: number, entry: number): boolean {
  if (entry === nodeOf(table, id)) return readsAny(table, id)
  if (!isLock(table, entry)) return false
  const word = Atomics.load(table.words, entry >> 2)
  return ownerIn(word) === id && !hasPendingWriter(word)
}

/**
 * The owners that block a waiter: the lock's owner. If that is the waiter (a pending writer): the lock's
 * readers.
 */
function* blockersOf(table: Table, lock: number, id: number): Generator<number> {
  const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
  const holder = ownerIn(word)
  if (holder !== id && holder !== 0) yield holder
  else if (hasPendingWriter(word)) yield* readersOf(table, lock)
}
