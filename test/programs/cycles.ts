/** The cycles of a program: what the model expects, what the manager reports, and the victims. */

import assert from 'node:assert/strict'
import type { DeadlockReport } from '../../src/index.ts'
import type { Asked } from './asked.ts'
import type { Edges } from './graph.ts'
import type { Model } from './model.ts'
import { count, type Tally } from './tally.ts'

/** A report, and the event that it came with. */
interface Reported {
  readonly event: 'deadlock' | 'suspected'
  readonly report: DeadlockReport
}

/** A cycle that was reported and stands, its victim first. */
interface Standing {
  readonly members: readonly Asked[]
  readonly names: readonly string[]
  readonly isDeadlock: boolean
  /** When its victim is to be rejected at the latest. */
  readonly until: number
}

/** Since when a request has been in a cycle, and in a proved one. */
interface Age {
  readonly since: number
  provedSince: number | undefined
}

/** What the manager's cycles depend on. */
export interface Rules {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: 'proved' | 'likely'
  /** Whether a request's promise was rejected for a deadlock. */
  isRejected(asked: Asked): boolean
}

/** The cycles of one program. */
export class Cycles {
  readonly #model: Model
  readonly #rules: Rules
  readonly #tally: Tally
  now = 0
  /** Not yet found in the model. */
  #reported: Reported[] = []
  #standing: Standing[] = []
  readonly #ages = new Map<Asked, Age>()
  readonly #victims = new Set<Asked>()
  /** Requests that a race keeps from a deadlock, perhaps after their rejection. */
  #atRisk: readonly Asked[] = []
  /** Those whose promises, awaited, have closed cycles. */
  readonly #closers = new Set<Asked>()
  /** Those whose queues were rearranged since the last look. */
  readonly #moved = new Set<Asked>()
  readonly #toRearrange = new Map<Asked, number>()
  /** Those that are looked at again after the turn. */
  readonly #afterTurn = new Set<Asked>()

  constructor(model: Model, rules: Rules, tally: Tally) {
    this.#model = model
    this.#rules = rules
    this.#tally = tally
  }

  /** Whether each reported cycle was found in the model. */
  get areRead(): boolean {
    return this.#reported.length === 0
  }

