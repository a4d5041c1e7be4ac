/**
 * Turns a call into a request for the engine: checks and converts the arguments, finds the holder in whose
 * code the call was made, and enforces the declared order. LockManager and Scope are its two public
 * interfaces.
 */

import type { Backend } from '../backends/backend.ts'
import type { DeclaredOrder } from '../core/declared-order.ts'
import { type Caller, LockUsageError } from '../core/errors.ts'
import { labelText, quoted } from '../core/format.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import type { LockManagerSnapshot } from '../core/snapshot.ts'
import {
  mustBeNoCallback,
  mustBePossible,
  type Options,
  toCallback,
  toOptions,
} from './arguments.ts'
import { type Context, isCarried } from './context.ts'
import { Engine } from './engine.ts'
import type { Guard } from './guard.ts'
import type { CheckedOptions } from './manager-options.ts'
import { holderInScope } from './nesting.ts'
import { overview } from './overview.ts'
import { againstOrder } from './refusals.ts'
import type { Request } from './request.ts'
import type { ScopeCalls } from './scope.ts'
import { Owners } from './task-owners.ts'
import { locksOf } from './wait-graph.ts'
import { type Compare, toNames, toPlan } from './wanted.ts'

/** Makes the requests of one manager. */
export class Requester implements ScopeCalls {
  readonly #options: CheckedOptions
  readonly #backend: Backend<Request>
  readonly #compare: Compare
  readonly #order: DeclaredOrder | undefined
  readonly #owners: Owners
  readonly #context: Context<Request>
  readonly engine: Engine

  constructor(options: CheckedOptions) {
    this.#options = options
    this.#backend = options.backend
    this.#compare = options.compare
    this.#order = options.order
    this.engine = new Engine(options, this)
    this.#context = this.engine.context
    this.#owners = new Owners(this.engine.context, isCarried)
  }

  /** The holder in whose callback the running code is, as far as the runtime knows. */
  get holder(): Request | undefined {
    return this.#context.current
  }

