/**
 * Random programs of nested requests for many names, run on the real manager and on the naive model
 * side by side: after each step both must agree on who holds, who waits, how each request ended, and on
 * every deadlock.
 *
 * Time stands still but for the steps that let it pass, so that timers can be made to race with grants.
 * Where two things happen in one and the same turn of the event loop, either may win, and the model
 * follows the manager; everywhere else it must be right beforehand.
 */

import assert from 'node:assert/strict'
import type { MockTimers } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import {
  DeadlockError,
  type DeadlockReport,
  Guard,
  LockManager,
  type LockMode,
  LockNotAvailableError,
  LockTimeoutError,
  type Scope,
} from '../../src/index.ts'
import { gate } from '../manager/tools.ts'
import { Asked, holdersOnly, Model, type Outcome, surely, type Wish } from './model.ts'

type Step =
  | { readonly do: 'ask'; readonly wish: Wish; readonly within: number; readonly awaits: boolean }
  | { readonly do: 'await'; readonly which: number }
  | {
      readonly do: 'end'
      readonly which: number
      readonly throws: boolean
      readonly evenIfWaiting: boolean
    }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | {
      readonly do: 'race'
      readonly end: number
      readonly against: 'abort' | 'time'
      readonly which: number
      readonly microtasks: number
    }

/** A program, and the manager's option. */
export interface Program {
  readonly deadlockAfterMs: number
  readonly steps: readonly Step[]
}

const NAMES = ['a', 'b', 'c', 'd'] as const
const mode = fc.constantFrom<LockMode>('exclusive', 'exclusive', 'shared')
const onHold = fc.oneof(
  { weight: 8, arbitrary: fc.constant('stay' as const) },
  { weight: 1, arbitrary: fc.constantFrom('return' as const, 'throw' as const) },
)
const onHoldOrGuard = fc.oneof(
  { weight: 9, arbitrary: onHold },
  { weight: 2, arbitrary: fc.constant('guard' as const) },
)
const wants = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), mode), {
    minLength: 1,
    maxLength: 3,
    selector: ([name]) => name,
  })
  .map((entries) => new Map<string, LockMode>(entries))
const timeoutMs = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.nat(4) },
)
function wishOf(onHold: fc.Arbitrary<Wish['onHold']>): fc.Arbitrary<Wish> {
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ wants, how: fc.constant('plain' as const), timeoutMs, onHold }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ wants, how: fc.constant('detached' as const), timeoutMs, onHold }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        wants,
        how: fc.constant('ifAvailable' as const),
        timeoutMs: fc.constant(undefined),
        onHold,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        wants: wants.map(
          (map) => new Map([...map.keys()].map((name) => [name, 'exclusive' as const])),
        ),
        how: fc.constant('steal' as const),
        timeoutMs: fc.constant(undefined),
        onHold: onHold.map((how) => (how === 'guard' ? 'stay' : how)),
      }),
    },
  )
}
const which = fc.nat(11)
function stepOf(wish: fc.Arbitrary<Wish>): fc.Arbitrary<Step> {
  return fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        wish,
        within: which,
        awaits: fc.constantFrom(true, true, true, false),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('await' as const), which }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('end' as const),
        which,
        throws: fc.boolean(),
        evenIfWaiting: fc.constantFrom(true, false, false, false),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), which }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        ms: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('race' as const),
        end: which,
        against: fc.constantFrom('abort' as const, 'time' as const),
        which,
        microtasks: fc.nat(8),
      }),
    },
  )
}

/** Any program without guards; the second, with some. */
export const program: fc.Arbitrary<Program> = programOf(onHold)
export const programWithGuards: fc.Arbitrary<Program> = programOf(onHoldOrGuard)

function programOf(onHold: fc.Arbitrary<Wish['onHold']>): fc.Arbitrary<Program> {
  return fc.record({
    deadlockAfterMs: fc.constantFrom(0, 3),
    steps: fc.array(stepOf(wishOf(onHold)), { minLength: 4, maxLength: 24 }),
  })
}

/** What came of some programs. */
export interface Tally {
  programs: number
  steps: number
  requests: number
  nested: number
  deadlocks: number
  suspected: number
  ended: Record<Outcome, number>
  /** How often a request that could have been granted in that very turn gave up instead, and not. */
  races: { lost: number; won: number }
}

