/**
 * The waits that may be part of a deadlock that is not proved. Those of one thread's tasks share one search.
 *
 * Steps     1. A wait that suspects a deadlock joins the others of its thread. A thread that blocks has a
 *              search of its own.
 *           2. One round looks for a cycle from all of them, first along all edges, then along the proved
 *              ones. Then it asks the threads of all tasks on the paths for new proofs, and pauses.
 *           3. A cycle that two consecutive rounds find proved is certain: all of its waits existed when
 *              proofs were requested between the two rounds. If it needs no proof, one round is enough. One
 *              of the suspects on it is the victim, and is woken to throw.
 * Cost      a round reads each owner twice, for any number of suspects, and each task that it asks wakes
 *           and reads its stack. The pauses grow, also with the number of owners that a round reached.
 */

import { elapsedMs } from '../../core/clock.ts'
import type { DeadlockReport } from '../../core/report.ts'
import { agree, confirm, type Search } from './deadlock.ts'
import { noticeEndOf } from './deaths.ts'
import { isProvedSince, leaderOf, type Owner, parentOf, wantProof } from './owners.ts'
import { epochOf, waitsForOf } from './published-wait.ts'
import type { Table } from './table.ts'
import { ownWordOf } from './task-queue.ts'
import { type Children, type Counts, childrenIn, edgesOf, type Step, walk } from './wait-graph.ts'

/** The pause after the first round; later ones are longer, up to the longest sleep of a wait. */
const FIRST_PAUSE_MS = 1
const MAX_DOUBLINGS = 7
/**
 * The pause lasts at least a millisecond for every OWNERS_PER_MS owners that the last round reached. A
 * round costs some 30 microseconds for each owner, so rounds take about a tenth of the time at most.
 */
const OWNERS_PER_MS = 4

/** The epoch of a task's wait, and its proof word, when a proof was requested. */
interface Asked {
  readonly epoch: number
  readonly proof: number
}

export class Suspects {
  readonly #table: Table
  readonly #searches = new Map<number, Search>()
  /** The tasks for which the last round requested a proof that their parents wait for them. */
  readonly #asked = new Map<number, Asked>()
  /** The cycle that the last round found proved, if any. */
  #proved: readonly Step[] | undefined
  #rounds = 0
  /** How many owners the last round reached, when that round was, and when the next one is due. */
  #reached = 0
  #lastMs = 0
  #nextMs = 0

  constructor(table: Table) {
    this.#table = table
  }

  get areNone(): boolean {
    return this.#searches.size === 0
  }

