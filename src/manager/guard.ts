/// <reference lib="esnext.disposable" preserve="true" />

/** A guard: what stands for a holding outside of a callback. */

import { lockList } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import type { LockMode } from '../core/modes.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { type Losable, lostSignalOf } from './lost.ts'
import { webTypeError } from './web-type-error.ts'

/** The holding that a guard stands for. */
export interface Holding extends Losable {
  readonly plan: Plan
}

/** What ends holdings. */
interface Ender<Held extends Holding> {
  end(holding: Held): void
  /** The label of a holding, since when it holds, and where it was asked for. */
  describe(holding: Held): string
}

/** The holding that a guard stands for, for this library's own files. */
export let holdingOf: (guard: Guard) => Holding

/**
 * A holding that ends with `release()`, or at the end of a block with `using` or `await using`. A
 * single-use token: releasing it twice, or after its locks were stolen, changes nothing.
 */
export class Guard implements Disposable, AsyncDisposable {
  readonly #holding: Holding
  readonly #ender: Ender<Holding>

  /** @internal */
  constructor(holding: Holding = refuse(), ender?: Ender<never>) {
    this.#holding = holding
    this.#ender = ender as Ender<Holding>
  }

  /** All names, each once, in their order. */
  get names(): readonly string[] {
    return namesIn(this.#holding.plan)
  }

  /** The first of the names. */
  get name(): string {
    return this.#holding.plan.name
  }

  /** The mode of the lock called {@link name}. */
  get mode(): LockMode {
    return this.#holding.plan.mode
  }

  /** Whether the locks are still held: not released, and not stolen. */
  get held(): boolean {
    return this.#holding.state === 'holding'
  }

  /**
   * Aborts when the locks are stolen, with an `AbortError` whose `cause` is a LockLostError. It does not
   * abort when the guard is released. Cost: made when it is first read.
   */
  get signal(): AbortSignal {
    return lostSignalOf(this.#holding)
  }

  /** Ends the holding. */
  release(): void {
    this.#ender.end(this.#holding)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release()
  }

  static {
    holdingOf = (guard) => guard.#holding
    inspectAs(Guard.prototype, 'Guard', (guard) => {
      const { plan, failure } = guard.#holding
      const ended = failure ? 'stolen' : 'released'
      const state = guard.held ? `held by ${guard.#ender.describe(guard.#holding)}` : ended
      return `${lockList(plan)}, ${state}`
    })
  }
}

function refuse(): never {
  throw webTypeError('Illegal constructor: only acquire() and tryAcquire() make a Guard')
}
