/** A request in the naive model. */

import type { LockMode } from '../../src/index.ts'
import type { Until, Verdict } from './forms.ts'

/** How a request ended. */
export type Outcome = 'value' | 'thrown' | 'aborted' | 'timeout' | 'stolen' | 'deadlock' | 'null'

/** The locks that are requested, and the kind of request. */
export interface Demand {
  readonly locks: ReadonlyMap<string, LockMode>
  readonly how: 'plain' | 'steal' | 'ifAvailable' | 'detached'
  /** In milliseconds, from the call. */
  readonly timeoutMs: number | undefined
  /** The callback takes commands, or ends at once; `guard`: there is no callback. */
  readonly onHold: 'stay' | 'return' | 'throw' | 'guard'
}

/** A request, from the call to its end. */
export class Asked {
  readonly id: number
  readonly demand: Demand
  /** The holder in whose callback the request was made; after its end, the next outer one. */
  parent: Asked | undefined
  readonly deadline: number
  state: 'pending' | 'holding' | 'ended' = 'pending'
  outcome: Outcome | undefined
  /** The verdict when its promise was awaited: whether its parent's code waits for it. */
  verdict: Verdict = 'none'
  /** The code that waits for it. */
  waitedForIn: Waiting | undefined
  /** Whether that code is seen to wait for several promises at once. */
  isBranching = false
  /** Whether its promise, or its helper's, has a reaction of any kind; a second one hides both. */
  hasReaction = false
  /** The form in which it was made, or last awaited. */
  form = ''
  /** The wait of its callback, while it holds. */
  waitsIn: Waiting | undefined
  /** Whether its callback was commanded to return or to end. */
  isOver = false
  /** Whether nested requests were made side by side. */
  hasBranches = false
  /** Whether its holder has ended, and no code has subscribed to it since. */
  isLeftBehind = false
  /** Whether its guard exists: that is a moment after the grant. */
  isOut = false
  /**
   * For a guard: the holders whose code was proved to wait for it, and for nothing else, at its grant. Empty
   * after its holder has ended.
   */
  awaitedBy: readonly Asked[] = []

  constructor(id: number, demand: Demand, parent: Asked | undefined, now: number) {
    this.id = id
    this.demand = demand
    this.parent = parent
    this.deadline = now + (demand.timeoutMs ?? Number.POSITIVE_INFINITY)
  }

  /** The current verdict: code that has continued leaves its subscription behind. */
  get link(): Verdict {
    return this.verdict === 'proved' && this.waitedForIn?.isOver ? 'suspected' : this.verdict
  }

  get isAwaited(): boolean {
    return this.verdict !== 'none'
  }

  get isNested(): boolean {
    return this.parent !== undefined && this.demand.how !== 'detached'
  }

  get isGuard(): boolean {
    return this.isOut && this.state === 'holding'
  }

  /** The holder whose code must end it, while it holds. */
  get code(): Asked | undefined {
    if (this.state !== 'holding') return undefined
    if (!this.isGuard) return this.demand.onHold === 'guard' ? undefined : this
    return this.demand.how === 'detached' ? undefined : this.holders[0]
  }

  /** The holders that it is nested in and that have not ended, innermost first. */
  get holders(): Asked[] {
    const { parent } = this
    if (parent === undefined) return []
    const around = [parent, ...(parent.demand.how === 'detached' ? [] : parent.holders)]
    return around.filter(({ state }) => state !== 'ended')
  }

  /** Marks its guard as existing. */
  bringOut(): void {
    if (this.isOut) return
    const awaitedBy: Asked[] = []
    let at: Asked = this
    while (at.isNested && at.parent && at.link === 'proved' && !at.isBranching) {
      at = at.parent
      awaitedBy.push(at)
    }
    this.awaitedBy = awaitedBy
    this.isOut = true
  }

  /** Whether its callback takes the next command. */
  get takesCommands(): boolean {
    const isBusy = this.isOver || (this.waitsIn !== undefined && !this.waitsIn.isOver)
    return this.state === 'holding' && this.demand.onHold === 'stay' && !isBusy
  }

  toString(): string {
    return `${this.id}`
  }
}

/** Code that waits for one request, or for a request and another promise. */
export class Waiting {
  readonly until: Until
  readonly asked: Asked
  /** Another request, or a promise that the driver settles. */
  readonly other: Asked | { state: 'pending' | 'value' | 'thrown' } | undefined

  constructor(until: Until, asked: Asked, other: Waiting['other']) {
    this.until = until
    this.asked = asked
    this.other = other
  }

  /** Whether the code has continued. */
  get isOver(): boolean {
    const ends = [this.asked, ...(this.other ? [this.other] : [])].map(endOf)
    if (this.until === 'all') return ends.includes(false) || !ends.includes(undefined)
    if (this.until === 'any') return ends.includes(true) || !ends.includes(undefined)
    if (this.until === 'race') return ends.some((isGood) => isGood !== undefined)
    return !ends.includes(undefined)
  }
}

/** Whether a promise was fulfilled; `undefined` while it is pending. */
function endOf(of: Asked | { readonly state: string }): boolean | undefined {
  if (!(of instanceof Asked)) return of.state === 'pending' ? undefined : of.state === 'value'
  const isGuard = of.demand.onHold === 'guard'
  if (of.state !== 'ended') return isGuard && of.isOut ? true : undefined
  return of.outcome === 'value' || (of.outcome === 'null' && !isGuard) || (isGuard && of.isOut)
}