/** An empty tally. */
export function newTally(): Tally {
  const ended = { value: 0, thrown: 0, aborted: 0, timeout: 0, stolen: 0, deadlock: 0, null: 0 }
  return {
    programs: 0,
    steps: 0,
    requests: 0,
    nested: 0,
    deadlocks: 0,
    suspected: 0,
    ended,
    races: { lost: 0, won: 0 },
  }
}

/** Runs a program on both, and throws where they differ. `timers` has taken setTimeout's place. */
export async function run(program: Program, timers: MockTimers, tally: Tally): Promise<void> {
  await new Run(program, timers, tally).run()
}

/** The real side of a request. */
interface Real {
  readonly promise: Promise<unknown>
  readonly controller: AbortController
  /** How its callback is to end. */
  finish(how: 'value' | 'thrown'): void
  scope: Scope | undefined
  guard: Guard | undefined
  begun: boolean
  outcome: Outcome | undefined
}

/** A circle that was told, its victim first, and when. */
interface Told {
  readonly members: readonly Asked[]
  readonly names: readonly string[]
  /** When its victim is to be rejected at the latest. */
  readonly until: number
}

class Run {
  readonly #locks: LockManager
  readonly #model = new Model()
  readonly #reals = new Map<Asked, Real>()
  readonly #program: Program
  readonly #timers: MockTimers
  readonly #tally: Tally
  #now = 0
  /** Reports of the step under way. */
  #reports: DeadlockReport[] = []
  /** Circles of which nothing has come yet. */
  #told: Told[] = []
  readonly #victims = new Set<Asked>()
  /** Those whose promises, awaited, have closed circles. */
  readonly #closers = new Set<Asked>()
  /** Those that may give up in the turn in which they could be granted. */
  readonly #racing = new Set<Asked>()
  /** Whether grants may have begun, and ended, before somebody gave up. */
  #isRace = false

