/**
 * Brings the model to the state in which the manager must be after a step.
 *
 * Two events of one turn may happen in either order. The model tries both, and must agree with the manager in
 * one. A callback that ends when what it returned has settled may end before the detector runs. If several
 * timers of the detector are due together, one may reject a victim while others rearrange queues.
 */

import assert from 'node:assert/strict'
import type { LockManagerSnapshot } from '../../src/index.ts'
import type { Asked, Outcome } from './asked.ts'
import { Cycles, type TimerOrder } from './cycles.ts'
import type { Model } from './model.ts'
import type { Reports, Rules } from './reports.ts'
import type { Tally } from './tally.ts'

/** The model and the manager differ in the order of requests, and cannot be compared any further. */
export class OrderDiffers extends Error {}

/** The state that the manager reports: the requests that hold, those that wait, and the blockers of each. */
export class Seen {
  readonly held: readonly string[]
  readonly pending: readonly string[]
  readonly queues: readonly string[]

  constructor({ held, pending }: LockManagerSnapshot) {
    this.held = labelsOf(held)
    this.pending = labelsOf(pending)
    this.queues = pending
      .map(({ label, name, blockedBy }) => `${label} ${name} < ${[...blockedBy].sort()}`)
      .sort()
  }

  /** Throws if the model differs. */
  mustBe(model: Model): void {
    try {
      assert.deepEqual(this.held, idsOf(model.holding), 'which requests hold')
      assert.deepEqual(this.pending, idsOf(model.pending), 'which requests wait')
      assert.deepEqual(this.queues, model.queues, 'the queues')
    } catch (error) {
      throw new OrderDiffers(String(error), { cause: error })
    }
  }

  isSameAs(model: Model): boolean {
    return (
      `${this.held}` === `${idsOf(model.holding)}` &&
      `${this.pending}` === `${idsOf(model.pending)}` &&
      `${this.queues}` === `${model.queues}`
    )
  }
}

/** The order of events in one turn. */
interface Order {
  /** Whether callbacks end before the detector runs. */
  readonly endsFirst: boolean
  readonly timers: TimerOrder
  /** When requests end that have timed out or were aborted, relative to all else. */
  readonly losses: 'first' | 'before looks' | 'last'
  /** Whether guards appear before the cycles that the same end has opened are checked again. */
  readonly guardsFirst: boolean
}

/** `queues`: agreement on what holds and waits, but not on the reports. */
type Agreement = 'none' | 'queues' | 'all'

const USUAL: Order = {
  endsFirst: false,
  timers: 'as set',
  losses: 'before looks',
  guardsFirst: true,
}
/** All orders, the usual one first. */
const ORDERS: readonly Order[] = [true, false].flatMap((guardsFirst) =>
  [false, true].flatMap((endsFirst) =>
    (['as set', 'victims first', 'looks first'] as const).flatMap((timers) =>
      (['before looks', 'first', 'last'] as const).map((losses) => ({
        endsFirst,
        timers,
        losses,
        guardsFirst,
      })),
    ),
  ),
)

/** Follows one manager. */
export class Follower {
  readonly #model: Model
  readonly #cycles: Cycles
  readonly #reports: Reports
  readonly #clock: { readonly now: number }
  readonly #tally: Tally
  /** How a request's promise was settled, if that was seen. */
  readonly #outcomeOf: (asked: Asked) => Outcome | undefined
  /** Requests that may give up in the turn in which they could be granted. */
  readonly racing: Set<Asked> = new Set()
  /** Whether grants may have begun, and ended, before one of those gave up. */
  isRace = false

  constructor(
    model: Model,
    rules: Rules,
    reports: Reports,
    tally: Tally,
    outcomeOf: (asked: Asked) => Outcome | undefined,
  ) {
    this.#model = model
    this.#cycles = new Cycles(model, rules, reports)
    this.#reports = reports
    this.#clock = rules.clock
    this.#tally = tally
    this.#outcomeOf = outcomeOf
  }