  /** The time until the next round. */
  get pauseMs(): number {
    return Math.max(FIRST_PAUSE_MS, this.#nextMs - elapsedMs())
  }

  /** Adds a wait, and schedules a round soon. */
  add(search: Search): void {
    search.isSuspected = true
    this.#searches.set(search.owner.id, search)
    this.#rounds = 0
    this.#nextMs = Math.min(this.#nextMs, this.#lastMs + this.#leastPauseMs())
    this.check()
  }

  remove(search: Search): void {
    search.isSuspected = false
    this.#searches.delete(search.owner.id)
  }

  /** Makes a round if one is due. */
  check(): void {
    if (elapsedMs() < this.#nextMs) return
    const table = this.#table
    const children = childrenIn(table)
    if (!this.#cycle(children, () => true)) {
      for (const search of this.#searches.values()) this.remove(search)
      return
    }
    const proved = this.#cycle(children, this.#isProved)
    const search = proved && this.#firstOn(proved)
    if (!search) {
      this.#rounds++
      this.#proved = undefined
    } else if (!this.#settle(search, beginningAt(proved, search.owner.id))) {
      this.check()
      return
    }
    this.#ask(children)
  }

  /**
   * Makes a suspect the victim of a cycle that is certain. Returns false if a member had ended: search again.
   */
  #settle(search: Search, cycle: readonly Step[]): boolean {
    const table = this.#table
    const found = this.#isCertain(cycle) && confirm(table, search.owner, cycle, this.#isProved)
    this.#proved = cycle
    if (!found) return true
    if (found.report) {
      this.#reject(search, found.report)
      return true
    }
    // From now on no path leads through the dead owner.
    noticeEndOf(table, search.owner, found.ended)
    return false
  }

  /** A cycle that the suspects reach along the edges that count. */
  #cycle(children: Children, counts: Counts): readonly Step[] | undefined {
    const seen = new Set<number>()
    for (const id of this.#searches.keys()) {
      if (seen.has(id)) continue
      seen.add(id)
      const cycle = walk(this.#table, id, children, counts, seen, 'any cycle')
      if (cycle) return cycle
    }
    return undefined
  }

  readonly #isProved: Counts = (child) => {
    const then = this.#asked.get(child)
    return (
      then?.epoch === epochOf(this.#table, child) && isProvedSince(this.#table, child, then.proof)
    )
  }

  /** The first suspect on a cycle; `undefined` if other threads have to find it. */
  #firstOn(cycle: readonly Step[]): Search | undefined {
    const ids = cycle.filter(({ word }) => word !== 0).map(({ id }) => id)
    return ids.map((id) => this.#searches.get(id)).find((search) => search !== undefined)
  }

  /**
   * Whether a proved cycle was proved in the last round too, or needs no proof: no parent precedes its task
   * on it.
   */
  #isCertain(cycle: readonly Step[]): boolean {
    if (this.#proved && agree(this.#proved, cycle)) return true
    return !cycle.some(({ id, word }, i) => {
      const next = (cycle[i + 1] ?? cycle[0])?.id
      return word === 0 && next !== undefined && parentOf(this.#table, next) === id
    })
  }

  /** Makes a suspect the victim, and wakes it to throw. */
  #reject(search: Search, report: DeadlockReport): void {
    const { words } = this.#table
    search.report = report
    this.remove(search)
    this.#rounds = 0
    this.#proved = undefined
    Atomics.notify(words, search.word >> 2)
    Atomics.notify(words, ownWordOf(search.owner))
  }

  /**
   * Asks the threads of all tasks on paths from the suspects to prove that these tasks' parents wait for
   * them.
   */
  #ask(children: Children): void {
    const table = this.#table
    const wanted = new Set<number>()
    const noteAll: Counts = (child) => {
      wanted.add(child)
      return true
    }
    const reached = new Set(this.#searches.keys())
    for (const id of reached) {
      for (const { next } of edgesOf(table, id, children, noteAll)) reached.add(next)
    }
    this.#asked.clear()
    for (const child of wanted) {
      this.#asked.set(child, { epoch: epochOf(table, child), proof: wantProof(table, child) })
      // A woken task checks whether a proof is requested. If a task does not wait, one nested in it does.
      const word = waitsForOf(table, child)
      if (word !== 0) Atomics.notify(table.words, word >> 2)
    }
    this.#lastMs = elapsedMs()
    this.#reached = reached.size
    this.#nextMs = this.#lastMs + this.#leastPauseMs()
  }

  #leastPauseMs(): number {
    const doubled = FIRST_PAUSE_MS * 2 ** Math.min(this.#rounds, MAX_DOUBLINGS)
    return Math.max(doubled, this.#reached / OWNERS_PER_MS)
  }
}

/** The same cycle, starting at the owner `id`. */
function beginningAt(cycle: readonly Step[], id: number): readonly Step[] {
  const at = cycle.findIndex((step) => step.id === id)
  return [...cycle.slice(at), ...cycle.slice(0, at)]
}

/** The suspects among the tasks of this thread, by table. */
const ofTasks = new WeakMap<Table, Suspects>()

/** The suspects that an owner belongs to. */
export function suspectsWith(table: Table, owner: Owner): Suspects {
  if (leaderOf(table, owner.id) === owner.id) return new Suspects(table)
  const suspects = ofTasks.get(table) ?? new Suspects(table)
  ofTasks.set(table, suspects)
  return suspects
}
