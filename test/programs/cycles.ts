/** Handles cycles in the model as the manager does: moves requests, and ends victims. */

import type { Asked } from './asked.ts'
import type { Edges } from './graph.ts'
import type { Model } from './model.ts'
import type { Reports, Rules } from './reports.ts'

/** A scheduled check of a request, which will rearrange queues along unproved edges. */
interface Look {
  readonly due: number
  /** Its number among all timers. */
  readonly order: number
}

/** The order in which timers that are due together run. */
export type TimerOrder = 'as set' | 'victims first' | 'looks first'

/** The cycles of one program. */
export class Cycles {
  readonly #model: Model
  readonly #rules: Rules
  readonly #reports: Reports
  /** Requests whose awaited promises have closed cycles. */
  readonly #closers = new Set<Asked>()
  /** Requests whose queues were rearranged since the last check. */
  readonly #moved = new Set<Asked>()
  /** Requests to check again after the turn. */
  readonly #afterTurn = new Set<Asked>()
  /** Requests whose queues are to be rearranged along unproved edges, and when. */
  readonly #toRearrange = new Map<Asked, Look>()

  constructor(model: Model, rules: Rules, reports: Reports) {
    this.#model = model
    this.#rules = rules
    this.#reports = reports
  }

  /** Returns a function that undoes all later changes. */
  save(): () => void {
    const restoreReports = this.#reports.save()
    const changing = [this.#closers, this.#moved, this.#afterTurn]
    const sets = changing.map((set) => [set, [...set]] as const)
    const toRearrange = [...this.#toRearrange]
    return () => {
      restoreReports()
      for (const [set, values] of sets) {
        set.clear()
        for (const value of values) set.add(value)
      }
      this.#toRearrange.clear()
      for (const [asked, look] of toRearrange) this.#toRearrange.set(asked, look)
    }
  }

  /** Checks a request that has a new subscriber, or that there is another reason to check. */
  check(asked: Asked, isLate = false): void {
    const model = this.#model
    if (!model.closesCycle(asked, 'loose', 'soft')) return
    if (model.isStuck(asked)) {
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

  /**
   * Ends a turn: every cycle must be known. Cycles that only queues close are opened after `deadlockAfterMs`.
   */
  endTurn(isRace: boolean): void {
    const model = this.#model
    for (const asked of [...this.#afterTurn].sort((a, b) => a.id - b.id)) {
      if (this.#toRearrange.has(asked) || model.isStuck(asked)) continue
      if (!model.closesCycle(asked, 'loose', 'soft')) continue
      const due = this.#rules.clock.now + this.#rules.deadlockAfterMs
      this.#toRearrange.set(asked, { due, order: this.#reports.nextOrder() })
    }
    this.#afterTurn.clear()
    this.#reports.mustBeKnown(isRace, new Set(this.#toRearrange.keys()))
  }

  /** Runs the timers of one turn: they check requests, and reject victims. */
  runTimers(order: TimerOrder): void {
    const reports = this.#reports
    const { victims } = reports
    const due = [...this.#toRearrange].filter(([, look]) => look.due <= this.#rules.clock.now)
    if (order === 'victims first') reports.rejectVictims(victims)
    for (const [asked, look] of due) {
      const isBefore = (one: { readonly order: number }): boolean => one.order < look.order
      if (order === 'as set') {
        reports.rejectVictims(reports.victims.filter(isBefore))
        this.#model.begin()
        this.checkGuards()
      }
      this.#toRearrange.delete(asked)
      this.check(asked, true)
      reports.read()
    }
    reports.rejectVictims(reports.victims)
  }

  /** Lets new guards wait for what their context awaits. That closes cycles, or moves requests. */
  checkGuards(): void {
    const model = this.#model
    for (const asked of model.handedOn.splice(0)) this.check(asked)
    while (model.newGuards.length > 0) {
      const guards = model.newGuards.splice(0)
      for (const guard of guards) guard.bringOut()
      const codes = guards.filter((guard) => model.isInTheWay(guard)).map(({ code }) => code)
      for (const nested of model.alive) {
        if (model.isWaitedFor(nested) && codes.includes(nested.parent)) this.check(nested)
      }
    }
  }

  /** Checks what open cycles leave behind. Returns whether anything may have moved. */
  openCycles(): boolean {
    this.#reports.forgetOpen()
    const closes = (asked: Asked): boolean => this.#model.isStuck(asked)
    const free = this.#model.alive.filter((asked) => this.#closers.has(asked) && !closes(asked))
    const moved = [...this.#moved]
    this.#moved.clear()
    for (const asked of moved) this.check(asked)
    for (const asked of free) {
      // It can close a cycle again, through a request that another one of them has moved.
      if (closes(asked)) continue
      this.#closers.delete(asked)
      this.check(asked)
    }
    return free.length + moved.length > 0
  }

  #rearrange(asked: Asked, edges: Edges): void {
    // Requests that were moved may close cycles that are less certain.
    for (const moved of this.#model.rearrange(asked, edges)) this.#moved.add(moved)
  }
}
