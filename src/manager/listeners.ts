/** What a manager tells: kinds of reports, and who listens to them. */

import type {
  DeadlockReport,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'
import { runtime } from './clock.ts'
import { outside } from './context.ts'

/** The events of a manager, and what each tells. */
export interface LockEvents {
  /** A deadlock, the moment it closes; after `deadlockAfterMs` its victim is rejected. */
  readonly deadlock: DeadlockReport
  /** A wait that may be a deadlock: `isProved` says of which member nobody can tell. Nothing is rejected. */
  readonly suspected: DeadlockReport
  /** Locks were asked for in an order in which a deadlock can happen. */
  readonly possible: PossibleDeadlockReport
  /**
   * A holding lasts longer than its `warnAfterMs`; or a lock is stuck: a request has waited for it longer
   * than its `warnAfterMs` or the manager's `longWaitMs`. One report for each stuck lock, but for those with the
   * same holders and the same oldest waiter.
   */
  readonly slow: SlowReport
  /** A guard was garbage-collected without `release()`: its locks stay held. */
  readonly leaked: LeakedReport
}

/** Those who listen to a manager. */
export class Listeners {
  readonly #listeners = new Map<keyof LockEvents, Set<(report: never) => void>>()

  /** Adds a listener; the answer takes it away again. */
  add<Kind extends keyof LockEvents>(
    kind: Kind,
    listener: (report: LockEvents[Kind]) => void,
  ): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set()
    // Wrapped, so that one function can listen twice and leave once.
    const own = (report: LockEvents[Kind]): void => listener(report)
    listeners.add(own)
    this.#listeners.set(kind, listeners)
    return () => listeners.delete(own)
  }

  /** Tells all listeners, each in a microtask of its own and outside of all holders; false if there is none. */
  tell<Kind extends keyof LockEvents>(kind: Kind, report: LockEvents[Kind]): boolean {
    const listeners = this.#listeners.get(kind)
    if (!listeners || listeners.size === 0) return false
    for (const listener of listeners) {
      // A listener that throws must not break the request at hand.
      // A fake clock's own would wait for the test to go on.
      runtime.queueMicrotask(() =>
        outside(() => (listener as (report: LockEvents[Kind]) => void)(report)),
      )
    }
    return true
  }
}
