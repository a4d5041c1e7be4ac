/** The cycles that the manager reports: each must be one of the model, and have a victim if it is proved. */

import assert from 'node:assert/strict'
import type { DeadlockReport } from '../../src/index.ts'
import type { Asked } from './asked.ts'
import type { Edges } from './graph.ts'
import type { Model } from './model.ts'
import { count, type Tally } from './tally.ts'

/** A report, and the event that delivered it. */
interface Reported {
  readonly event: 'deadlock' | 'suspected'
  readonly report: DeadlockReport
}

/** A reported cycle that still stands, its victim first. */
interface Standing {
  readonly members: readonly Asked[]
  readonly names: readonly string[]
  readonly isDeadlock: boolean
  /** The latest time at which its victim must be rejected. */
  readonly until: number
  /** The number of its timer among all timers. */
  readonly order: number
}

/** The times since when a request has been in a cycle, and in a proved one. */
interface Age {
  readonly since: number
  provedSince: number | undefined
}

/** The settings that the manager's cycles depend on. */
export interface Rules {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: 'proved' | 'likely'
  /** The mocked time, in milliseconds. */
  readonly clock: { now: number }
  /** Whether a request's promise was rejected for a deadlock. */
  isRejected(asked: Asked): boolean
}

/** The reports of one program. */
export class Reports {
  readonly #model: Model
  readonly #rules: Rules
  readonly #tally: Tally
  /** Reports not yet found in the model. */
  #reported: Reported[] = []
  #standing: Standing[] = []
  readonly #ages = new Map<Asked, Age>()
  readonly #victims = new Set<Asked>()
  /** The number of timers so far. */
  #timers = 0
  /** Requests that a race may save from a deadlock, perhaps after their rejection. */
  #atRisk: readonly Asked[] = []
  /** Restores the model to the start of the race. */
  #toBeforeRace: (() => void) | undefined

  constructor(model: Model, rules: Rules, tally: Tally) {
    this.#model = model
    this.#rules = rules
    this.#tally = tally
  }

  /** Whether each reported cycle was found in the model. */
  get areRead(): boolean {
    return this.#reported.length === 0
  }

