/**
 * The lock manager once more, as naively as it can be said: one list of all requests, and every question
 * answered by looking at everything.
 *
 * A request holds when no holder and nobody before it in the list is in its way. A holder waits for the
 * nested requests that its code awaits. A circle of waiting for holders is a deadlock. Whoever waits for
 * the holder of an awaited nested request, in whatever way, goes behind that request and behind those
 * whom it waits for.
 *
 * What a guard holds is released by the code of the holder in whose callback it was asked for, which
 * first ends what it waits for. That is doubtful where that code has branches, or waits for the guard
 * itself: a circle that needs it is only suspected.
 */

import type { LockMode } from '../../src/index.ts'

/** How a request ended. */
export type Outcome = 'value' | 'thrown' | 'aborted' | 'timeout' | 'stolen' | 'deadlock' | 'null'

/** What is asked for. */
export interface Wish {
  readonly wants: ReadonlyMap<string, LockMode>
  readonly how: 'plain' | 'steal' | 'ifAvailable' | 'detached'
  /** From the asking on, in milliseconds. */
  readonly timeoutMs: number | undefined
  /** What its callback does: stays until it is told to end, or ends at once; or there is only a guard. */
  readonly onHold: 'stay' | 'return' | 'throw' | 'guard'
}

/** A request, as the model knows it. */
export class Asked {
  readonly id: number
  readonly wish: Wish
  /** The holder in whose callback it was made. */
  parent: Asked | undefined
  readonly deadline: number
  state: 'pending' | 'holding' | 'ended' = 'pending'
  outcome: Outcome | undefined
  isAwaited = false
  /** Whether nested requests were made side by side. */
  hasBranches = false
  /** Whether there is a guard of it: a moment after the grant. */
  isOut = false

  constructor(id: number, wish: Wish, parent: Asked | undefined, now: number) {
    this.id = id
    this.wish = wish
    this.parent = parent
    this.deadline = now + (wish.timeoutMs ?? Number.POSITIVE_INFINITY)
  }

  get isNested(): boolean {
    return this.parent !== undefined && this.wish.how !== 'detached'
  }

  get isGuard(): boolean {
    return this.isOut && this.state === 'holding'
  }

  /** The holder whose code is to end it, once it holds. */
  get code(): Asked | undefined {
    if (this.state !== 'holding') return undefined
    if (!this.isGuard) return this.wish.onHold === 'guard' ? undefined : this
    return this.wish.how === 'detached' ? undefined : this.holders[0]
  }

  toString(): string {
    return `${this.id}`
  }

  /** The holders that it is nested in and that have not ended, innermost first. */
  get holders(): Asked[] {
    const { parent } = this
    if (parent === undefined) return []
    const around = [parent, ...(parent.wish.how === 'detached' ? [] : parent.holders)]
    return around.filter(({ state }) => state !== 'ended')
  }
}

/** All requests of one manager. */
export class Model {
  /** In the order of their asking. */
  readonly all: Asked[] = []
  /** Guards that are out, or in another context than before, since somebody looked last. */
  readonly newGuards: Asked[] = []
  /** In the order of their turn. */
  readonly #list: Asked[] = []

  /** Those that have not ended. */
  get alive(): Asked[] {
    return this.all.filter(({ state }) => state !== 'ended')
  }

  get pending(): Asked[] {
    return this.all.filter(({ state }) => state === 'pending')
  }

  get holding(): Asked[] {
    return this.all.filter(({ state }) => state === 'holding')
  }

  /** Takes its place. Nothing is granted before `grant()`, but to who steals. */
  ask(asked: Asked): void {
    const { wants, how } = asked.wish
    this.all.push(asked)
    this.#list.push(asked)
    if (how === 'steal') {
      const robbed = this.holding.filter((other) =>
        [...wants.keys()].some((n) => other.wish.wants.has(n)),
      )
      this.#branch(asked)
      asked.state = 'holding'
      for (const holder of robbed) this.leave(holder, 'stolen')
      return
    }
    const isFree = this.#blockersOf(asked).length === 0
    if (how === 'ifAvailable' && !isFree) this.leave(asked, endOf(asked, 'null'))
    else this.#branch(asked)
  }

  /** Ends a request. */
  leave(asked: Asked, outcome: Outcome): void {
    asked.state = 'ended'
    asked.outcome = outcome
    // What it has not waited for is its own holder's to wait for.
    for (const nested of this.alive) {
      if (nested.parent !== asked) continue
      nested.parent = asked.wish.how === 'detached' ? undefined : asked.holders[0]
      if (nested.isGuard) this.newGuards.push(nested)
      nested.isAwaited = false
    }
  }

  /** What a code waits for. */
  awaitedBy(code: Asked | undefined): Asked[] {
    return this.alive.filter((one) => this.isWaitedFor(one) && one.parent === code)
  }

  /** That a nested request is made while another one is under way shows branches. */
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

