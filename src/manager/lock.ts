/** What a callback gets: the lock, as in Web Locks, and the scope for nested requests. */

import { inspectAs } from '../core/inspect.ts'
import { lockList } from '../core/listed.ts'
import type { LockMode } from '../core/modes.ts'
import { namesIn, type Plan } from '../core/plan.ts'

/** A lock that is held, or several held as one. */
export class Lock {
  readonly #plan: Plan

  /** @internal */
  constructor(plan: Plan) {
    this.#plan = plan
  }

  /** The name of the lock; of several, the first one in their order. */
  get name(): string {
    return this.#plan.name
  }

  /** The mode of the lock called {@link name}. */
  get mode(): LockMode {
    return this.#plan.mode
  }

  /** All names, each once, in their order. */
  get names(): readonly string[] {
    return namesIn(this.#plan)
  }

  get [Symbol.toStringTag](): string {
    return 'Lock'
  }

  static {
    inspectAs(Lock.prototype, 'Lock', (lock) => lockList(lock.#plan))
  }
}
