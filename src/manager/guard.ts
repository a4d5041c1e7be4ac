/// <reference lib="esnext.disposable" preserve="true" />

/** A guard: represents a holding outside of a callback. */

import { duration, labelText, lockList } from '../core/format.ts'
import { inspectAs } from '../core/inspect.ts'
import type { LockMode } from '../core/modes.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { siteText } from '../core/report-text.ts'
import { now } from './clock.ts'
import { type Losable, lostSignalOf } from './lost-signal.ts'
import { webTypeError } from './web-errors.ts'

/** The holding of a guard. */
export interface Holding extends Losable {
  readonly plan: Plan
  readonly label: string
  readonly since: number
  readonly callSite: string | undefined
}

/** The members of the engine that end holdings. */
interface Ender<Held extends Holding> {
  end(holding: Held): void | Promise<void>
  /** The release of a holding that has ended, if it is not finished. */
  releaseOf(holding: Held): Promise<void> | undefined
}

/** Returns the holding of a guard, for this library's own files. */
export let holdingOf: (guard: Guard) => Holding

/**
 * A holding that ends with `release()`, or at the end of a block with `using` or `await using`. Releasing it
 * twice, or after its locks were stolen, has no effect.
 */
export class Guard implements Disposable, AsyncDisposable {
  readonly #holding: Holding
  readonly #ender: Ender<Holding>

  /** @internal */
  constructor(holding: Holding = refuse(), ender?: Ender<never>) {
    this.#holding = holding
    this.#ender = ender as Ender<Holding>
  }

  /** All names, each once, in plan order. */
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
   * abort when the guard is released. Cost: an AbortController on the first read.
   */
  get signal(): AbortSignal {
    return lostSignalOf(this.#holding)
  }

  /** Ends the holding. */
  release(): void {
    void this.#ender.end(this.#holding)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** Ends the holding, and waits until its locks are free. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#ender.end(this.#holding) ?? this.#ender.releaseOf(this.#holding))
  }

  static {
    holdingOf = (guard) => guard.#holding
    inspectAs(Guard.prototype, 'Guard', (guard) => {
      const { plan, failure, label, since, callSite } = guard.#holding
      const ended = failure ? 'stolen' : 'released'
      const site = siteText(callSite === undefined ? {} : { callSite })
      const how = `held by ${labelText(label)} for ${duration(now() - since)}${site}`
      const state = guard.held ? how : ended
      return `${lockList(plan)}, ${state}`
    })
  }
}

function refuse(): never {
  throw webTypeError('Illegal constructor: only acquire() and tryAcquire() make a Guard')
}