  /** Who waits for the holder of a request that is awaited goes behind it, and behind whom it waits for. */
  letPass(awaited: Asked): void {
    if (!this.isWaitedFor(awaited)) return
    const isHolder = ({ code }: Asked): boolean => code === awaited.parent
    const waitedFor = this.#reachedFrom(awaited, holdersOnly)
    if (waitedFor.some(isHolder)) return
    const last = Math.max(...waitedFor.map((one) => this.#list.indexOf(one)))
    const before = this.#list.slice(0, last)
    const passed = before.filter(
      (one) => one.state === 'pending' && !waitedFor.includes(one) && this.#reaches(one, isHolder),
    )
    this.#list.splice(
      0,
      last + 1,
      ...before.filter((one) => !passed.includes(one)),
      this.#list[last] as Asked,
      ...passed,
    )
    this.grant()
  }

  /** Grants whatever can be granted; `isGone`: gave up at that very moment. */
  grant(isGone: (asked: Asked) => Outcome | undefined = () => undefined): void {
    for (;;) {
      const asked = this.pending.find((one) => this.#blockersOf(one).length === 0)
      if (asked === undefined) return
      const outcome = isGone(asked)
      if (outcome) this.leave(asked, outcome)
      else {
        asked.state = 'holding'
        if (asked.wish.onHold === 'guard') this.newGuards.push(asked)
      }
    }
  }

  /** A holder whose callback ends at once. */
  get ending(): Asked | undefined {
    return this.holding.find(({ wish: { onHold } }) => onHold === 'return' || onHold === 'throw')
  }

  /** Begins what was granted, and grants what that frees, until nothing happens any more. */
  begin(isGone?: (asked: Asked) => Outcome | undefined): void {
    for (;;) {
      this.grant(isGone)
      const done = this.ending
      if (done === undefined) return
      this.leave(done, endOf(done, 'value'))
    }
  }

  /** Whether a request waits for itself: surely, or perhaps. */
  isDeadlocked(asked: Asked, isWay: (from: Asked, to: Asked) => boolean): boolean {
    return this.#reaches(asked, (other) => other === asked, isWay)
  }

  /** Whether that somebody waits for a nested request closes a circle: surely, or perhaps. */
  closesCircle(asked: Asked, isWay: (from: Asked, to: Asked) => boolean): boolean {
    if (!this.#canBeWaitedFor(asked)) return false
    const isSure = (guard: Asked): boolean => isWay(guard, asked)
    return this.#reaches(asked, (other) => other.code === asked.parent && isSure(other), isWay)
  }

  /** Whether a request waits for itself, be it only by where it stands. */
  isInCircle(asked: Asked): boolean {
    return this.#reaches(asked, (other) => other === asked)
  }

  /** Whether a request waits, in whatever way, for one of these. */
  waitsForAny(asked: Asked, others: ReadonlySet<Asked>): boolean {
    return this.#reachedFrom(asked).some((other) => others.has(other))
  }

  /** Whether `waiting` waits for `name` because of `next`, or of one whose code waits for `next`. */
  waitsBecauseOf(waiting: Asked, name: string, next: Asked): boolean {
    const awaiting = [next]
    for (const at of awaiting) {
      if (this.isWaitedFor(at))
        awaiting.push(...this.holding.filter(({ code }) => code === at.parent))
    }
    return this.#blockersOf(waiting).some(
      (other) =>
        other.state === 'holding' && areAtOdds(waiting, other, name) && awaiting.includes(other),
    )
  }

  /** The holders, and those who come first, with whom it cannot hold together. */
  #blockersOf(asked: Asked): Asked[] {
    const before = this.#list.slice(0, this.#list.indexOf(asked))
    const rivals = [...this.holding, ...before.filter(({ state }) => state === 'pending')]
    return rivals.filter((other) =>
      [...asked.wish.wants.keys()].some((name) => areAtOdds(asked, other, name)),
    )
  }

  /** Whether a holder's code waits for a request. */
  isWaitedFor(asked: Asked): boolean {
    return asked.isAwaited && this.#canBeWaitedFor(asked)
  }

  #canBeWaitedFor({ isNested, state, parent, isGuard }: Asked): boolean {
    return isNested && !isGuard && state !== 'ended' && parent?.state === 'holding'
  }

  #waitsFor(asked: Asked): Asked[] {
    if (asked.state === 'pending') return this.#blockersOf(asked)
    return asked.code === undefined ? [] : this.awaitedBy(asked.code)
  }

  #reaches(
    from: Asked,
    isEnd: (asked: Asked) => boolean,
    isWay: (from: Asked, to: Asked) => boolean = () => true,
  ): boolean {
    return this.#reachedFrom(from, isWay).some((one) =>
      this.#waitsFor(one).some((other) => isWay(one, other) && isEnd(other)),
    )
  }

  #reachedFrom(from: Asked, isWay: (from: Asked, to: Asked) => boolean = () => true): Asked[] {
    const reached = new Set([from])
    for (const one of reached) {
      for (const other of this.#waitsFor(one)) if (isWay(one, other)) reached.add(other)
    }
    return [...reached]
  }
}

/** To wait for a holder, or as a holder, without a doubt. */
export function surely(from: Asked, to: Asked): boolean {
  if (from.isGuard && from.code?.hasBranches) return false
  const isOwnGuard = from.state === 'pending' && to.isGuard && to.holders[0] === from.holders[0]
  return holdersOnly(from, to) && !isOwnGuard
}

/** To wait for a holder, or as a holder: not for somebody who only stands before one. */
export function holdersOnly(from: Asked, to: Asked): boolean {
  return from.state === 'holding' || to.state === 'holding'
}

function areAtOdds(a: Asked, b: Asked, name: string): boolean {
  const modes = [a.wish.wants.get(name), b.wish.wants.get(name)]
  return !modes.includes(undefined) && modes.includes('exclusive')
}

/** How a callback that runs to its end at once ends a request. */
function endOf(asked: Asked, otherwise: 'value' | 'null'): Outcome {
  return asked.wish.onHold === 'throw' ? 'thrown' : otherwise
}