  /** Returns a function that undoes what happens from now on. */
  save(): () => void {
    const [reported, standing] = [this.#reported, this.#standing]
    const changing = [this.#victims, this.#closers, this.#moved, this.#afterTurn]
    const sets = changing.map((set) => [set, [...set]] as const)
    const toRearrange = [...this.#toRearrange]
    const { deadlocks, suspected, provedLater, throughGuards, forms } = this.#tally
    const guards = { ...throughGuards }
    const copyOf = (counts: Tally['forms']): Tally['forms'] =>
      new Map([...counts].map(([form, count]) => [form, { ...count }]))
    const counts = copyOf(forms)
    return () => {
      this.#reported = reported
      this.#standing = standing
      for (const [set, values] of sets) {
        set.clear()
        for (const value of values) set.add(value)
      }
      this.#toRearrange.clear()
      for (const [asked, look] of toRearrange) this.#toRearrange.set(asked, look)
      Object.assign(throughGuards, guards)
      Object.assign(this.#tally, { deadlocks, suspected, provedLater, forms: copyOf(counts) })
    }
  }

  /** The manager has reported a cycle. */
  report(event: Reported['event'], report: DeadlockReport): void {
    this.#reported.push({ event, report })
  }

  /** A holder ends while time passes: either may be first. */
  beginRace(): void {
    this.#atRisk = this.#model.pending.filter((asked) => this.#mayBeVictim(asked))
  }

  /** Somebody has subscribed to a request, or there is a new reason to look at it. */
  check(asked: Asked, isLate = false): void {
    const model = this.#model
    if (!model.isWaitedFor(asked)) return
    if (model.closesCycle(asked, 'loose')) {
      this.#closers.add(asked)
      return
    }
    const { deadlockAfterMs, deadlockVictims } = this.#rules
    const isLikelyEnough = deadlockVictims === 'likely'
    if (!isLikelyEnough) this.#rearrange(asked, 'proved')
    if (!model.closesCycle(asked, 'loose', 'soft')) return
    if (isLikelyEnough || isLate || deadlockAfterMs === 0) this.#rearrange(asked, 'loose')
    else this.#afterTurn.add(asked)
  }

  /** The turn is over. Cycles that are left only by queues are opened after `deadlockAfterMs`. */
  endTurn(): void {
    const model = this.#model
    for (const asked of this.#afterTurn) {
      if (this.#toRearrange.has(asked) || model.closesCycle(asked, 'loose')) continue
      if (!model.closesCycle(asked, 'loose', 'soft')) continue
      this.#toRearrange.set(asked, this.now + this.#rules.deadlockAfterMs)
    }
    this.#afterTurn.clear()
  }

  /** What timers do in one turn: look at requests, and reject victims, in either order. */
  runTimers(areVictimsFirst: boolean): void {
    this.readReports()
    if (areVictimsFirst) this.rejectVictims()
    for (const [asked, due] of [...this.#toRearrange]) {
      if (due > this.now) continue
      this.#toRearrange.delete(asked)
      this.check(asked, true)
      this.readReports()
    }
    this.rejectVictims()
  }

  /** Guards that are out wait for what their context awaits: that closes cycles, or moves requests. */
  checkGuards(): void {
    const model = this.#model
    while (model.newGuards.length > 0) {
      const guards = model.newGuards.splice(0)
      for (const guard of guards) guard.bringOut()
      const codes = guards.map(({ isGuard, code }) => (isGuard ? code : undefined))
      for (const nested of model.alive) {
        if (model.isWaitedFor(nested) && codes.includes(nested.parent)) this.check(nested)
      }
    }
  }

  /** Finds reported cycles in the model. Those that are not there yet are looked for again. */
  readReports(): void {
    this.#reported = this.#reported.filter((reported) => !this.#isTrue(reported))
  }

  /** Ends the victims of deadlocks in the model too. Returns whether there were any. */
  rejectVictims(): boolean {
    this.readReports()
    const victims = this.#model.pending.filter(
      (asked) => this.#victims.has(asked) && this.#rules.isRejected(asked),
    )
    // Looks in one turn all see what was there before the first rejection.
    for (const asked of victims) this.#mustBeVictim(asked)
    for (const asked of victims) this.#model.leave(asked, 'deadlock')
    return victims.length > 0
  }

  /** Looks at what open cycles leave behind. Returns whether anything may have moved. */
  openCycles(): boolean {
    this.#standing = this.#standing.filter(({ members, names }) =>
      this.#isCycle(members, names, 'loose'),
    )
    const closes = (asked: Asked): boolean => this.#model.closesCycle(asked, 'loose')
    const free = this.#model.alive.filter((asked) => this.#closers.has(asked) && !closes(asked))
    for (const asked of this.#moved) this.check(asked)
    this.#moved.clear()
    for (const asked of free) {
      // One of them can close a cycle again, through one that another of them has moved.
      if (closes(asked)) continue
      this.#closers.delete(asked)
      this.check(asked)
    }
    return free.length > 0 || this.#moved.size > 0
  }

  /** Every cycle of the model must have been reported, or be about to be opened. */
  mustBeKnown(isRace: boolean): void {
    // In a race a cycle may have been there for a moment only.
    if (!isRace) assert.deepEqual(this.#reported, [], 'reported cycles that do not exist')
    this.#reported = []
    this.#atRisk = []
    for (const { members, until } of this.#standing) {
      const [victim] = members as readonly [Asked]
      // The same members may have come to wait for each other through other, less certain edges.
      const isDue = this.now >= until && this.#mayBeVictim(victim)
      assert.ok(!isDue, `${victim.id} stays in a deadlock`)
    }
    const model = this.#model
    const members = (some: readonly Standing[]): Set<Asked> =>
      new Set(some.flatMap((one) => one.members))
    const known = members(this.#standing)
    const deadlocked = members(this.#standing.filter(({ isDeadlock }) => isDeadlock))
    const toRearrange = new Set(this.#toRearrange.keys())
    for (const asked of model.pending) {
      if (!model.isInCycle(asked, 'loose', 'soft')) {
        this.#ages.delete(asked)
        continue
      }
      const isKnown =
        model.waitsForAny(asked, known, 'loose') ||
        (!model.isInCycle(asked, 'loose') && model.waitsForAny(asked, toRearrange, 'loose'))
      assert.ok(isKnown, `${asked.id} waits for itself, unreported`)
      const age = this.#ages.get(asked) ?? { since: this.now, provedSince: undefined }
      this.#ages.set(asked, age)
      if (!model.isInCycle(asked, 'proved')) age.provedSince = undefined
      else if (!model.waitsForAny(asked, deadlocked, 'proved')) this.#mustBeYoung(asked, age)
    }
  }

  /** What has been proved late is seen at the next look. */
  #mustBeYoung(asked: Asked, age: Age): void {
    age.provedSince ??= this.now
    const shortest = Math.max(1, this.#rules.deadlockAfterMs)
    const until = age.provedSince + 2 * (age.provedSince - age.since) + 2 * shortest + 1
    assert.ok(this.now <= until, `${asked.id} is in a deadlock, unreported`)
  }

  #mustBeVictim(victim: Asked): void {
    const isInCycle = this.#atRisk.includes(victim) || this.#mayBeVictim(victim)
    assert.ok(isInCycle, `${victim.id} is rejected for a deadlock that is not proved`)
    const isProved = this.#model.isInCycle(victim, 'proved')
    count(this.#tally, [victim.form], isProved ? 'victims' : 'likely')
  }

  #rearrange(asked: Asked, edges: Edges): void {
    // Those that were moved may close cycles that are less certain.
    for (const moved of this.#model.rearrange(asked, edges)) this.#moved.add(moved)
  }

  /** Whether a request may be rejected for a deadlock. */
  #mayBeVictim(asked: Asked): boolean {
    const isLikelyEnough = this.#rules.deadlockVictims === 'likely'
    const model = this.#model
    return model.isInCycle(asked, 'proved') || (isLikelyEnough && model.isInCycle(asked, 'likely'))
  }

  /** Whether a report is a cycle of the model: each member waits for the next. */
  #isTrue({ event, report }: Reported): boolean {
    const members = report.cycle.map(({ label }) => this.#model.all[Number(label) - 1] as Asked)
    const names = report.cycle.map(({ waitsFor }) => `${waitsFor}`)
    const isDeadlock = event === 'deadlock'
    const likely = this.#rules.deadlockVictims === 'likely' ? 'likely' : 'proved'
    const edges = !isDeadlock ? 'loose' : report.suspected ? likely : 'proved'
    if (!this.#isCycle(members, names, edges)) return false
    const nested = members.filter(({ isNested, holders }) => isNested && holders.length > 0)
    const youngest = nested.reduce((a, b) => (a.id > b.id ? a : b))
    assert.equal(report.victim, report.cycle[0]?.thread)
    assert.equal(members[0], youngest)
    const { deadlockAfterMs } = this.#rules
    const until = isDeadlock ? this.now + deadlockAfterMs : Number.POSITIVE_INFINITY
    // The same may be reported again: for other guards, or when what is known of it has changed.
    const key = `${[...members, ...names]}`
    const isSame = (one: Standing): boolean => `${[...one.members, ...one.names]}` === key
    if (isDeadlock && this.#standing.some((one) => isSame(one) && !one.isDeadlock)) {
      this.#tally.provedLater++
    }
    this.#standing = this.#standing.filter((one) => !isSame(one))
    this.#standing = [...this.#standing, { members, names, isDeadlock, until }]
    if (isDeadlock) this.#victims.add(youngest)
    this.#tally[isDeadlock ? 'deadlocks' : 'suspected']++
    const isThroughGuard = this.#model.holding.some(
      (one) =>
        one.isGuard &&
        members.some((member) => one.demand.locks.has(names[members.indexOf(member)] as string)),
    )
    if (isThroughGuard) this.#tally.throughGuards[edges === 'proved' ? 'proved' : 'suspected']++
    const forms = nested.map(({ form }) => form)
    count(this.#tally, forms, edges === 'proved' ? 'proved' : 'suspected')
    return true
  }

  /** Whether each waits for the next one, for these names. */
  #isCycle(members: readonly Asked[], names: readonly string[], edges: Edges): boolean {
    return members.every((member, i) => {
      const next = members[(i + 1) % members.length] as Asked
      const isPending = member.state === 'pending'
      return isPending && this.#model.waitsBecauseOf(member, names[i] as string, next, edges)
    })
  }
}
