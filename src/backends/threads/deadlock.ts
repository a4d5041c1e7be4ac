/**
 * Deadlock detection: waiter -> lock -> its owner -> what that owner waits for, until it comes back.
 *
 * Source    the wait-for graph as PostgreSQL's lock manager walks it: detect, keep the finding as
 *           data, print later. The double reading is ours.
 * Steps     1. The waiter has published its wait (owners.ts). It walks the graph from itself.
 *           2. Back at itself: it takes the table's one claim, so that one circle elects one victim.
 *           3. It walks again until two walks in a row agree in every owner, wait and epoch.
 *           4. Then the circle is certain. The report is made, the wait given up, the claim freed.
 * Invariant Every edge is published before its waiter walks, so the last waiter of a circle sees it
 *           whole and none is missed. An epoch that did not change between two readings means an
 *           unbroken wait; between the end of the first reading and the start of the second every
 *           member waited, and a waiting owner frees nothing: there is no false report.
 * Cost      nothing until a thread is about to sleep; then one walk, a few loads for each member.
 *
 * Edges, beside owner -> owner of the lock it waits for: who has claimed a lock waits for its readers, a
 * task whose thread is blocked waits with that thread, an owner waits with the tasks nested in it, and a
 * dead owner with its heir.
 */

import { nowMs } from '../../core/clock.ts'
import type { DeadlockMember, DeadlockReport } from '../../core/report.ts'
import { withClaim } from './claim.ts'
import { heirOf } from './deaths.ts'
import { DEAD_SLOT, SLOT, TASK_SLOT } from './layout.ts'
import {
  endWait,
  hasShared,
  kindOf,
  labelOf,
  leaderOf,
  listOf,
  type Owner,
  slotOf,
  stackOf,
  waitingMode,
  waitingSince,
} from './owners.ts'
import { isClaimed, readersOf, sharedBy } from './readers.ts'
import { addressOf, numberOf, ownerIn, type Table } from './table.ts'

/** One owner on the way round, as it was read. `word` is 0 where it waits through another owner. */
interface Step {
  readonly id: number
  readonly word: number
  readonly epoch: number
}

/**
 * Looks for a circle through `owner`, which has published its wait. If there is one, the owner is its
 * victim: its wait is given up and the report returned.
 */
export function findDeadlock(table: Table, owner: Owner): DeadlockReport | undefined {
  const seen = walk(table, owner.id)
  if (!seen) return undefined
  return withClaim(table, owner, () => {
    for (let first: Step[] | undefined = seen; first; ) {
      const second = walk(table, owner.id)
      if (second && agree(first, second)) {
        const report = describe(table, second)
        endWait(table, owner)
        return report
      }
      first = second
    }
    return undefined
  })
}

/** The report of a thread that asks for a lock it holds itself. */
export function describeSelfDeadlock(
  table: Table,
  owner: Owner,
  lock: number,
  stack: string,
): DeadlockReport {
  const member: DeadlockMember = {
    thread: owner.id,
    label: owner.label,
    ...asReported(holdingsOf(table, owner.id)),
    waitsFor: lock,
    blocker: owner.id,
    waitedMs: 0,
    stack,
  }
  return { kind: 'deadlock', detectedAtMs: nowMs(), victim: owner.id, cycle: [member] }
}

/** The way from `start` back to itself, depth first; `undefined` if there is none. */
function walk(table: Table, start: number): Step[] | undefined {
  const path: Step[] = []
  const seen = new Set<number>()
  const visit = (id: number): boolean => {
    for (const { step, next } of edgesOf(table, id)) {
      path.push(step)
      if (next === start) return true
      if (!seen.has(next)) {
        seen.add(next)
        if (visit(next)) return true
      }
      path.pop()
    }
    return false
  }
  return visit(start) ? path : undefined
}

