/**
 * A second lock manager, as naive as possible: one list of all requests, and every question is answered by a
 * search through all of it.
 *
 * A request holds when no holder and no earlier request in the list blocks it. Whether requests wait for each
 * other is a question to one of three graphs (see graph.ts). A request that waits for the holder of an
 * awaited nested request moves behind that request and behind those it waits for.
 */

import type { Asked, Outcome } from './asked.ts'
import { areAtOdds, type Edges, Graph } from './graph.ts'

/** All requests of one manager. */
export class Model {
  /** All requests, in the order of the calls. */
  readonly all: Asked[] = []
  /** Guards that have appeared, or whose context has changed, since the last check. */
  readonly newGuards: Asked[] = []
  /** Awaited requests that ended holders have left to an outer holder since the last check. */
  readonly handedOn: Asked[] = []
  /** All requests, in queue order. */
  readonly #list: Asked[] = []
  readonly #graph = new Graph(this.#list)

  /** The requests that have not ended. */
  get alive(): Asked[] {
    return this.all.filter(({ state }) => state !== 'ended')
  }

  get pending(): Asked[] {
    return this.all.filter(({ state }) => state === 'pending')
  }

  get holding(): Asked[] {
    return this.all.filter(({ state }) => state === 'holding')
  }

  /** Enqueues a request. Only one that steals is granted before `grant()`. */
  ask(asked: Asked): void {
    const { locks, how } = asked.demand
    this.all.push(asked)
    this.#list.push(asked)
    if (how === 'steal') {
      const stolen = this.holding.filter((other) =>
        [...locks.keys()].some((name) => other.demand.locks.has(name)),
      )
      this.#branch(asked)
      asked.state = 'holding'
      for (const holder of stolen) this.leave(holder, 'stolen')
      return
    }
    const isFree = this.#graph.blockersOf(asked).length === 0
    if (how === 'ifAvailable' && !isFree) this.leave(asked, endOf(asked, 'null'))
    else this.#branch(asked)
  }

  /** Ends a request. */
  leave(asked: Asked, outcome: Outcome): void {
    asked.state = 'ended'
    asked.outcome = outcome
    for (const nested of this.alive) {
      if (nested.parent !== asked) continue
      nested.parent = asked.demand.how === 'detached' ? undefined : asked.holders[0]
      if (nested.isGuard) {
        this.newGuards.push(nested)
        nested.awaitedBy = []
      }
      if (nested.verdict === 'none') continue
      // The outer code may await what awaited it.
      nested.verdict = 'suspected'
      nested.isLeftBehind = true
      this.handedOn.push(nested)
    }
  }

