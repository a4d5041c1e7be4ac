/**
 * One request, from the call to its end.
 *
 * | state     | means                                                     | next                    |
 * | --------- | --------------------------------------------------------- | ----------------------- |
 * | `outside` | no backend has it: it was just made, or refused           | waiting, granted, ended |
 * | `waiting` | the backend has it and has not granted all its locks      | granted, outside, ended |
 * | `granted` | has all its locks; its callback has not begun             | holding, ended          |
 * | `holding` | its callback runs, or its guard is not released           | ended                   |
 * | `ended`   | in no queue: done, given up, or its locks were stolen     |                         |
 *
 * Only `Engine.end()` moves a request to `ended`; nesting.ts ends the holders of owners. The promise is
 * settled separately.
 */

import { type BackendRequest, type Loss, OUTSIDE, type PlanNode } from '../backends/backend.ts'
import { innermost } from '../core/call-site.ts'
import type { LockEventKind, Observer } from '../core/events.ts'
import type { Callback, Options } from './arguments.ts'
import { coarseNow, latestOf } from './clock.ts'
import type { Carried } from './context.ts'
import type { Details } from './details.ts'
import type { Guard } from './guard.ts'
import { linesOf } from './kept-stack.ts'
import type { Failure } from './lost-signal.ts'

/** See the table above. */
export type State = 'outside' | 'waiting' | 'granted' | 'holding' | 'ended'

/** The part of a manager that handles what the backend reports about a request. */
export interface RequestHost {
  /** Receives every event; usually `undefined`. */
  readonly observer: Observer | undefined
  /** The time limit of requests that set none. */
  readonly timeoutMs: number | undefined
  observe(kind: LockEventKind, request: Request): void
  readonly losses: LossHandler
}

/** Handles what goes wrong in the backend. */
interface LossHandler {
  /** The request will not be granted. */
  failed(request: Request, error: Error): void
  /** The request has lost its locks. */
  lost(request: Request, loss: Loss): void
}

/** A request, as the manager and its deadlock detector know it. */
export class Request implements BackendRequest, Carried {
  readonly id: number
  readonly plan: PlanNode
  missing: number = OUTSIDE
  state: State = 'outside'
  readonly options: Options
  /** The context of its manager. */
  readonly context: { readonly host: RequestHost }
  around: Carried | undefined = undefined
  /**
   * The holder in whose callback it was made, or that represents its owner. When that holder ends, the
   * nearest enclosing holder that has not ended replaces it (not for a detached request). It is also replaced
   * when the request itself ends, so that an ended request keeps no earlier ones in memory. task-owners.ts
   * moves the holders of owners.
   */
  holder: Request | undefined
  /** The function to call with the locks held. Without one, the caller gets a guard. */
  readonly callback: Callback | undefined
  /** Set while it waits: resumes it, to begin its holding or to fail. */
  wake: ((request: Request) => void) | undefined = undefined
  /** Set while it holds and its callback has not finished: rejects the caller's promise. */
  reject: ((reason: unknown) => void) | undefined = undefined
  /**
   * Why it ended early ({@link Failure}). If the locks were stolen before the callback was called, it is
   * called all the same.
   */
  failure: { readonly reason: unknown; readonly kind: Failure } | undefined = undefined
  /** Removes the timers and listeners of the wait, and later those of the holding. */
  stop: (() => void) | undefined = undefined
  /**
   * Whether somebody has subscribed to its promise: probably its holder, which then cannot end before it.
   * proof.ts finds out whether the holder waits.
   */
  isAwaited = false
  /** The nested requests that have not ended and are not guards. */
  nested: Set<Request> | undefined = undefined
  /**
   * The promise along which await chains are read. While the request waits inside a holder, the promise
   * settles after the wait. While the request holds, the promise settles when its callback's result settles.
   */
  end: Promise<unknown> | undefined = undefined
  /** The fields that only some requests need; {@link withDetails} makes them. */
  details: Details | undefined = undefined
  /** The unreleased guards that were asked for in its code. */
  guards: Set<Request> | undefined = undefined
  /**
   * The number of the newest request at the time its guard was handed out. Later requests of the guard's task
   * have higher numbers.
   */
  newestAtGrant = 0
  /** Its guard, until leaks.ts registers that for finalization. */
  youngGuard: Guard | undefined = undefined
  /** Its call stack, if that was kept. */
  keptStack: { readonly stack?: string } | undefined = undefined
  /** When it began to wait or hold, by the coarse clock; exact for nested requests that wait. */
  coarseSince = 0

  constructor(
    context: Request['context'],
    id: number,
    plan: PlanNode,
    options: Options,
    holder: Request | undefined,
    callback: Callback | undefined,
  ) {
    this.context = context
    this.id = id
    this.plan = plan
    this.options = options
    this.holder = liveHolder(holder)
    this.callback = callback
  }

  /** Whether it is held by a guard, from `acquire()` or `tryAcquire()`. */
  get isGuard(): boolean {
    return this.callback === undefined && this.state === 'holding'
  }

  /** Whether it represents the code of an owner and holds no lock itself; see task-owners.ts. */
  get isOwner(): boolean {
    return this.callback === ownersCode
  }

  /**
   * When it began to wait or hold, in milliseconds since 1970. The error is that of the coarse clock; after a
   * blocked event loop, it is towards a later time.
   */
  get since(): number {
    return latestOf(this.coarseSince)
  }

  get parent(): Request | undefined {
    return this.holder
  }

  /**
   * Its own label, or that of the nearest enclosing request that has one. Otherwise its number, with that of
   * the outermost enclosing request.
   */
  get label(): string {
    let outermost: Request = this
    for (let at: Request | undefined = this; at !== undefined; at = at.holder) {
      if (at.options.label !== undefined) return at.options.label
      if (!at.isOwner) outermost = at
    }
    const own = `request ${this.id}`
    return outermost === this ? own : `${own} in request ${outermost.id}`
  }

  get callSite(): string | undefined {
    return innermost(linesOf(this.keptStack))
  }

  get steal(): boolean {
    return this.options.steal
  }

  /** True also with a time limit of 0, which does not allow a wait. */
  get ifAvailable(): boolean {
    return this.options.ifAvailable || this.timeoutMs === 0
  }

  get timeoutMs(): number | undefined {
    return this.options.timeoutMs ?? this.context.host.timeoutMs
  }

  /** Does nothing if the request was given up meanwhile: the backend releases such a grant. */
  granted(): void {
    if (this.state !== 'waiting') return
    this.state = 'granted'
    this.coarseSince = coarseNow()
    const { host } = this.context
    if (host.observer) host.observe('granted', this)
    this.wakeUp()
  }

  failed(error: Error): void {
    this.context.host.losses.failed(this, error)
  }

  lost(loss: Loss): void {
    this.context.host.losses.lost(this, loss)
  }

  /** Resumes its wait, once. Clears `wake` first: a promise can keep in memory the code that made it. */
  wakeUp(): void {
    const { wake } = this
    this.wake = undefined
    wake?.(this)
  }
}

/** The callback of a request that represents an owner's code. It is never called. */
export const ownersCode: Callback = () => {}

/**
 * The nearest holder, from this one outwards, that has not ended. The requests of an ended holder belong to
 * it.
 */
export function liveHolder(holder: Request | undefined): Request | undefined {
  let live = holder
  while (live !== undefined && live.state === 'ended') live = live.holder
  return live
}

/** Adds a function to run when the wait or the holding is over. */
export function stopBy(request: Request, stop: () => void): void {
  const before = request.stop
  request.stop = before
    ? () => {
        before()
        stop()
      }
    : stop
}
