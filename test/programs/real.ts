/** The real side of a request: its promise, and the code of its callback. */

import {
  DeadlockError,
  Guard,
  type LockManager,
  LockNotAvailableError,
  LockTimeoutError,
  type Scope,
} from '../../src/index.ts'
import type { Demand, Outcome } from './asked.ts'
import { live, Mailbox, Thrown } from './holder.ts'

/** A request that was made. */
export class Real {
  readonly promise: Promise<unknown>
  readonly controller: AbortController = new AbortController()
  /** Commands for its callback, and for a branch that the callback does not await. */
  readonly main: Mailbox = new Mailbox()
  readonly #side = new Mailbox()
  scope: Scope | undefined
  guard: Guard | undefined
  hasBegun = false
  outcome: Outcome | undefined
  #isRecorded = false

  constructor(on: LockManager | Scope, demand: Demand, label: string) {
    const { how } = demand
    const { signal } = this.controller
    const names = [...demand.locks].map(([name, mode]) => ({ name, mode }))
    const options = {
      label,
      ...(how === 'plain' && { signal }),
      ...(how === 'steal' && { steal: true }),
      ...(how === 'ifAvailable' && { ifAvailable: true }),
      ...(how === 'detached' && { detached: true, signal }),
      timeoutMs: demand.timeoutMs,
    }
    if (demand.onHold === 'guard') {
      this.promise = on.acquire(names, options)
      return
    }
    this.promise = on.request(names, options, (lock, scope) => {
      if (lock !== null) {
        this.hasBegun = true
        this.scope = scope
      }
      if (demand.onHold === 'throw') throw new Thrown()
      if (lock === null) return null
      return demand.onHold === 'return' ? undefined : live(this.main, this.#side)
    })
  }

  /** Runs code in the callback, or in its branch. */
  command(isSide: boolean, run: () => unknown): void {
    if (isSide) this.#side.put({ do: 'run', run })
    else this.main.put({ do: 'run', run })
  }

  /** Ends its callback by the next command, or releases its guard. */
  finish(how: 'value' | 'thrown'): void {
    this.main.put({ do: 'end', how })
    if (this.guard?.held) this.outcome = 'value'
    this.guard?.release()
  }

  /** Ends the callback or guard, and the branch. */
  finishAll(): void {
    this.finish('value')
    this.#side.put({ do: 'end', how: 'value' })
  }

  /**
   * Records how the promise was settled. Call it only after it has settled: another reaction to a pending
   * promise would change what can be proved about it.
   */
  record(): void {
    if (this.#isRecorded) return
    this.#isRecorded = true
    this.promise.then(
      (value) => {
        if (value instanceof Guard && this.scope === undefined) {
          this.guard = value
          this.hasBegun = true
        } else this.outcome = value === null ? 'null' : 'value'
      },
      (error: unknown) => {
        this.outcome = outcomeOf(error)
      },
    )
  }

  /** A guard that holds no longer, and was not released, was stolen. */
  get outcomeSeen(): Outcome | undefined {
    return this.guard && !this.guard.held ? (this.outcome ?? 'stolen') : this.outcome
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof LockNotAvailableError) return 'null'
  if (error instanceof Thrown) return 'thrown'
  if (error instanceof LockTimeoutError) return 'timeout'
  if (error instanceof DeadlockError) return 'deadlock'
  if (error instanceof DOMException && error.name === 'AbortError') {
    return error.message.includes('stolen') ? 'stolen' : 'aborted'
  }
  throw error
}