  /** Marks branches: a nested request that is made while another one is pending shows them. */
  #branch(asked: Asked): void {
    const { parent } = asked
    if (!asked.isNested || parent === undefined) return
    if (
      this.alive.some(
        (one) => one !== asked && one.isNested && !one.isGuard && one.parent === parent,
      )
    ) {
      parent.hasBranches = true
    } else if (!this.holding.some((one) => one.isGuard && one.parent === parent)) {
      parent.hasBranches = false
    }
  }

  /**
   * Moves the requests that wait for the holder of an awaited request behind it and those it waits for.
   * Returns the moved ones that kept one of these from the head of a queue.
   */
  rearrange(awaited: Asked, edges: Edges): Asked[] {
    if (!this.isWaitedFor(awaited)) return []
    const isProved = edges === 'proved'
    const starts = isProved ? this.#graph.waitsInside(awaited, edges) : [awaited]
    if (starts.length === 0) return []
    const isHolder = ({ code }: Asked): boolean => code === awaited.parent
    const waitedFor = new Set(starts.flatMap((one) => this.#graph.reachedFrom(one, edges, 'hard')))
    if ([...waitedFor].some(isHolder)) return []
    const isEnd = (one: Asked): boolean => isHolder(one) || (isProved && starts.includes(one))
    const list = this.#list
    const last = Math.max(...[...waitedFor].map((one) => list.indexOf(one)))
    const before = list.slice(0, last)
    const moved = before.filter(
      (one) =>
        one.state === 'pending' &&
        !waitedFor.has(one) &&
        this.#graph.reaches(one, isEnd, edges, 'soft'),
    )
    const isPassed = (one: Asked): boolean =>
      [...waitedFor].some((other) => this.#isBefore(one, other))
    const passed = moved.filter(isPassed)
    const stays = before.filter((one) => !moved.includes(one))
    list.splice(0, last + 1, ...stays, list[last] as Asked, ...moved)
    this.grant()
    return passed
  }

  /** Whether `one`, or a request before it, keeps `other` from the head of a queue. */
  #isBefore(one: Asked, other: Asked): boolean {
    const upToOne = this.#list.slice(0, this.#list.indexOf(one) + 1)
    if (other.state !== 'pending' || upToOne.includes(other)) return false
    return [...other.demand.locks.keys()].some((name) => {
      const isInQueue = ({ state, demand }: Asked): boolean =>
        state !== 'ended' && demand.locks.has(name)
      const queue = [...this.holding, ...upToOne].filter(isInQueue)
      return isInQueue(one) && queue.some((before) => areAtOdds(before, other, name))
    })
  }

  /** Grants every request that can be granted. */
  grant(): void {
    for (;;) {
      const asked = this.pending.find((one) => this.#graph.blockersOf(one).length === 0)
      if (asked === undefined) return
      asked.state = 'holding'
      if (asked.demand.onHold === 'guard') this.newGuards.push(asked)
    }
  }

  /** A holder whose callback ends at once. */
  get ending(): Asked | undefined {
    return this.holding.find(({ demand: { onHold } }) => onHold === 'return' || onHold === 'throw')
  }

  /** Ends a holder whose callback has returned a request that has ended. Returns whether there was one. */
  endReturned(): boolean {
    const done = this.holding.find(({ isOver, waitsIn }) => isOver && waitsIn?.isOver)
    if (done) this.leave(done, done.waitsIn?.asked.outcome ?? 'value')
    return done !== undefined
  }

  /** Grants requests and ends callbacks that end at once, until nothing changes. */
  begin(): void {
    for (;;) {
      this.grant()
      const done = this.ending
      if (done === undefined) return
      this.leave(done, endOf(done, 'value'))
    }
  }

  /** Whether a request waits for itself. */
  isInCycle(asked: Asked, edges: Edges, waits: 'hard' | 'soft' = 'hard'): boolean {
    return this.#graph.reaches(asked, (other) => other === asked, edges, waits)
  }

  /** Whether the holder of a nested request waits for that request and so for itself. */
  closesCycle(asked: Asked, edges: Edges, waits: 'hard' | 'soft' = 'hard'): boolean {
    return this.isWaitedFor(asked) && this.#graph.closesCycle(asked, edges, waits)
  }

  /** Whether a nested request closes a cycle of holders, or a proved cycle lies inside it. */
  isStuck(asked: Asked): boolean {
    if (this.closesCycle(asked, 'loose')) return true
    const inside = this.#graph.waitsInside(asked, 'loose')
    return this.isWaitedFor(asked) && inside.some((one) => this.isInCycle(one, 'proved'))
  }

  /** Whether a request waits for one of the names of a guard. */
  isInTheWay(guard: Asked): boolean {
    const names = [...guard.demand.locks.keys()]
    return guard.isGuard && names.some((name) => this.#hasWaiters(name))
  }

  #hasWaiters(name: string): boolean {
    const waiters = this.pending.filter(({ demand }) => demand.locks.has(name))
    return waiters.some((one) => this.#graph.nearestOf(one, name).length > 0)
  }

  /** Whether a request waits for one of the others. */
  waitsForAny(asked: Asked, others: ReadonlySet<Asked>, edges: Edges): boolean {
    return this.#graph.reachedFrom(asked, edges, 'soft').some((other) => others.has(other))
  }

  /** Whether `waiting` waits for `name` because of `next`, or of a holder whose code waits for `next`. */
  waitsBecauseOf(waiting: Asked, name: string, next: Asked, edges: Edges): boolean {
    return this.#graph
      .blockersOf(waiting)
      .some(
        (other) =>
          other.state === 'holding' &&
          areAtOdds(waiting, other, name) &&
          this.#graph.leads(waiting, other, next, edges),
      )
  }

  /** Returns a function that undoes all later changes, except to `all`. */
  save(): () => void {
    const fields = this.all.map((asked) => ({ ...asked }))
    const list = [...this.#list]
    const newGuards = [...this.newGuards]
    const handedOn = [...this.handedOn]
    return () => {
      for (const [i, asked] of this.all.entries()) Object.assign(asked, fields[i])
      this.#list.splice(0, this.#list.length, ...list)
      this.newGuards.splice(0, this.newGuards.length, ...newGuards)
      this.handedOn.splice(0, this.handedOn.length, ...handedOn)
    }
  }

  /** Each waiting request with each of its names, and its nearest blockers there. */
  get queues(): string[] {
    return this.pending
      .flatMap((asked) =>
        [...asked.demand.locks.keys()].map((name) => {
          const nearest = this.#graph.nearestOf(asked, name)
          return `${asked} ${name} < ${nearest.map(String).sort()}`
        }),
      )
      .sort()
  }

  /** Whether a request has a subscriber and its holder can wait for it. */
  isWaitedFor(asked: Asked): boolean {
    return this.#graph.isWaitedFor(asked)
  }
}

/** The outcome of a request whose callback ends at once. */
function endOf(asked: Asked, otherwise: 'value' | 'null'): Outcome {
  return asked.demand.onHold === 'throw' ? 'thrown' : otherwise
}