  constructor(program: Program, timers: MockTimers, tally: Tally) {
    this.#program = program
    this.#timers = timers
    this.#tally = tally
    this.#locks = new LockManager({
      places: 'never',
      trackOrder: false,
      deadlockAfterMs: program.deadlockAfterMs,
    })
    this.#locks.on('deadlock', (report) => this.#reports.push(report))
    this.#locks.on('suspected', (report) => this.#reports.push(report))
  }

  async run(): Promise<void> {
    for (const step of this.#program.steps) {
      await this.#do(step)
      await this.#compare()
      this.#tally.steps++
    }
    await this.#endAll()
    this.#tally.programs++
  }

  async #do(step: Step): Promise<void> {
    const model = this.#model
    if (step.do === 'ask') {
      const asked = this.#ask(step.wish, step.within)
      // Nobody has a guard who has not waited for it.
      if (step.awaits || step.wish.onHold === 'guard') await this.#await(asked)
    } else if (step.do === 'await') {
      const asked = pick(
        model.alive.filter(({ isAwaited }) => !isAwaited),
        step.which,
      )
      if (asked) await this.#await(asked)
    } else if (step.do === 'end') {
      // A code that waits for something may wait for something else as well, which comes first.
      const holder = pick(step.evenIfWaiting ? model.holding : this.#endable, step.which)
      if (holder) this.#end(holder, step.throws && !holder.isGuard ? 'thrown' : 'value')
    } else if (step.do === 'abort') {
      const waiter = pick(this.#abortable, step.which)
      if (waiter) {
        this.#reals.get(waiter)?.controller.abort()
        model.leave(waiter, 'aborted')
      }
    } else if (step.do === 'pass') {
      for (let ms = 0; ms < step.ms; ms++) {
        this.#tick()
        await this.#adopt()
      }
    } else await this.#race(step)
  }

  /** A holder ends, and some microtasks later somebody gives up who may have been granted meanwhile. */
  async #race(step: Extract<Step, { do: 'race' }>): Promise<void> {
    const holder = pick(this.#endable, step.end)
    if (holder === undefined) return
    // Whether others pass for a guard's sake before somebody gives up, or after it, is a race of its own.
    if (this.#model.alive.some(({ wish, parent }) => parent && wish.onHold === 'guard')) return
    const waiter = pick(this.#abortable, step.which)
    this.#end(holder, 'value')
    this.#isRace = true
    for (let i = 0; i < step.microtasks; i++) await undefined
    if (step.against === 'time') this.#tick()
    else if (waiter) {
      this.#racing.add(waiter)
      this.#reals.get(waiter)?.controller.abort()
    }
  }

  #ask(wish: Wish, within: number): Asked {
    // One place more than there are holders: outside of all.
    const holders = this.#model.holding.filter(({ isGuard }) => !isGuard)
    const parent = holders[within % (holders.length + 1)]
    const asked = new Asked(this.#model.all.length + 1, wish, parent, this.#now)
    const end = gate()
    let how: 'value' | 'thrown' = 'value'
    const fail = (): never => {
      throw new Thrown()
    }
    const controller = new AbortController()
    const on = parent ? (this.#reals.get(parent)?.scope as Scope) : this.#locks
    const names = [...wish.wants].map(([name, mode]) => ({ name, mode }))
    const options = {
      label: `${asked.id}`,
      ...(wish.how === 'plain' && { signal: controller.signal }),
      ...(wish.how === 'steal' && { steal: true }),
      ...(wish.how === 'ifAvailable' && { ifAvailable: true }),
      ...(wish.how === 'detached' && { detached: true, signal: controller.signal }),
      timeoutMs: wish.timeoutMs,
    }
    const promise: Promise<unknown> =
      wish.onHold === 'guard'
        ? on.acquire(names, options)
        : on.request(names, options, (lock, scope) => {
            if (lock === null) return wish.onHold === 'throw' ? fail() : null
            real.begun = true
            real.scope = scope
            if (wish.onHold === 'return') return
            if (wish.onHold === 'throw') fail()
            return end.opened.then(() => (how === 'thrown' ? fail() : undefined))
          })
    const real: Real = {
      promise,
      controller,
      finish: (as) => {
        how = as
        end.open()
        if (real.guard?.held) real.outcome = 'value'
        real.guard?.release()
      },
      scope: undefined,
      guard: undefined,
      begun: false,
      outcome: undefined,
    }
    this.#reals.set(asked, real)
    // To catch is not to wait.
    promise.catch((error: unknown) => {
      real.outcome = outcomeOf(error)
    })
    // Before anybody can wait for it, it is granted, or a time limit of 0 is over.
    this.#model.ask(asked)
    this.#model.grant()
    if (asked.state === 'pending' && wish.timeoutMs === 0) this.#model.leave(asked, 'timeout')
    this.#tally.requests++
    if (asked.isNested) this.#tally.nested++
    return asked
  }

  /** Somebody waits for a request; if that closes a circle, both must say so now. */
  async #await(asked: Asked): Promise<void> {
    const real = this.#reals.get(asked) as Real
    void real.promise.then(
      (value) => {
        if (value instanceof Guard) {
          real.guard = value
          real.begun = true
        } else real.outcome = value === null ? 'null' : 'value'
      },
      () => {},
    )
    const model = this.#model
    const isCircle = this.#closesCircle(asked)
    asked.isAwaited = true
    // Listeners are told in a microtask of their own.
    await setImmediate()
    if (isCircle) assert.ok(this.#reports.length > 0, `a deadlock through ${asked.id}`)
    this.#rejectVictims()
    model.grant()
    model.letPass(asked)
    this.#checkGuards()
    this.#openCircles()
  }

  /** Whether a circle is closed by somebody's waiting for a request, which is then looked at again. */
  #closesCircle(asked: Asked): boolean {
    const isCircle = this.#model.closesCircle(asked, holdersOnly)
    if (isCircle) this.#closers.add(asked)
    return isCircle
  }

  /** Guards that are out wait for what their context awaits: that closes circles, or lets pass. */
  #checkGuards(): void {
    const model = this.#model
    while (model.newGuards.length > 0) {
      const guards = model.newGuards.splice(0)
      for (const guard of guards) guard.isOut = true
      const codes = guards.map(({ isGuard, code }) => (isGuard ? code : undefined))
      for (const nested of model.alive) {
        if (!model.isWaitedFor(nested) || !codes.includes(nested.parent)) continue
        if (!this.#closesCircle(nested)) model.letPass(nested)
      }
    }
  }

  #end(holder: Asked, how: 'value' | 'thrown'): void {
    this.#reals.get(holder)?.finish(how)
    this.#model.leave(holder, how)
  }

  #tick(): void {
    this.#now++
    this.#timers.tick(1)
  }

  /** A report must be a circle of the model: each member waits for the next. False if it is not yet. */
  #isTrue(report: DeadlockReport): boolean {
    const members = report.cycle.map(({ label }) => this.#model.all[Number(label) - 1] as Asked)
    const names = report.cycle.map(({ waitsFor }) => `${waitsFor}`)
    if (!this.#isCircle(members, names)) return false
    const nested = members.filter(({ isNested, holders }) => isNested && holders.length > 0)
    const youngest = nested.reduce((a, b) => (a.id > b.id ? a : b))
    assert.equal(report.victim, report.cycle[0]?.thread)
    assert.equal(members[0], youngest)
    const { deadlockAfterMs } = this.#program
    const until = report.suspected ? Number.POSITIVE_INFINITY : this.#now + deadlockAfterMs
    // The same may be told again: for other guards, or as one that branches have made doubtful.
    this.#told = this.#told.filter(
      (told) => `${[...told.members, ...told.names]}` !== `${[...members, ...names]}`,
    )
    this.#told.push({ members, names, until })
    if (report.suspected) {
      this.#tally.suspected++
    } else {
      this.#victims.add(youngest)
      this.#tally.deadlocks++
    }
    return true
  }

  /** Whether each waits for the next one, for these names. */
  #isCircle(members: readonly Asked[], names: readonly string[]): boolean {
    return members.every((member, i) => {
      const next = members[(i + 1) % members.length] as Asked
      return (
        member.state === 'pending' && this.#model.waitsBecauseOf(member, names[i] as string, next)
      )
    })
  }

  /** Those of a deadlock that was told, when its time is over; some others may pass then. */
  #rejectVictims(): boolean {
    const model = this.#model
    this.#reports = this.#reports.filter((report) => !this.#isTrue(report))
    const victims = model.pending.filter(
      (asked) => this.#victims.has(asked) && this.#reals.get(asked)?.outcome === 'deadlock',
    )
    for (const asked of victims) {
      assert.ok(model.isDeadlocked(asked, surely), `${asked.id} is rejected for a deadlock`)
    }
    for (const asked of victims) model.leave(asked, 'deadlock')
    return victims.length > 0
  }

  /** When a circle is open, or its time is over, others may pass whom it kept from it. */
  #openCircles(): boolean {
    const isOpen = ({ members, names }: Told): boolean => !this.#isCircle(members, names)
    for (const told of this.#told) {
      const [victim] = told.members as readonly [Asked]
      // The same members may have come to wait for each other in another, doubtful way.
      const isDue = this.#now >= told.until && this.#model.isDeadlocked(victim, surely)
      assert.ok(!isDue || isOpen(told), `${victim.id} stays stuck`)
    }
    this.#told = this.#told.filter((told) => !isOpen(told))
    const free = this.#model.alive.filter(
      (asked) => this.#closers.has(asked) && !this.#closesCircle(asked),
    )
    for (const asked of free) {
      // One of them can close a circle again, by whom another one let through.
      if (this.#closesCircle(asked)) continue
      this.#closers.delete(asked)
      this.#model.letPass(asked)
    }
    return free.length > 0
  }

  /** Brings the model to where the manager must be after a step. */
  async #adopt(): Promise<void> {
    await setImmediate()
    const model = this.#model
    this.#rejectVictims()
    const gaveUp = (asked: Asked): Outcome | undefined => {
      if (!this.#racing.has(asked)) return undefined
      const { outcome } = this.#reals.get(asked) as Real
      const isGone = outcome === 'timeout' || outcome === 'aborted'
      this.#tally.races[isGone ? 'lost' : 'won']++
      return isGone ? outcome : undefined
    }
    for (const asked of model.pending) if (asked.deadline <= this.#now) this.#racing.add(asked)
    if (this.#isRace) model.begin(gaveUp)
    else model.grant(gaveUp)
    for (;;) {
      // Who cannot be granted must have given up: its time is over, or it was aborted.
      const gone = model.pending.find((asked) => this.#racing.has(asked))
      if (gone === undefined) break
      model.leave(gone, gone.deadline <= this.#now ? 'timeout' : 'aborted')
      model.grant(gaveUp)
    }
    const isRace = this.#isRace || this.#racing.size > 0
    this.#racing.clear()
    this.#isRace = false
    // Guards are out before circles are looked at again that the same end has opened.
    this.#checkGuards()
    this.#openCircles()
    for (let isMoved = true; isMoved; ) {
      model.begin()
      this.#checkGuards()
      const areRejected = this.#rejectVictims()
      isMoved = this.#openCircles() || areRejected || model.ending !== undefined
    }
    // In a race a circle may have been there for a moment only.
    if (!isRace) assert.deepEqual(this.#reports, [], 'circles that are none')
    this.#reports = []
  }

  async #compare(): Promise<void> {
    await this.#adopt()
    const { held, pending } = await this.#locks.query()
    assert.deepEqual(labels(held), ids(this.#model.holding), 'who holds')
    assert.deepEqual(labels(pending), ids(this.#model.pending), 'who waits')
    const inCircles = new Set(this.#told.flatMap(({ members }) => members))
    for (const asked of this.#model.pending) {
      if (!this.#model.isInCircle(asked)) continue
      assert.ok(this.#model.waitsForAny(asked, inCircles), `${asked.id} waits for itself, untold`)
    }
    for (const [asked, real] of this.#reals) {
      if (asked.state === 'holding') assert.ok(real.begun)
      if (asked.state === 'pending') assert.ok(!real.begun)
      // A good end shows only where somebody waits for it.
      const isShown = asked.isAwaited || (asked.outcome !== 'value' && asked.outcome !== 'null')
      if (isShown) assert.equal(outcomeSeen(real), asked.outcome, `${asked.id}`)
    }
  }

  /** Time passes until no circle is left; then all end, and everything must have settled. */
  async #endAll(): Promise<void> {
    const model = this.#model
    for (let turns = 0; model.alive.length > 0; turns++) {
      assert.ok(turns < 10 * model.all.length + 50, 'nothing moves any more')
      this.#tick()
      await this.#adopt()
      for (const holder of this.#endable) this.#end(holder, 'value')
      await this.#compare()
    }
    for (const [asked, real] of this.#reals) {
      real.finish('value')
      const settled = await real.promise.then(
        (value): Outcome => (value === null ? 'null' : 'value'),
        outcomeOf,
      )
      const outcome = settled === 'value' ? (outcomeSeen(real) ?? settled) : settled
      assert.equal(outcome, asked.outcome, `${asked.id}`)
      this.#tally.ended[outcome]++
    }
    assert.deepEqual(await this.#locks.query(), { held: [], pending: [] })
  }

  /** Guards, and holders whose code does not wait for anything. */
  get #endable(): Asked[] {
    const model = this.#model
    return model.holding.filter((holder) => holder.isGuard || model.awaitedBy(holder).length === 0)
  }

  get #abortable(): Asked[] {
    return this.#model.pending.filter(({ wish: { how } }) => how === 'plain' || how === 'detached')
  }
}

/** What a callback throws. */
class Thrown extends Error {}

/** A guard that holds no longer, and was not released, was robbed. */
function outcomeSeen({ outcome, guard }: Real): Outcome | undefined {
  return guard && !guard.held ? (outcome ?? 'stolen') : outcome
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof LockNotAvailableError) return 'null'
  if (error instanceof Thrown) return 'thrown'
  if (error instanceof LockTimeoutError) return 'timeout'
  if (error instanceof DeadlockError) return 'deadlock'
  if (error instanceof DOMException && error.name === 'AbortError') {
    return error.message.includes('stolen') ? 'stolen' : 'aborted'
  }
  throw error
}

function pick<Some>(some: readonly Some[], which: number): Some | undefined {
  return some[which % Math.max(1, some.length)]
}

function labels(of: readonly { readonly label: string }[]): string[] {
  return [...new Set(of.map(({ label }) => label))].sort()
}

function ids(of: readonly Asked[]): string[] {
  return of.map(({ id }) => `${id}`).sort()
}
