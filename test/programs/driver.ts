/**
 * Runs random programs on the real manager and on the naive model side by side. After each step both must
 * agree on which requests hold, which wait, how each one ended, and on every deadlock.
 *
 * Time advances only in the steps that advance it, so that timers can race with grants. Where two events fall
 *      into the same turn of the event loop, either may win, and the model follows the manager. Everywhere
 *      else the model must be right beforehand.
 */

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { LockManager, type LockManagerSnapshot, type Scope } from '../../src/index.ts'
import type { MockedTimers } from '../mocked-timers.ts'
import { Asked, type Demand, type Outcome } from './asked.ts'
import { Code, pick } from './code.ts'
import { Follower, Seen } from './follow.ts'
import { Model } from './model.ts'
import type { Program, Step } from './program.ts'
import { Real } from './real.ts'
import { Reports } from './reports.ts'
import type { Tally } from './tally.ts'

/** Runs a program on both, and throws if they differ. `timers` replaces setTimeout. */
export async function run(program: Program, timers: MockedTimers, tally: Tally): Promise<void> {
  await new Run(program, timers, tally).run()
}

class Run {
  readonly #locks: LockManager
  readonly #model: Model
  readonly #reals = new Map<Asked, Real>()
  readonly #program: Program
  readonly #timers: MockedTimers
  readonly #tally: Tally
  readonly #reports: Reports
  readonly #clock = { now: 0 }
  readonly #code = new Code((asked) => this.#reals.get(asked) as Real)
  readonly #follower: Follower

  constructor(program: Program, timers: MockedTimers, tally: Tally) {
    this.#program = program
    this.#timers = timers
    this.#tally = tally
    const { deadlockAfterMs, deadlockVictims } = program
    const options = { deadlockAfterMs, deadlockVictims }
    this.#model = new Model()
    this.#locks = new LockManager({ callSites: 'never', trackOrder: false, ...options })
    const isRejected = (asked: Asked): boolean => this.#reals.get(asked)?.outcome === 'deadlock'
    const rules = { ...options, clock: this.#clock, isRejected }
    this.#reports = new Reports(this.#model, rules, tally)
    const outcomeOf = (asked: Asked): Outcome | undefined => this.#reals.get(asked)?.outcome
    this.#follower = new Follower(this.#model, rules, this.#reports, tally, outcomeOf)
    for (const event of ['deadlock', 'suspected'] as const) {
      this.#locks.on(event, (report) => this.#reports.add(event, report))
    }
  }

  async run(): Promise<void> {
    for (const step of this.#program.steps) {
      await this.#do(step)
      await this.#compare()
      this.#tally.steps++
    }
    await this.#endAll()
    this.#timers.clear()
    this.#tally.programs++
  }

  async #do(step: Step): Promise<void> {
    if (step.do === 'ask') this.#ask(step)
    else if (step.do === 'await') this.#code.await(step)
    else if (step.do === 'settle') this.#code.settle(step)
    else if (step.do === 'end') {
      const holder = pick(this.#endable, step.which)
      if (holder) this.#end(holder, step.throws && !holder.isGuard ? 'thrown' : 'value')
    } else if (step.do === 'abort') {
      const waiter = pick(this.#abortable, step.which)
      if (waiter) this.#abort(waiter)
    } else if (step.do === 'pass') {
      for (let turns = 0; turns < step.turns; turns++) await this.#pass()
    } else await this.#race(step)
  }

  /** Ends a holder; some microtasks later a waiter gives up, which may have been granted meanwhile. */
  async #race(step: Extract<Step, { do: 'race' }>): Promise<void> {
    const holder = pick(this.#endable, step.end)
    if (holder === undefined) return
    // Whether requests move because of a guard before or after a waiter gives up would be another race.
    if (this.#model.alive.some(({ demand, parent }) => parent && demand.onHold === 'guard')) return
    const waiter = pick(this.#abortable, step.which)
    this.#reports.beginRace()
    this.#end(holder, 'value')
    this.#follower.isRace = true
    for (let i = 0; i < step.microtasks; i++) await undefined
    if (step.against === 'time') await this.#pass()
    else if (waiter) {
      this.#follower.racing.add(waiter)
      this.#reals.get(waiter)?.controller.abort()
    }
  }

  /** Makes a request, outside of all holders or in the code of one. */
  #ask(step: Extract<Step, { do: 'ask' }>): void {
    const holders = this.#model.holding.filter(({ demand }) => demand.onHold === 'stay')
    const holder = holders[step.within % (holders.length + 1)]
    const start = (): Asked => {
      // The queue of a limiter runs in another context, in which the manager finds no holder.
      const via = step.form.name === 'limiter' ? 'own scope' : step.via
      // The holder around a detached one does not wait for it.
      const isOuter = via === 'outer scope' && holder?.isNested
      const of = isOuter ? holder.holders.at(-1) : holder
      const scope = of && via !== 'manager' ? this.#reals.get(of)?.scope : undefined
      return this.#request(step.demand, holder, scope ?? this.#locks)
    }
    if (holder === undefined) start()
    else this.#code.ask(step, holder, start)
  }

  #request(demand: Demand, parent: Asked | undefined, on: LockManager | Scope): Asked {
    const model = this.#model
    const asked = new Asked(model.all.length + 1, demand, parent, this.#clock.now)
    this.#reals.set(asked, new Real(on, demand, `${asked.id}`))
    // Before code can wait for the request, it is granted, or its time limit of 0 has expired.
    model.ask(asked)
    model.grant()
    if (asked.state === 'pending' && demand.timeoutMs === 0) model.leave(asked, 'timeout')
    this.#tally.requests++
    if (asked.isNested) this.#tally.nested++
    return asked
  }

  #end(holder: Asked, how: 'value' | 'thrown'): void {
    this.#reals.get(holder)?.finish(how)
    this.#model.leave(holder, how)
  }

  #abort(waiter: Asked): void {
    this.#reals.get(waiter)?.controller.abort()
    this.#model.leave(waiter, 'aborted')
  }

  /**
   * Advances time by two milliseconds. Time limits expire in the first; the detector's checks are due in the
   * second, unless `deadlockAfterMs` is 0. So they never race.
   */
  async #pass(): Promise<void> {
    for (let ms = 0; ms < 2; ms++) {
      this.#clock.now++
      this.#timers.advance(1)
      await this.#adopt()
    }
  }