  /** Returns a function that undoes all later changes. */
  save(): () => void {
    const [reported, standing, timers] = [this.#reported, this.#standing, this.#timers]
    const victims = [...this.#victims]
    const { deadlocks, suspected, provedLater, throughGuards, forms } = this.#tally
    const guards = { ...throughGuards }
    const copyOf = (counts: Tally['forms']): Tally['forms'] =>
      new Map([...counts].map(([form, count]) => [form, { ...count }]))
    const counts = copyOf(forms)
    return () => {
      this.#reported = reported
      this.#standing = standing
      this.#timers = timers
      this.#victims.clear()
      for (const victim of victims) this.#victims.add(victim)
      Object.assign(throughGuards, guards)
      Object.assign(this.#tally, { deadlocks, suspected, provedLater, forms: copyOf(counts) })
    }
  }

  /** Adds a cycle that the manager has reported. */
  add(event: Reported['event'], report: DeadlockReport): void {
    this.#reported.push({ event, report })
  }

  /** Begins a race: a holder ends while time passes, and either may be first. */
  beginRace(): void {
    this.#atRisk = this.#model.pending.filter((asked) => this.#mayBeVictim(asked))
    this.#toBeforeRace = this.#model.save()
  }

  /** Finds reported cycles in the model. Those not found yet are searched for again later. */
  read(): void {
    this.#reported = this.#reported.filter((reported) => !this.#isTrue(reported))
  }

  /** The number of a new timer. */
  nextOrder(): number {
    return this.#timers++
  }

  /** The requests whose promises were rejected for a deadlock, and the numbers of the timers that did it. */
  get victims(): readonly { readonly asked: Asked; readonly order: number }[] {
    this.read()
    return this.#model.pending
      .filter((asked) => this.#victims.has(asked) && this.#rules.isRejected(asked))
      .map((asked) => {
        const isOf = (one: Standing): boolean => one.isDeadlock && one.members[0] === asked
        return { asked, order: this.#standing.find(isOf)?.order ?? this.#timers }
      })
  }

  /** Ends victims in the model too. */
  rejectVictims(victims: readonly { readonly asked: Asked }[]): void {
    // All checks of one turn see the state before the first rejection.
    for (const { asked } of victims) this.#mustBeVictim(asked)
    for (const { asked } of victims) this.#model.leave(asked, 'deadlock')
  }

  /** Forgets cycles that are open. One that is no longer proved has no victim until it is proved again. */
  forgetOpen(): void {
    this.#standing = this.#standing
      .filter(({ members, names }) => this.#isCycle(members, names, 'loose'))
      .map((one) =>
        one.isDeadlock && !this.#isDeadlock(one)
          ? { ...one, isDeadlock: false, until: Number.POSITIVE_INFINITY }
          : one,
      )
  }

  /** Whether a cycle is proved, or is likely where that is enough. */
  #isDeadlock({ members, names }: Standing): boolean {
    const isLikelyEnough = this.#rules.deadlockVictims === 'likely'
    return (
      this.#isCycle(members, names, 'proved') ||
      (isLikelyEnough && this.#isCycle(members, names, 'likely'))
    )
  }

  /** Asserts that every cycle of the model was reported, or will be opened soon by `toRearrange`. */
  mustBeKnown(isRace: boolean, toRearrange: ReadonlySet<Asked>): void {
    // In a race, a cycle may have existed for only a moment.
    if (!isRace) assert.deepEqual(this.#reported, [], 'reported cycles that do not exist')
    this.#reported = []
    this.#atRisk = []
    this.#toBeforeRace = undefined
    for (const { members, until } of this.#standing) {
      const [victim] = members as readonly [Asked]
      // The same members may by now wait for each other through other, less certain edges.
      const isDue = this.#rules.clock.now >= until && this.#mayBeVictim(victim)
      assert.ok(!isDue, `${victim.id} stays in a deadlock`)
    }
    const model = this.#model
    const members = (some: readonly Standing[]): Set<Asked> =>
      new Set(some.flatMap((one) => one.members))
    const known = members(this.#standing)
    const deadlocked = members(this.#standing.filter(({ isDeadlock }) => isDeadlock))
    for (const asked of model.pending) {
      if (!model.isInCycle(asked, 'loose', 'soft')) {
        this.#ages.delete(asked)
        continue
      }
      const isKnown =
        model.waitsForAny(asked, known, 'loose') ||
        (!model.isInCycle(asked, 'loose') && model.waitsForAny(asked, toRearrange, 'loose'))
      assert.ok(isKnown, `${asked.id} waits for itself, unreported`)
      const age = this.#ages.get(asked) ?? { since: this.#rules.clock.now, provedSince: undefined }
      this.#ages.set(asked, age)
      if (!model.isInCycle(asked, 'proved')) age.provedSince = undefined
      else if (!model.waitsForAny(asked, deadlocked, 'proved')) this.#mustBeYoung(asked, age)
    }
  }

  /** Asserts that a proved cycle is not overdue: the next check sees a late proof. */
  #mustBeYoung(asked: Asked, age: Age): void {
    age.provedSince ??= this.#rules.clock.now
    const shortest = Math.max(1, this.#rules.deadlockAfterMs)
    const until = age.provedSince + 2 * (age.provedSince - age.since) + 2 * shortest + 1
    assert.ok(this.#rules.clock.now <= until, `${asked.id} is in a deadlock, unreported`)
  }

  #mustBeVictim(victim: Asked): void {
    const isInCycle = this.#atRisk.includes(victim) || this.#mayBeVictim(victim)
    assert.ok(isInCycle, `${victim.id} is rejected for a deadlock that is not proved`)
    const isProved = this.#model.isInCycle(victim, 'proved')
    count(this.#tally, [victim.form], isProved ? 'victims' : 'likely')
  }

  /** Whether a request may be rejected for a deadlock. */
  #mayBeVictim(asked: Asked): boolean {
    const isLikelyEnough = this.#rules.deadlockVictims === 'likely'
    const model = this.#model
    return model.isInCycle(asked, 'proved') || (isLikelyEnough && model.isInCycle(asked, 'likely'))
  }

  /** Whether a report is a cycle of the model: each member waits for the next. */
  #isTrue({ event, report }: Reported): boolean {
    const members = report.cycle.map(
      ({ waiter }) => this.#model.all[Number(waiter.label) - 1] as Asked,
    )
    const names = report.cycle.map(({ waitsFor }) => `${waitsFor.name}`)
    const isDeadlock = event === 'deadlock'
    const likely = this.#rules.deadlockVictims === 'likely' ? 'likely' : 'proved'
    const edges = !isDeadlock ? 'loose' : report.confidence === 'suspected' ? likely : 'proved'
    if (!this.#isOrWasCycle(members, names, edges)) return false
    const nested = members.filter(({ isNested, holders }) => isNested && holders.length > 0)
    const youngest = nested.reduce((a, b) => (a.id > b.id ? a : b))
    assert.equal(report.victim, report.cycle[0]?.waiter.id)
    assert.equal(members[0], youngest)
    const { deadlockAfterMs } = this.#rules
    const until = isDeadlock ? this.#rules.clock.now + deadlockAfterMs : Number.POSITIVE_INFINITY
    const order = this.nextOrder()
    // A cycle may be reported again: for other guards, or when the knowledge of it has changed.
    const key = `${[...members, ...names]}`
    const isSame = (one: Standing): boolean => `${[...one.members, ...one.names]}` === key
    if (isDeadlock && this.#standing.some((one) => isSame(one) && !one.isDeadlock)) {
      this.#tally.provedLater++
    }
    this.#standing = this.#standing.filter((one) => !isSame(one))
    this.#standing = [...this.#standing, { members, names, isDeadlock, until, order }]
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

  /** Whether such a cycle exists now, or existed when the current race began. */
  #isOrWasCycle(members: readonly Asked[], names: readonly string[], edges: Edges): boolean {
    if (this.#isCycle(members, names, edges)) return true
    if (this.#toBeforeRace === undefined) return false
    const toNow = this.#model.save()
    this.#toBeforeRace()
    const wasCycle = this.#isCycle(members, names, edges)
    toNow()
    return wasCycle
  }

  /** Whether each member waits for the next, for these names. */
  #isCycle(members: readonly Asked[], names: readonly string[], edges: Edges): boolean {
    return members.every((member, i) => {
      const next = members[(i + 1) % members.length] as Asked
      const isPending = member.state === 'pending'
      return isPending && this.#model.waitsBecauseOf(member, names[i] as string, next, edges)
    })
  }
}
