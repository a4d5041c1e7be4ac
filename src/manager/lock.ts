/** The first parameter of a callback: the lock, as in Web Locks. */

import { lockList } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import type { LockMode } from '../core/modes.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { shapeAsIdl } from './idl.ts'
import { type Losable, lostSignalOf } from './lost-signal.ts'
import { webTypeError } from './web-errors.ts'

/** The holding of a lock. */
interface Holding extends Losable {
  readonly plan: Plan
}

/** A held lock, or several that are held together. */
export class Lock {
  readonly #holding: Holding

  /** @internal */
  constructor(holding: Holding = refuse()) {
    this.#holding = holding
  }

  /** The name of the lock; of several, the first in plan order. */
  get name(): string {
    return this.#holding.plan.name
  }

  /** The mode of the lock called {@link name}. */
  get mode(): LockMode {
    return this.#holding.plan.mode
  }

  /** All names, each once, in plan order. */
  get names(): readonly string[] {
    return namesIn(this.#holding.plan)
  }

  /** Whether the locks are still held: the callback has not ended, and they were not stolen. */
  get held(): boolean {
    return this.#holding.state === 'holding'
  }

  /**
   * Aborts when the locks are stolen, with the `AbortError` that the request rejects with. Pass it to code
   * that must not continue without the locks. It does not abort when the holding ends. Cost: an
   * AbortController on the first read.
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
