/**
 * The port: the only things that the manager and a backend know of each other.
 *
 * The manager turns what the caller wants into a plan, asks a backend for it, calls the callback, and
 * releases. A backend keeps the locks: who holds one, who waits, who is next. It calls `granted`, `failed`
 * and `lost` on the requests that it was given, and knows nothing else of the manager.
 *
 *     acquire ── true ──────────────────────────▶ held ── release ──▶ gone
 *        └────── false ─▶ waits ── granted ──────▶ held ── lost, then release ──▶ gone
 *                           ├───── failed ─▶ gone
 *                           └───── cancel ─▶ gone
 */

import type { LockMode, WantedLock } from '../core/modes.ts'
import type { Plan } from '../core/plan.ts'
import type { DeadlockReport } from '../core/report.ts'
import type { LockManagerSnapshot } from '../core/snapshot.ts'

/** The abilities of a backend beyond exclusive locks. */
export interface Supports {
  /** Whether a request can take locks from their holders. */
  readonly steal: boolean
  /** Whether a lock can be held shared. */
  readonly shared: boolean
}

/** A link of a plan, as its backend makes it: the local one keeps the request's place in a queue here. */
export interface PlanNode extends WantedLock<string> {
  next: PlanNode | undefined
}

/** A store of locks. `Request` is the manager's own type of request. */
export interface Backend<Request extends BackendRequest = BackendRequest> {
  readonly supports: Supports

  /** Called once, before anything else. */
  attach(host: BackendHost<Request>): void

  /** A link for a new plan. */
  node(name: string, mode: LockMode): PlanNode

  /**
   * Asks for all locks of a plan. True: granted now. False: later, never inside this call, exactly one of
   * `granted` and `failed` follows, unless `cancel` comes first. With `steal`, holders lose their locks
   * first, by `lost`, inside this call.
   */
  acquire(request: Request): boolean

  /**
   * Asks for all locks of a plan, and does not wait: false if some are busy, and then nothing has changed.
   * Only backends that know the answer at once have it. Any other gets `ifAvailable` requests by `acquire`,
   * and lets them fail with LockNotAvailableError.
   */
  tryAcquire?(request: Request): boolean

  /**
   * Ends a request's wait. If a grant is already on its way, the backend releases it. The manager also calls
   * this for a request that never entered: then it does nothing.
   */
  cancel(request: Request): void

  /**
   * Releases what a request was granted, whether or not it has lost that. Ignores a request that the backend
   * does not have. A promise settles when the locks are free; the program gets the callback's result only
   * then.
   */
  release(request: Request): void | Promise<void>

  /**
   * The root holders that are in the way of a request that waits, or would have to wait: those at the ends of
   * the chains of waiting requests. `name`: of this lock of the plan only.
   */
  blockers(
    request: Request,
    name?: string,
  ): readonly Blocker<Request>[] | Promise<readonly Blocker<Request>[]>

  /**
   * The locks that the manager's own requests hold or wait for, in no order. Some may be in use by no
   * request. Cost: one step each.
   */
  locks(): Iterable<LockState<Request>>

  /** One of these locks. Cost: a look-up. */
  lock(name: string): LockState<Request> | undefined

  /** The requests that hold and that wait, those of other managers included. */
  query(): LockManagerSnapshot | Promise<LockManagerSnapshot>

  /** Frees what the backend itself has open. The manager's requests have ended. */
  close(): Promise<void>

  /** The edges between waiting requests: present where the manager is to find deadlocks, not the backend. */
  readonly waits?: WaitEdges<Request>
}

/** Whether a backend answers at once: by {@link Backend.tryAcquire}; its releases are done when they return. */
export function answersAtOnce(backend: Pick<Backend<never>, 'tryAcquire'>): boolean {
  return backend.tryAcquire !== undefined
}

/** The manager, as its backend knows it. */
export interface BackendHost<Request extends BackendRequest = BackendRequest> {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: 'proved' | 'likely'
  /** Reports a deadlock that the backend has found. */
  report(report: DeadlockReport): void
  /** Whether the holder around a waiting request is proved to wait for it, now. */
  prove(request: Request): Promise<boolean>
}

