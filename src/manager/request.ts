/**
 * One request, from the call to its end.
 *
 * | state     | means                                                     | next              |
 * | --------- | --------------------------------------------------------- | ----------------- |
 * | `outside` | no backend has it: it was just made, or refused          | waiting, granted, ended |
 * | `waiting` | in its queues, does not lead them all                     | granted, ended    |
 * | `granted` | leads them all; its callback has not begun                | holding, ended    |
 * | `holding` | its callback runs, or its guard is out                    | ended             |
 * | `ended`   | in no queue: done, given up, or its locks were stolen     |                   |
 *
 * `Engine.end()` is the one way to `ended`, but for `ifAvailable`, which may enter nothing; the promise is
 * settled beside it.
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

/** The part of a manager to which a request passes on what its backend says. */
export interface RequestHost {
  /** Gets every event; most managers have none. */
  readonly observer: Observer | undefined
  /** The time limit of requests that have none of their own. */
  readonly timeoutMs: number | undefined
  observe(kind: LockEventKind, request: Request): void
  /** It will not be granted. */
  failed(request: Request, error: Error): void
  /** Its locks are lost. */
  lost(request: Request, loss: Loss): void
}

/** A request, as the manager and its deadlock detector know it. */
export class Request implements BackendRequest, Carried {
  readonly id: number
  readonly plan: PlanNode
  missing: number = OUTSIDE
  state: State = 'outside'
  readonly options: Options
  /** That of its manager. */
  readonly context: { readonly host: RequestHost }
  around: Carried | undefined = undefined
  /**
   * The holder in whose callback it was made, or the nearest around that one that had not ended. Looked
   * for again at its end, so that whoever is kept in memory does not keep all who were before it.
   */
  holder: Request | undefined
  /** What to call with the locks held; without one, the caller gets a guard. */
  readonly callback: Callback | undefined
  /** Of one that waits: its turn has come, to begin its holding or to fail. */
  wake: ((request: Request) => void) | undefined = undefined
  /** Of one that holds while its callback goes on: rejects the promise that the caller got. */
  reject: ((reason: unknown) => void) | undefined = undefined
  /**
   * Why it ended before its callback had returned. Of a theft the callback, if it was not called yet,
   * hears all the same.
   */
  failure: { readonly reason: unknown; readonly kind: Failure } | undefined = undefined
  /** Takes away what was set up for the wait, and then for the holding: timers, listeners. */
  stop: (() => void) | undefined = undefined
  /** Whether somebody waits for its promise: its holder cannot end before it. */
  isAwaited = false
  /** Nested requests that have not ended and are no guards. */
  nested: Set<Request> | undefined = undefined
  /**
   * While it waits inside a holder: settles after the wait. While it holds: settles with its callback. Await
   * chains are read along this promise.
   */
  end: Promise<unknown> | undefined = undefined
  /** The part that only some requests have; {@link withDetails} makes it. */
  details: Details | undefined = undefined
  /** Guards that are out and were asked for here. */
  guards: Set<Request> | undefined = undefined
  /**
   * The number of the newest request when its guard was handed out. The task that got the guard made its
   * further requests after that.
   */
  newestAtGrant = 0
  /** Its guard, until that is registered for its garbage collection (leaks.ts). */
  youngGuard: Guard | undefined = undefined
  /** Where it was asked for, if that was kept: an object with a `stack`. */
  place: { readonly stack?: string } | undefined = undefined
  /** Since when it waits, or holds: a reading of the coarse clock; exact for nested requests that wait. */
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

  /** Whether a guard stands for its holding, of `acquire()` or `tryAcquire()`. */
  get isGuard(): boolean {
    return this.callback === undefined && this.state === 'holding'
  }

  /** Whether it stands for the code of an owner, and holds no lock itself; see task-owners.ts. */
  get isOwner(): boolean {
    return this.callback === ownersCode
  }

  /** Since when it waits, or holds, in milliseconds since 1970; too late rather than too early. */
  get since(): number {
    return latestOf(this.coarseSince)
  }

  get parent(): Request | undefined {
    return this.holder
  }

  /**
   * Its own label, or that of the nearest around it that has one; else its number, and that of the outermost
   * around it.
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
    return innermost(linesOf(this.place))
  }

  get steal(): boolean {
    return this.options.steal
  }

  /** With no time to wait it is not to wait either. */
  get ifAvailable(): boolean {
    return this.options.ifAvailable || this.timeoutMs === 0
  }

  get timeoutMs(): number | undefined {
    return this.options.timeoutMs ?? this.context.host.timeoutMs
  }

  /** Does nothing for a request that was given up meanwhile: the backend releases such a grant. */
  granted(): void {
    if (this.state !== 'waiting') return
    this.state = 'granted'
    this.coarseSince = coarseNow()
    const { host } = this.context
    if (host.observer) host.observe('granted', this)
    this.wakeUp()
  }

  failed(error: Error): void {
    this.context.host.failed(this, error)
  }

  lost(loss: Loss): void {
    this.context.host.lost(this, loss)
  }

  /** Its turn has come. Only once, and forgotten then: a promise can keep whoever made it in memory. */
  wakeUp(): void {
    const { wake } = this
    this.wake = undefined
    wake?.(this)
  }
}

/** The callback of what stands for an owner's code: it is never called. */
export const ownersCode: Callback = () => {}

/** The nearest holder from this one outwards that has not ended: the one whose end waits for it. */
export function liveHolder(holder: Request | undefined): Request | undefined {
  let live = holder
  while (live !== undefined && live.state === 'ended') live = live.holder
  return live
}

/** Has something more done when the wait is over, or the holding. */
export function stopBy(request: Request, stop: () => void): void {
  const before = request.stop
  request.stop = before
    ? () => {
        before()
        stop()
      }
    : stop
}