  /** `rest` is empty where there are no options. */
  request(
    names: unknown,
    second: unknown,
    rest: readonly unknown[],
    holder: Request | undefined,
    caller: Caller,
  ): Promise<unknown> {
    try {
      // The order matters: each call can throw, or run the caller's code.
      const wanted = toNames(names, 'request')
      const options = toOptions(rest.length === 0 ? undefined : second, 'request', names)
      const callback = toCallback(rest.length === 0 ? second : rest[0])
      const plan = toPlan(wanted, options.mode, this.#compare, this.#backend)
      const inside = options.owner ? this.#holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      return this.engine.request(plan, options, callback, inside, caller)
    } catch (error) {
      return Promise.reject(fromCaller(error, caller))
    }
  }

  acquire(
    names: unknown,
    given: unknown,
    third: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Promise<Guard> {
    try {
      // Repeated here and below: a shared function would return an object, which costs 4 % of an acquire().
      const wanted = toNames(names, 'acquire')
      const options = toOptions(given, 'acquire', names)
      if (third !== undefined) mustBeNoCallback(third, 'acquire')
      const plan = toPlan(wanted, options.mode, this.#compare, this.#backend)
      const inside = options.owner ? this.#holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      return this.engine.request(plan, options, undefined, inside, caller) as Promise<Guard>
    } catch (error) {
      return Promise.reject(fromCaller(error, caller))
    }
  }

  tryAcquire(
    names: unknown,
    given: unknown,
    third: unknown,
    holder: Request | undefined,
    caller: Caller,
  ): Guard | undefined {
    try {
      // The same as in acquire().
      const wanted = toNames(names, 'tryAcquire')
      const options = toOptions(given, 'tryAcquire', names)
      if (third !== undefined) mustBeNoCallback(third, 'tryAcquire')
      const plan = toPlan(wanted, options.mode, this.#compare, this.#backend)
      if (!this.engine.isImmediate) throw notImmediate()
      const inside = options.owner ? this.#holderOfOwner(options, holder) : holder
      this.#mustBeAllowed(plan, options, inside, caller)
      return this.engine.tryAcquire(plan, options, inside, caller)
    } catch (error) {
      throw fromCaller(error, caller)
    }
  }

  requestInScope(
    [names, second, ...rest]: readonly unknown[],
    scope: unknown,
    caller: Caller,
  ): Promise<unknown> {
    return this.request(names, second, rest, this.#inScope(scope), caller)
  }

  acquireInScope(
    [names, options, third]: readonly unknown[],
    scope: unknown,
    caller: Caller,
  ): Promise<Guard> {
    return this.acquire(names, options, third, this.#inScope(scope), caller)
  }

  tryAcquireInScope(
    [names, options, third]: readonly unknown[],
    scope: unknown,
    caller: Caller,
  ): Guard | undefined {
    return this.tryAcquire(names, options, third, this.#inScope(scope), caller)
  }

  #inScope(scope: unknown): Request | undefined {
    return holderInScope(scope as Request | undefined, this.holder)
  }

  async query(): Promise<LockManagerSnapshot> {
    this.engine.admission.giveUpAborted()
    return this.#backend.query()
  }

  /** See `LockManager.close()`. */
  async close(caller: Caller): Promise<void> {
    await this.engine.late?.released()
    for (const { name, newest } of this.#backend.locks()) {
      if (newest === undefined) continue
      const does = newest.state === 'waiting' ? 'waits for' : 'holds'
      throw new LockUsageError(
        `close: ${labelText(newest.label)} still ${does} ${quoted(name)}; release all locks first`,
        caller,
      )
    }
    if (this.engine.late?.isAny) {
      throw new LockUsageError(
        'close: the backend has not answered a request yet; await that request first',
        caller,
      )
    }
    await this.#backend.close()
  }

  /** The manager in one line. */
  overview(): string {
    return overview(this.#backend)
  }

  /**
   * The holder for a request with an owner; `undefined` without one. `around`: the holder in whose code the
   * request is made, if there is one.
   */
  #holderOfOwner({ owner, label }: Options, around: Request | undefined): Request | undefined {
    return owner && this.#owners.holderOf(owner, label, around)
  }

  /** Refuses impossible options and violations of the declared order before the request enters a queue. */
  #mustBeAllowed(plan: Plan, options: Options, holder: Request | undefined, caller: Caller): void {
    mustBePossible(plan, options, this.#backend.supports)
    if (this.#order) this.#mustFollow(this.#order, plan, options, holder, caller)
  }

  /** Refuses names of no declared class, and names that must be taken before or with the locks held. */
  #mustFollow(
    order: DeclaredOrder,
    plan: Plan,
    options: Options,
    holder: Request | undefined,
    caller: Caller,
  ): void {
    const wanted = namesIn(plan)
    const ranks = wanted.map((name) => order.rankOf(name))
    if (holder === undefined || options.detached) return
    // A plan follows the declared order, so its first name has the lowest rank.
    const [lowest = 0] = ranks
    for (const held of locksOf(holder)) {
      if (lowest > order.rankOf(held.name)) continue
      const { callSites } = this.#options
      throw againstOrder(order, wanted[0] ?? '', held, callSites, options.owner, caller)
    }
  }
}

function notImmediate(): LockUsageError {
  return new LockUsageError(
    'tryAcquire: this backend cannot answer at once: use acquire(names, { ifAvailable: true })',
  )
}

/** Makes the stack of a usage error begin at the caller, where the mistake is. */
function fromCaller(error: unknown, caller: Caller): unknown {
  try {
    if (!Error.captureStackTrace) return error
    // This includes the TypeErrors of Web Locks that this library makes.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'LOCK_USAGE') return error
    const { stack = '' } = error
    Error.captureStackTrace(error, caller)
    // JavaScriptCore makes tail calls: it may no longer have `caller` on the stack, and then finds no calls.
    if (!String(error.stack).includes('\n')) error.stack = stack
  } catch {
    // `Error.prepareStackTrace` belongs to the program, and may throw.
  }
  return error
}
