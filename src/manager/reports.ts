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
    if (this.#hasVictims) this.listeners.tell('deadlock', report)
    else this.#tellOrWarn('deadlock', report)
  }

  suspected(report: DeadlockReport): void {
    if (this.listeners.tell('suspected', report)) return
    warn(report, this.#suspected.suspected(report))
  }

  possible(report: PossibleDeadlockReport): void {
    this.#tellOrWarn('possible', report)
  }

  slow(report: SlowReport): void {
    if (this.listeners.tell('slow', report)) return
    warn(report, report.state === 'holding' ? this.#slow.holding(report) : 1)
  }

  leaked(report: LeakedReport): void {
    if (this.listeners.tell('leaked', report)) return
    warn(report, this.#leaked.holding(report))
  }

  #tellOrWarn<Kind extends 'deadlock' | 'possible'>(kind: Kind, report: LockEvents[Kind]): void {
    if (!this.listeners.tell(kind, report)) warn(report)
  }
}