  /** Records the outcomes of promises that have settled. */
  async #record(): Promise<LockManagerSnapshot> {
    const snapshot = await this.#locks.query()
    const pending = new Set(snapshot.pending.map(({ label }) => label))
    const held = new Set(snapshot.held.map(({ label }) => label))
    for (const [asked, real] of this.#reals) {
      const isHeld = held.has(`${asked.id}`) && asked.demand.onHold !== 'guard'
      if (!pending.has(`${asked.id}`) && !isHeld) real.record()
    }
    await setImmediate()
    return snapshot
  }

  /** Lets all pending work run, and brings the model to the same state. */
  async #adopt(): Promise<Seen> {
    for (let i = 0; i < 3; i++) await setImmediate()
    const seen = new Seen(await this.#record())
    this.#follower.follow(seen, this.#code.takeSubscribed())
    this.#code.settleOthers(false)
    await setImmediate()
    return seen
  }

  async #compare(): Promise<void> {
    const seen = await this.#adopt()
    seen.mustBe(this.#model)
    for (const [asked, real] of this.#reals) {
      if (asked.state === 'holding') assert.ok(real.hasBegun)
      else if (asked.state === 'pending') {
        assert.ok(!real.hasBegun)
        assert.ok(asked.deadline > this.#clock.now, `${asked.id} waits for longer than it may`)
      } else assert.equal(real.outcomeSeen, asked.outcome, `${asked.id}`)
    }
  }

  /** Advances time and ends holders until no request is left. Everything must have settled then. */
  async #endAll(): Promise<void> {
    const model = this.#model
    for (let turns = 0; model.alive.length > 0; turns++) {
      assert.ok(turns < 10 * model.all.length + 50, 'nothing moves any more')
      await this.#pass()
      this.#code.settleOthers(true)
      for (const holder of this.#endable) {
        if (holder.state !== 'holding') continue
        this.#end(holder, 'value')
        await this.#compare()
      }
      // Suspected cycles have no victim.
      const [waiter] = turns % 16 === 15 ? this.#abortable : []
      if (waiter) {
        this.#abort(waiter)
        await this.#compare()
      }
    }
    for (const real of this.#reals.values()) real.finishAll()
    for (const { outcome } of model.all) if (outcome) this.#tally.ended[outcome]++
    assert.deepEqual(await this.#locks.query(), { held: [], pending: [] })
  }

  /** Guards, and holders whose callbacks wait for nothing. */
  get #endable(): Asked[] {
    return this.#model.holding.filter((holder) => holder.isGuard || holder.takesCommands)
  }

  get #abortable(): Asked[] {
    const { pending } = this.#model
    return pending.filter(({ demand: { how } }) => how === 'plain' || how === 'detached')
  }
}
