/**
 * The port: all that the manager knows of a backend, and a backend of the manager.
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

/** What a backend can do beyond exclusive locks. */
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
   * Asks for all locks of a plan. True: granted now. False: exactly one of `granted` and `failed` follows,
   * never inside of this call, unless the request is cancelled before. With `steal`, holders lose their locks
   * first, by `lost`, inside of this call.
   */
  acquire(request: Request): boolean

  /**
   * Asks for all locks of a plan, and does not wait: false if some are busy, and then nothing has changed.
   * Only where the answer is known at once. A backend without it gets `ifAvailable` requests by `acquire`,
   * and lets them fail with LockNotAvailableError.
   */
  tryAcquire?(request: Request): boolean

  /** A request waits no longer. If a grant is already on its way, the backend releases it. */
  cancel(request: Request): void

  /**
   * Frees what a request was granted, whether or not it has lost that. A promise settles when the locks are
   * free; what the program's request comes to is known no sooner.
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

  /** The locks that the manager's own requests hold or wait for, in no order. Cost: one step each. */
  locks(): Iterable<LockState<Request>>

  /** One of these locks. Cost: a look-up. */
  lock(name: string): LockState<Request> | undefined

  /** Who holds and who waits, everywhere. */
  query(): LockManagerSnapshot | Promise<LockManagerSnapshot>

  /** Frees what the backend itself has open. The manager's requests have ended. */
  close(): Promise<void>

  /** Who waits for whom: present where the manager is to find deadlocks. Elsewhere the backend does. */
  readonly waits?: WaitEdges<Request>
}

/** What a backend may ask of its manager, and report to it. */
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
  /** The first link, which leads to the others: of nodes that this backend has made. */
  readonly plan: Plan
  /** The holder in whose code it was made, if it has not ended. */
  readonly parent: BackendRequest | undefined
  /** What reports call it. */
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
  /** What it was granted is lost: stolen, or the connection to the store is gone. `release` follows. */
  lost(reason: Loss): void
}

/** What `missing` is of a request that no backend has yet. */
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
  /** The lock of the plan that the request waits for: another one where requests in between want both. */
  readonly waitsFor: string
  /** The mode in which the request wants that. */
  readonly wanted: LockMode
  /** A request of this manager; or, of another one, what its store says of it. */
  readonly by: Request | Other
  /** How many hold the lock `name`, and how many wait for it. */
  readonly holders: number
  readonly waiters: number
}

/** A lock that requests of one manager hold or wait for. */
export interface LockState<Request extends BackendRequest = BackendRequest> {
  readonly name: string
  /** The number of requests that wait for it. */
  readonly waiting: number
  /** The request that came last, if it has not ended. */
  readonly newest: Request | undefined
  /** The requests that hold it, the oldest first. */
  holders(): Iterable<Request>
  /** The requests that wait for it, the next one first. */
  waiters(): Iterable<Request>
}

/**
 * Who waits for whom on one event loop. Each answer has the nearest only, so that a search does not grow with
 * the number of those who wait.
 */
export interface WaitEdges<Request extends BackendRequest = BackendRequest> {
  /** Those who hold a lock that a request waits for. */
  hardBlockers(request: Request): Iterable<Request>
  /** The same, and those who wait before it in a queue: as many as are needed to reach all others. */
  softBlockers(request: Request): Iterable<Request>
  /** Those who have a request among their blockers. */
  waitersBehind(request: Request): Iterable<Request>
  /** Whether somebody waits for what a request holds. */
  hasWaiters(request: Request): boolean
  /** The locks that a request waits for, each with its holders. */
  lacks(request: Request): Iterable<Lack<Request>>
  /**
   * Lets waiting requests pass those before them in their queues that `mayBeOvertaken`, which is asked from
   * the front of each queue. Returns those that were overtaken.
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
