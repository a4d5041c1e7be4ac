/** The listeners to a manager's reports. */

import type {
  DeadlockReport,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'
import { runtime } from './clock.ts'
import { outside } from './context.ts'

/** The events of a manager, each with its report. */
export interface LockEvents {
  /** A deadlock, as soon as it closes. After `deadlockAfterMs` its victim is rejected. */
  readonly deadlock: DeadlockReport
  /** A wait that may be a deadlock: `isProved` is false for the uncertain members. Nothing is rejected. */
  readonly suspected: DeadlockReport
  /** Locks were requested in an order in which a deadlock can happen. */
  readonly possible: PossibleDeadlockReport
  /**
   * A holding lasts longer than its `warnAfterMs`; or a lock is stuck: a request has waited for it longer
   * than its `warnAfterMs` or the manager's `longWaitMs`. There is one report for each stuck lock; locks with
   * the same holders and the same oldest waiter share one.
   */
  readonly slow: SlowReport
  /** A guard was garbage-collected without `release()`: its locks stay held. */
  readonly leaked: LeakedReport
}

/** The listeners to one manager. */
export class Listeners {
  readonly #listeners = new Map<keyof LockEvents, Set<(report: never) => void>>()

  /** Adds a listener. Returns a function that removes it. */
  add<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set()
    // Wrapped, so that one function can be added twice and removed once.
    const own = (report: LockEvents[Kind]): void => listener(report)
    listeners.add(own)
    this.#listeners.set(kind, listeners)
    return () => listeners.delete(own)
  }

  /**
   * Calls all listeners, each in its own microtask and outside of all holders. Returns false if there is
   * none.
   */
  report<Kind extends keyof LockEvents>(kind: Kind, report: LockEvents[Kind]): boolean {
    const listeners = this.#listeners.get(kind)
    if (!listeners || listeners.size === 0) return false
    for (const listener of listeners) {
      // A listener that throws must not break the current request. The microtasks of a fake clock would wait
      // until the test advances it.
      runtime.queueMicrotask(() =>
        outside(() => (listener as (report: LockEvents[Kind]) => void)(report)),
      )
    }
    return true
  }
}