/** A request, as backends know it. */
export interface BackendRequest {
  /** Younger requests of a manager have larger numbers. */
  readonly id: number
  /** Its first node. The backend's own `node` made all nodes of every request that `acquire` gets. */
  readonly plan: Plan
  /** The nearest holder around it that has not ended. A detached request can keep one that has. */
  readonly parent: BackendRequest | undefined
  /** Its name in reports. */
  readonly label: string
  /** Since when it waits or holds, in milliseconds since 1970. */
  readonly since: number
  /** The innermost line of the program that made it; `undefined` where that was not kept. */
  readonly callSite: string | undefined
  readonly steal: boolean
  readonly ifAvailable: boolean
  readonly timeoutMs: number | undefined
  /**
   * A counter of the backend's own, {@link OUTSIDE} before `acquire`. It is here so that a request needs no
   * second object.
   */
  missing: number
  /** Its turn has come. Runs no code of the program, and may be called while another request is released. */
  granted(): void
  /** It waits no longer, and will not be granted. */
  failed(error: Error): void
  /** Its locks are lost: stolen, or the connection to the store is gone. `release` follows. */
  lost(reason: Loss): void
}

/** The value of `missing` for a request that no backend has yet. */
export const OUTSIDE = -1

/** Why a request has lost its locks. */
export type Loss =
  | { readonly kind: 'stolen'; readonly by: BackendRequest | Other }
  | { readonly kind: 'gone'; readonly error: Error }

/** A request of another manager, as far as the store knows it. */
export type Other = Pick<BackendRequest, 'label' | 'since' | 'callSite'>

/** A holder that is in the way of a request. */
export interface Blocker<Request extends BackendRequest = BackendRequest> {
  /** The lock that it holds. */
  readonly name: string
  readonly mode: LockMode
  /**
   * The lock of the request's own plan at which the chain to this holder begins: `name` itself where the
   * chain has no requests in between.
   */
  readonly waitsFor: string
  /** The mode in which the request wants that. */
  readonly wanted: LockMode
  /** A request of this manager; or, of another one, what its store says of it. */
  readonly by: Request | Other
  /** How many hold the lock `name`, and how many wait for it. */
  readonly holders: number
  readonly waiters: number
}

/** A lock that requests of one manager hold or wait for; {@link Backend.locks} may also have unused ones. */
export interface LockState<Request extends BackendRequest = BackendRequest> {
  readonly name: string
  /** The number of requests that wait for it. */
  readonly waiting: number
  /** The last request in the queue, a holder or a waiter; `undefined` where no request uses the lock. */
  readonly newest: Request | undefined
  /** The requests that hold it, the oldest first. */
  holders(): Iterable<Request>
  /** The requests that wait for it, the next one first. */
  waiters(): Iterable<Request>
}

/**
 * The edges between requests that wait for each other on one event loop.
 *
 * A soft edge leads only to the nearest requests before a waiter in its queue: to the next exclusive one, and
 * from an exclusive waiter also to the readers in between. A search reaches all others through these, and so
 * need not follow every pair in a queue.
 */
export interface WaitEdges<Request extends BackendRequest = BackendRequest> {
  /** All holders of the locks that a request waits for. */
  hardBlockers(request: Request): Iterable<Request>
  /**
   * Holders of the locks that a request waits for, and requests that wait before it: enough of them to reach
   * every holder that is in its way through others.
   */
  softBlockers(request: Request): Iterable<Request>
  /** The nearest requests that wait behind a request: enough of them to reach all others. */
  waitersBehind(request: Request): Iterable<Request>
  /** Whether any request waits in the queues of a request that holds. */
  hasWaiters(request: Request): boolean
  /** The locks that a request waits for, each with its holders. */
  lacks(request: Request): Iterable<Lack<Request>>
  /**
   * Moves waiting requests that are before beneficiaries in a queue to behind them, where `mayBeOvertaken`
   * agrees. Asks that from the front of each queue. Returns the moved requests.
   */
  rearrange(
    beneficiaries: Iterable<Request>,
    mayBeOvertaken: (request: Request) => boolean,
  ): ReadonlySet<Request>
}

/** A lock that a request waits for. */
export interface Lack<Request extends BackendRequest = BackendRequest> {
  readonly name: string
  readonly mode: LockMode
  readonly holders: Iterable<Request>
}
