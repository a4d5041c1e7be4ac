/** What a callback gets: the lock, as in Web Locks, and the scope for nested requests. */

import { lockList } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import type { LockMode } from '../core/modes.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { shapeAsIdl } from './idl.ts'
import { type Losable, lostSignalOf } from './lost-signal.ts'
import { webTypeError } from './web-errors.ts'

/** The holding that a lock stands for. */
interface Holding extends Losable {
  readonly plan: Plan
}

/** A lock that is held, or several held as one. */
export class Lock {
  readonly #holding: Holding

  /** @internal */
  constructor(holding: Holding = refuse()) {
    this.#holding = holding
  }

  /** The name of the lock; of several, the first one in their order. */
  get name(): string {
    return this.#holding.plan.name
  }

  /** The mode of the lock called {@link name}. */
  get mode(): LockMode {
    return this.#holding.plan.mode
  }

  /** All names, each once, in their order. */
  get names(): readonly string[] {
    return namesIn(this.#holding.plan)
  }

  /** Whether the locks are still held: the callback has not ended, and they were not stolen. */
  get held(): boolean {
    return this.#holding.state === 'holding'
  }

  /**
   * Aborts when the locks are stolen, with the `AbortError` that the request rejects with: pass it on to
   * what must not go on without them. It does not abort when the holding ends. Cost: made when it is
   * first read.
   */
  get signal(): AbortSignal {
    return lostSignalOf(this.#holding)
  }

  declare readonly [Symbol.toStringTag]: 'Lock'

  static {
    inspectAs(Lock.prototype, 'Lock', (lock) => lockList(lock.#holding.plan))
  }
}

function refuse(): never {
  throw webTypeError('Illegal constructor: only a request makes a Lock')
}

shapeAsIdl(Lock, 'Lock', ['name', 'mode', 'names', 'held', 'signal'])
