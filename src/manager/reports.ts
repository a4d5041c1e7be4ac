/** Passes a manager's reports to its listeners; writes the others as warnings. */

import type {
  DeadlockReport,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'
import { Listeners, type LockEvents } from './listeners.ts'
import { SeldomWarned } from './seldom.ts'
import { warn } from './warn.ts'

/** The kinds of reports. */
export const KINDS: readonly (keyof LockEvents)[] = [
  'deadlock',
  'suspected',
  'possible',
  'slow',
  'leaked',
]

/** The reports of one manager. */
export class Reports {
  readonly listeners: Listeners = new Listeners()
  readonly #suspected = new SeldomWarned()
  readonly #slow = new SeldomWarned()
  readonly #leaked = new SeldomWarned()
  readonly #hasVictims: boolean

  /** `hasVictims`: whether a deadlock is already reported by the rejection of its victim. */
  constructor(hasVictims: boolean) {
    this.#hasVictims = hasVictims
  }

  deadlock(report: DeadlockReport): void {
    if (this.#hasVictims) this.listeners.report('deadlock', report)
    else this.#reportOrWarn('deadlock', report)
  }

  suspected(report: DeadlockReport): void {
    if (this.listeners.report('suspected', report)) return
    warn(report, this.#suspected.suspected(report))
  }

  possible(report: PossibleDeadlockReport): void {
    this.#reportOrWarn('possible', report)
  }

  slow(report: SlowReport): void {
    if (this.listeners.report('slow', report)) return
    warn(report, report.state === 'holding' ? this.#slow.holding(report) : 1)
  }

  leaked(report: LeakedReport): void {
    if (this.listeners.report('leaked', report)) return
    warn(report, this.#leaked.holding(report))
  }

  #reportOrWarn<Kind extends 'deadlock' | 'possible'>(kind: Kind, report: LockEvents[Kind]): void {
    if (!this.listeners.report(kind, report)) warn(report)
  }
}
