/**
 * The wait-for graphs of a model.
 *
 * Every waiting request waits *hard* for the holders in its way, and *soft* for the requests before it. The
 * waits of a holder depend on the edges that are believed:
 *
 * - `loose`: it waits for the nested requests of its code that have a subscriber.
 * - `likely`: the same; only what is proved for a guard whose code has branches, and for a request that was
 *   left behind. Nothing waits for a guard of its own code or of an outer holder's.
 * - `proved`: it waits for waiting requests at any depth, if each callback on the path is known to wait.
 *
 * The code of the holder in whose callback a guard was requested releases it. The guard's waits are proved
 * only if that code was known to wait for the guard, and for nothing else, then and now.
 */

import type { Asked } from './asked.ts'

/** The belief about the code of holders. */
export type Edges = 'proved' | 'likely' | 'loose'

/** `soft` includes waits for requests that are only earlier in a queue. */
export type Waits = 'hard' | 'soft'

/** The graphs over one list of requests. */
export class Graph {
  /** All requests, in queue order. */
  readonly #list: readonly Asked[]

  constructor(list: readonly Asked[]) {
    this.#list = list
  }

  /** The holders and earlier waiters that cannot hold together with a request. */
  blockersOf(asked: Asked): Asked[] {
    const before = this.#list.slice(0, this.#list.indexOf(asked))
    const rivals = [...this.#holding, ...before.filter(({ state }) => state === 'pending')]
    return rivals.filter((other) =>
      [...asked.demand.locks.keys()].some((name) => areAtOdds(asked, other, name)),
    )
  }

  /** The nearest blockers of a request in the queue of one name. */
  nearestOf(asked: Asked, name: string): Asked[] {
    const { locks } = asked.demand
    const before = this.#list.slice(0, this.#list.indexOf(asked))
    const queue = [...this.#holding, ...before.filter(({ state }) => state === 'pending')]
    const nearest: Asked[] = []
    for (const other of queue.filter(({ demand }) => demand.locks.has(name)).reverse()) {
      const isExclusive = other.demand.locks.get(name) === 'exclusive'
      if (isExclusive || locks.get(name) === 'exclusive') nearest.push(other)
      if (isExclusive) break
    }
    return nearest
  }

  /** Whether a request waits, directly or not, for one that is an end. */
  reaches(from: Asked, isEnd: (asked: Asked) => boolean, edges: Edges, waits: Waits): boolean {
    return this.reachedFrom(from, edges, waits).some((one) =>
      this.#waitsFor(one, edges, waits).some(isEnd),
    )
  }

  /** A request, and all requests that it waits for, directly or not. */
  reachedFrom(from: Asked, edges: Edges, waits: Waits): Asked[] {
    const reached = new Set([from])
    for (const one of reached) {
      for (const other of this.#waitsFor(one, edges, waits)) reached.add(other)
    }
    return [...reached]
  }

  /** Whether a holder waits for a nested request that waits for this holder, by that request's own link. */
  closesCycle(asked: Asked, edges: Edges, waits: Waits): boolean {
    const ends = this.#holding.filter(
      (holding) =>
        holding.code === asked.parent && this.#waitsThrough(holding, asked, edges).length > 0,
    )
    return this.reaches(asked, (other) => ends.includes(other), edges, waits)
  }

  /** Whether `waiting` waits hard for a holder that waits for `next`, directly or through other holders. */
  leads(waiting: Asked, holding: Asked, next: Asked, edges: Edges): boolean {
    if (!this.#waitsFor(waiting, edges, 'hard').includes(holding)) return false
    const reached = new Set([holding])
    for (const one of reached) {
      if (one.state !== 'holding') continue
      for (const other of this.#waitsFor(one, edges, 'hard')) reached.add(other)
    }
    return reached.has(next)
  }

  /** Whether a request has a subscriber and its holder can wait for it. */
  isWaitedFor(asked: Asked): boolean {
    const { isNested, isAwaited, isGuard, state, parent } = asked
    return isNested && isAwaited && !isGuard && state !== 'ended' && parent?.state === 'holding'
  }

  get #alive(): Asked[] {
    return this.#list.filter(({ state }) => state !== 'ended')
  }

  get #holding(): Asked[] {
    return this.#list.filter(({ state }) => state === 'holding')
  }

  #waitsFor(asked: Asked, edges: Edges, waits: Waits): Asked[] {
    if (asked.state === 'pending') {
      return this.blockersOf(asked).filter((other) => {
        if (waits === 'hard' && other.state !== 'holding') return false
        return waits === 'soft' || edges === 'loose' || !isOwnGuard(asked, other)
      })
    }
    return this.#alive.flatMap((nested) => this.#waitsThrough(asked, nested, edges))
  }

  /**
   * The requests that a holder waits for through a nested request of its code: that one, or those inside it.
   */
  #waitsThrough(holding: Asked, nested: Asked, edges: Edges): Asked[] {
    const { code } = holding
    if (code === undefined || nested.parent !== code || !this.isWaitedFor(nested)) return []
    if (edges === 'loose') return [nested]
    const isDoubtful = nested.isLeftBehind || (holding.isGuard && code.hasBranches)
    if (edges === 'likely' && !isDoubtful) return [nested]
    if (holding.isGuard && !holding.awaitedBy.includes(code)) return []
    return this.#provedWaits(nested, !holding.isGuard)
  }

  /** The waiting requests, this one or nested in it, for which its holder is believed to wait. */
  waitsInside(nested: Asked, edges: 'proved' | 'loose'): Asked[] {
    if (edges === 'proved') return this.#provedWaits(nested, true)
    if (!this.isWaitedFor(nested)) return []
    if (nested.state === 'pending') return [nested]
    const inside = this.#alive.filter(({ parent }) => parent === nested)
    return inside.flatMap((one) => this.waitsInside(one, edges))
  }

  /** The waiting requests, this one or nested in it, for which the code around it is known to wait. */
  #provedWaits(nested: Asked, mayBranch: boolean): Asked[] {
    if (!this.isWaitedFor(nested) || nested.link !== 'proved') return []
    if (nested.isBranching && !mayBranch) return []
    if (nested.state === 'pending') return [nested]
    const inside = this.#alive.filter(({ parent }) => parent === nested)
    return inside.flatMap((one) => this.#provedWaits(one, mayBranch))
  }
}

/**
 * Whether a request waits for a guard of its own code or of an outer holder's, which a branch may release.
 */
function isOwnGuard(asked: Asked, other: Asked): boolean {
  const [code] = other.holders
  return other.isGuard && (code === undefined || asked.holders.includes(code))
}

/** Whether two requests cannot hold a name together. */
export function areAtOdds(a: Asked, b: Asked, name: string): boolean {
  const modes = [a.demand.locks.get(name), b.demand.locks.get(name)]
  return !modes.includes(undefined) && modes.includes('exclusive')
}
