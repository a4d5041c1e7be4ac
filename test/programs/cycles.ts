/** The cycles of a program: what the model expects, what the manager reports, and the victims. */

import assert from 'node:assert/strict'
import type { DeadlockReport } from '../../src/index.ts'
import type { Asked } from './asked.ts'
import type { Edges } from './graph.ts'
import type { Model } from './model.ts'
import { count, type Tally } from './tally.ts'

/** A cycle that was reported and stands, its victim first. */
interface Standing {
  readonly members: readonly Asked[]
  readonly names: readonly string[]
  readonly isSuspected: boolean
  /** When its victim is to be rejected at the latest. */
  readonly until: number
}

/** What the manager believes before it rejects a request, and before it moves requests at once. */
export interface Rules {
  readonly rejects: Edges
  readonly moves: Edges
}

/** The cycles of one program. */
export class Cycles {
  readonly #model: Model
  readonly #rules: Rules
  readonly #tally: Tally
  readonly #deadlockAfterMs: number
  /** Whether a request's promise was rejected for a deadlock. */
  readonly #isRejected: (asked: Asked) => boolean
  now = 0
  /** Not yet found in the model. */
  #reports: DeadlockReport[] = []
  #standing: Standing[] = []
  readonly #victims = new Set<Asked>()
  /** Requests that a race keeps from a deadlock, perhaps after their rejection. */
  #atRisk: readonly Asked[] = []
  /** Those whose promises, awaited, have closed cycles. */
  readonly #closers = new Set<Asked>()

  constructor(
    model: Model,
    rules: Rules,
    deadlockAfterMs: number,
    tally: Tally,
    isRejected: (asked: Asked) => boolean,
  ) {
    this.#model = model
    this.#rules = rules
    this.#deadlockAfterMs = deadlockAfterMs
    this.#tally = tally
    this.#isRejected = isRejected
  }

  /** The manager has reported a cycle. */
  report(report: DeadlockReport): void {
    this.#reports.push(report)
  }

  /** A holder ends while time passes: either may be first. */
  beginRace(): void {
    const { pending } = this.#model
    this.#atRisk = pending.filter((asked) => this.#model.isInCycle(asked, this.#rules.rejects))
  }

  /** Somebody has subscribed to a request, or there is a new reason to look at it. */
  check(asked: Asked): void {
    const model = this.#model
    if (!model.isWaitedFor(asked)) return
    if (model.closesCycle(asked, this.#rules.rejects) || model.closesCycle(asked, 'loose')) {
      this.#closers.add(asked)
    } else model.rearrange(asked, this.#rules.moves)
  }

  /** Guards that are out wait for what their context awaits: that closes cycles, or moves requests. */
  checkGuards(): void {
    const model = this.#model
    while (model.newGuards.length > 0) {
      const guards = model.newGuards.splice(0)
      for (const guard of guards) guard.isOut = true
      const codes = guards.map(({ isGuard, code }) => (isGuard ? code : undefined))
      for (const nested of model.alive) {
        if (model.isWaitedFor(nested) && codes.includes(nested.parent)) this.check(nested)
      }
    }
  }

  /** Ends the victims of deadlocks in the model too. Returns whether there were any. */
  rejectVictims(): boolean {
    const model = this.#model
    this.#reports = this.#reports.filter((report) => !this.#isTrue(report))
    const victims = model.pending.filter(
      (asked) => this.#victims.has(asked) && this.#isRejected(asked),
    )
    for (const asked of victims) {
      const isInCycle = this.#atRisk.includes(asked) || model.isInCycle(asked, this.#rules.rejects)
      assert.ok(isInCycle, `${asked.id} is rejected for a deadlock that is not proved`)
      count(this.#tally, [asked.form], 'victims')
    }
    for (const asked of victims) model.leave(asked, 'deadlock')
    return victims.length > 0
  }

  /** Looks at what open cycles and late victims leave. Returns whether anything may have moved. */
  openCycles(): boolean {
    const isOpen = ({ members, names }: Standing): boolean =>
      !this.#isCycle(members, names, 'loose')
    for (const standing of this.#standing) {
      const [victim] = standing.members as readonly [Asked]
      // The same members may have come to wait for each other through other, less certain edges.
      const isDue = this.now >= standing.until && this.#model.isInCycle(victim, this.#rules.rejects)
      assert.ok(!isDue || isOpen(standing), `${victim.id} stays in a deadlock`)
    }
    this.#standing = this.#standing.filter((standing) => !isOpen(standing))
    const closes = (asked: Asked): boolean => this.#model.closesCycle(asked, 'loose')
    const free = this.#model.alive.filter((asked) => this.#closers.has(asked) && !closes(asked))
    for (const asked of free) {
      // One of them can close a cycle again, through one that another of them has moved.
      if (closes(asked)) continue
      this.#closers.delete(asked)
      this.check(asked)
    }
    return free.length > 0
  }

  /** Every cycle of the model must have been reported. */
  mustBeKnown(isRace: boolean): void {
    // In a race a cycle may have been there for a moment only.
    if (!isRace) assert.deepEqual(this.#reports, [], 'reported cycles that do not exist')
    this.#reports = []
    this.#atRisk = []
    const model = this.#model
    const known = new Set(this.#standing.flatMap(({ members }) => members))
    for (const asked of model.pending) {
      if (!model.isInCycle(asked, 'loose', 'soft')) continue
      const isKnown = model.waitsForAny(asked, known, 'loose')
      assert.ok(isKnown, `${asked.id} waits for itself, unreported`)
    }
  }

  /** Whether a report is a cycle of the model: each member waits for the next. */
  #isTrue(report: DeadlockReport): boolean {
    const members = report.cycle.map(({ label }) => this.#model.all[Number(label) - 1] as Asked)
    const names = report.cycle.map(({ waitsFor }) => `${waitsFor}`)
    const isSuspected = report.suspected === true
    const edges = isSuspected ? 'loose' : this.#rules.rejects
    if (!this.#isCycle(members, names, edges)) return false
    const nested = members.filter(({ isNested, holders }) => isNested && holders.length > 0)
    const youngest = nested.reduce((a, b) => (a.id > b.id ? a : b))
    assert.equal(report.victim, report.cycle[0]?.thread)
    assert.equal(members[0], youngest)
    const until = isSuspected ? Number.POSITIVE_INFINITY : this.now + this.#deadlockAfterMs
    // The same may be reported again: for other guards, or when what is known of it has changed.
    const key = `${[...members, ...names]}`
    const isSame = (one: Standing): boolean => `${[...one.members, ...one.names]}` === key
    if (!isSuspected && this.#standing.some((one) => isSame(one) && one.isSuspected)) {
      this.#tally.provedLater++
    }
    this.#standing = this.#standing.filter((one) => !isSame(one))
    this.#standing.push({ members, names, isSuspected, until })
    if (!isSuspected) this.#victims.add(youngest)
    this.#tally[isSuspected ? 'suspected' : 'deadlocks']++
    const forms = nested.map(({ form }) => form)
    count(this.#tally, forms, isSuspected ? 'suspected' : 'proved')
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