  /** Follows one step. `subscribed`: the nested requests that code has begun to await. */
  follow(seen: Seen, subscribed: readonly Asked[]): void {
    const model = this.#model
    const cycles = this.#cycles
    for (const asked of model.pending) if (asked.deadline <= this.#clock.now) this.racing.add(asked)
    const restore = this.#save()
    const tryOut = (order: Order): Agreement => {
      restore()
      return this.#tryOut(seen, subscribed, order)
    }
    let [agreeing, best]: [Order, Agreement] = [USUAL, 'none']
    for (const order of ORDERS) {
      const agreement = tryOut(order)
      if (agreement === 'none' || best === agreement) continue
      agreeing = order
      best = agreement
      if (best === 'all') break
    }
    if (best !== 'all') {
      restore()
      // If no order agrees, this run shows where the model differs.
      this.#run(subscribed, agreeing)
    }
    const isRace = this.isRace || this.racing.size > 0
    this.racing.clear()
    this.isRace = false
    for (const asked of model.pending) {
      const isInnocent = this.#outcomeOf(asked) === 'deadlock'
      assert.ok(!isInnocent, `${asked.id} is rejected for a deadlock that was not reported`)
    }
    seen.mustBe(model)
    cycles.endTurn(isRace)
  }

  /** The degree to which the model agrees with the manager if events happen in this order. */
  #tryOut(seen: Seen, subscribed: readonly Asked[], order: Order): Agreement {
    try {
      this.#run(subscribed, order)
    } catch (error) {
      if (error instanceof assert.AssertionError) return 'none'
      throw error
    }
    if (!seen.isSameAs(this.#model)) return 'none'
    return this.#reports.areRead ? 'all' : 'queues'
  }

  #run(subscribed: readonly Asked[], order: Order): void {
    const model = this.#model
    this.#reports.read()
    if (order.losses === 'first') this.#lose()
    if (subscribed.length > 0) model.grant()
    for (const asked of subscribed) this.#cycles.check(asked)
    this.#cycles.runTimers(order.timers)
    if (order.losses === 'before looks') this.#lose()
    this.#look(order, this.isRace)
    if (order.losses !== 'last') return
    this.#lose()
    this.#look(order, false)
  }

  /** Runs the detector on what has changed, until nothing changes any more. */
  #look({ endsFirst, guardsFirst }: Order, isRace: boolean): void {
    const model = this.#model
    const cycles = this.#cycles
    const reports = this.#reports
    if (isRace || endsFirst) this.#endAll()
    else model.begin()
    if (!guardsFirst) cycles.openCycles()
    cycles.checkGuards()
    cycles.openCycles()
    for (let isMoved = true; isMoved; ) {
      if (endsFirst) this.#endAll()
      else model.begin()
      cycles.checkGuards()
      const { victims } = reports
      reports.rejectVictims(victims)
      isMoved = cycles.openCycles() || victims.length > 0 || model.ending !== undefined
      isMoved ||= model.endReturned()
    }
  }

  /** Ends the requests that have given up. */
  #lose(): void {
    for (const asked of this.racing) {
      if (asked.state !== 'pending') continue
      const outcome = this.#outcomeOf(asked)
      const isGone = outcome === 'timeout' || outcome === 'aborted'
      this.#tally.races[isGone ? 'lost' : 'won']++
      if (isGone) this.#model.leave(asked, outcome)
    }
  }

  #endAll(): void {
    do this.#model.begin()
    while (this.#model.endReturned())
  }

  #save(): () => void {
    const restores = [this.#model.save(), this.#cycles.save()]
    const { races } = this.#tally
    const { lost, won } = races
    return () => {
      for (const restore of restores) restore()
      Object.assign(races, { lost, won })
    }
  }
}

function labelsOf(of: readonly { readonly label: string }[]): string[] {
  return [...new Set(of.map(({ label }) => label))].sort()
}

function idsOf(of: readonly Asked[]): string[] {
  return of.map(({ id }) => `${id}`).sort()
}