/** Whom an owner waits for, now. */
function* edgesOf(table: Table, id: number): Generator<{ step: Step; next: number }> {
  const { words, layout } = table
  const slot = slotOf(table, id)
  const epoch = Atomics.load(words, (slot + SLOT.epoch) >> 2)
  const word = Atomics.load(words, (slot + SLOT.waitsFor) >> 2)
  if (word !== 0) {
    const step = { id, word, epoch }
    for (const next of blockersOf(table, numberOf(table, word), id)) yield { step, next }
  }
  const through = { id, word: 0, epoch: 0 }
  const kind = kindOf(table, id)
  if (kind === TASK_SLOT) {
    const thread = leaderOf(table, id)
    if (isWaiting(table, thread)) yield { step: through, next: thread }
  }
  if (kind === DEAD_SLOT) {
    const heir = heirOf(table, id)
    if (heir !== 0) yield { step: through, next: heir }
  }
  for (let child = 1; child <= layout.owners; child++) {
    const at = slotOf(table, child)
    if (words[(at + SLOT.parent) >> 2] !== id) continue
    if (kindOf(table, child) !== TASK_SLOT) continue
    if (isWaiting(table, child)) yield { step: through, next: child }
  }
}

/** Who stands in the way of an owner that waits for a lock: its owner; or, if that is itself, the readers. */
function* blockersOf(table: Table, lock: number, id: number): Generator<number> {
  const word = Atomics.load(table.words, addressOf(table, lock) >> 2)
  const holder = ownerIn(word)
  if (holder !== id && holder !== 0) yield holder
  else if (isClaimed(word)) yield* readersOf(table, lock)
}

function isWaiting(table: Table, id: number): boolean {
  return Atomics.load(table.words, (slotOf(table, id) + SLOT.waitsFor) >> 2) !== 0
}

function agree(a: readonly Step[], b: readonly Step[]): boolean {
  return (
    a.length === b.length &&
    a.every((step, i) => {
      const other = b[i]
      return step.id === other?.id && step.word === other.word && step.epoch === other.epoch
    })
  )
}

/** The circle as data. Owners that wait through another one lend it what they hold. */
function describe(table: Table, path: readonly Step[]): DeadlockReport {
  const waiting = path.filter((step) => step.word !== 0)
  const at = nowMs()
  let lent: Holdings = { holds: [], holdsShared: [] }
  const cycle: DeadlockMember[] = []
  // Start behind the first member, so that what is lent to it is known when the way comes round.
  for (const step of [...path.slice(1), ...path.slice(0, 1)]) {
    const holdings = join(lent, holdingsOf(table, step.id))
    lent = step.word === 0 ? holdings : { holds: [], holdsShared: [] }
    if (step.word === 0) continue
    const following = waiting[(waiting.indexOf(step) + 1) % waiting.length] as Step
    cycle.push({
      thread: leaderOf(table, step.id),
      label: labelOf(table, step.id),
      ...asReported(holdings),
      waitsFor: numberOf(table, step.word),
      ...(waitingMode(table, step.id) === 'shared' && { mode: 'shared' }),
      blocker: leaderOf(table, following.id),
      waitedMs: Math.max(0, at - waitingSince(table, step.id)),
      stack: stackOf(table, step.id),
    })
  }
  cycle.unshift(...cycle.splice(-1))
  return {
    kind: 'deadlock',
    detectedAtMs: at,
    victim: (cycle[0] as DeadlockMember).thread,
    cycle,
  }
}

/** What an owner holds: all of it, and what of that it holds shared. */
interface Holdings {
  readonly holds: readonly number[]
  readonly holdsShared: readonly number[]
}

function holdingsOf(table: Table, id: number): Holdings {
  const alone = [...listOf(table, id)].map((word) => numberOf(table, word))
  const holdsShared = hasShared(table, id) ? sharedBy(table, id) : []
  return { holds: [...alone, ...holdsShared], holdsShared }
}

function join(a: Holdings, b: Holdings): Holdings {
  return {
    holds: [...a.holds, ...b.holds],
    holdsShared: [...a.holdsShared, ...b.holdsShared],
  }
}

function asReported({ holds, holdsShared }: Holdings): Pick<DeadlockMember, keyof Holdings> {
  const sorted = [...holds].sort((a, b) => a - b)
  return { holds: sorted, ...(holdsShared.length > 0 && { holdsShared }) }
}
