/**
 * The interface between the manager and a backend: neither knows anything else of the other.
 *
 * The manager turns a call into a plan, requests the plan from a backend, runs the callback, and releases.
 * The backend keeps the locks: their holders, their waiters, and the order of the waiters. It calls
 * `granted`, `failed` and `lost` on its requests, and knows nothing else of the manager but
 * {@link BackendHost}.
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

/** A node of a plan, made by the backend: the local one keeps the request's position in a queue here. */
export interface PlanNode extends WantedLock<string> {
  next: PlanNode | undefined
}

/** A store of locks. `Request` is the manager's own type of request. */
export interface Backend<Request extends BackendRequest = BackendRequest> {
  readonly supports: Supports

  /** Called once, before all other methods. */
  attach(host: BackendHost<Request>): void

  /** Makes a node for a new plan. */
  node(name: string, mode: LockMode): PlanNode

  /**
   * Requests all locks of a plan. True: granted now. False: exactly one of `granted` and `failed` follows
   * later, never inside this call, unless `cancel` comes first. With `steal`, the holders first lose their
   * locks by `lost`, inside this call.
   */
  acquire(request: Request): boolean

  /**
   * Requests all locks of a plan without waiting. False: some are busy, and nothing has changed. Only
   * backends that know the answer at once implement it. Other backends get `ifAvailable` requests by
   * `acquire`, and fail them with LockNotAvailableError.
   */
  tryAcquire?(request: Request): boolean

  /**
   * Ends a request's wait. If a grant is already under way, the backend releases it. Does nothing for a
   * request that never entered: the manager calls it for those too.
   */
  cancel(request: Request): void

  /**
   * Releases the locks that a request was granted, whether or not it has lost them. Ignores a request that
   * the backend does not have. A returned promise settles when the locks are free; only then does the program
   * get the callback's result.
   */
  release(request: Request): void | Promise<void>

  /**
   * Returns the root holders that block a request which waits, or would have to wait: the holders at the ends
   * of the chains of waiting requests. `name` restricts the search to this lock of the plan.
   */
  blockers(
    request: Request,
    name?: string,
  ): readonly Blocker<Request>[] | Promise<readonly Blocker<Request>[]>

  /**
   * The locks that the manager's own requests hold or wait for, in no order. Some may be unused. Cost: one
   * step each.
   */
  locks(): Iterable<LockState<Request>>

  /** Returns one of these locks. Cost: a look-up. */
  lock(name: string): LockState<Request> | undefined

  /** Returns the requests that hold and that wait, including those of other managers. */
  query(): LockManagerSnapshot | Promise<LockManagerSnapshot>

  /** Releases the backend's own resources. The manager's requests have ended by then. */
  close(): Promise<void>

  /** The edges between waiting requests; present if the manager must find deadlocks, not the backend. */
  readonly waits?: WaitEdges<Request>
}

/**
 * Whether a backend answers at once: it has {@link Backend.tryAcquire}, and releases finish synchronously. A
 * backend that does not is called *late*: its answers and releases may come after the call.
 */
export function answersAtOnce(backend: Pick<Backend<never>, 'tryAcquire'>): boolean {
  return backend.tryAcquire !== undefined
}

/** The manager, as seen by its backend. */
export interface BackendHost<Request extends BackendRequest = BackendRequest> {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: 'proved' | 'likely'
  /** Reports a deadlock that the backend has found. */
  report(report: DeadlockReport): void
  /** Whether the holder around a waiting request is now proved to wait for it. */
  prove(request: Request): Promise<boolean>
}

/** A request, as seen by backends. */
export interface BackendRequest {
  /** Unique in a manager; larger for younger requests. */
  readonly id: number
  /** The first node. `Backend.node` made all nodes of every request that `acquire` gets. */
  readonly plan: Plan
  /**
   * The nearest holder around it that has not ended. For a detached request: the nearest one that had not
   * ended when the request was made.
   */
  readonly parent: BackendRequest | undefined
  /** Its name in reports. */
  readonly label: string
  /** The time since which it has waited or held, in milliseconds since 1970. */
  readonly since: number
  /** The innermost line of the program that made it; `undefined` if it was not kept. */
  readonly callSite: string | undefined
  readonly steal: boolean
  readonly ifAvailable: boolean
  readonly timeoutMs: number | undefined
  /**
   * A counter for the backend; {@link OUTSIDE} before `acquire`. Stored here so that a request needs no
   * second object.
   */
  missing: number
  /** Grants the request. Runs no code of the program. May be called while another request is released. */
  granted(): void
  /** Ends the wait: the request will not be granted. */
  failed(error: Error): void
  /** Reports that its locks are lost: stolen, or the connection to the store is gone. `release` follows. */
  lost(reason: Loss): void
}

/** The value of `missing` for a request that has not entered a backend. */
export const OUTSIDE = -1

/** The reason why a request lost its locks. */
export type Loss =
  | { readonly kind: 'stolen'; readonly by: BackendRequest | Other }
  | { readonly kind: 'gone'; readonly error: Error }

/** A request of another manager, as far as the store knows it. */
export type Other = Pick<BackendRequest, 'label' | 'since' | 'callSite'>

/** A holder that blocks a request. */
export interface Blocker<Request extends BackendRequest = BackendRequest> {
  /** The lock that it holds. */
  readonly name: string
  readonly mode: LockMode
  /**
   * The lock of the request's own plan at which the chain to this holder begins; `name` itself if no requests
   * are in between.
   */
  readonly waitsFor: string
  /** The mode in which the request wants `waitsFor`. */
  readonly wanted: LockMode
  /** A request of this manager, or the store's data about a request of another manager. */
  readonly by: Request | Other
  /** The number of requests that hold the lock `name`, and the number that wait for it. */
  readonly holders: number
  readonly waiters: number
}

/** A lock that requests of one manager hold or wait for; {@link Backend.locks} may also have unused ones. */
export interface LockState<Request extends BackendRequest = BackendRequest> {
  readonly name: string
  /** The number of requests that wait for it. */
  readonly waiting: number
  /** The last request in the queue, a holder or a waiter; `undefined` if no request uses the lock. */
  readonly newest: Request | undefined
  /** The requests that hold it, the oldest first. */
  holders(): Iterable<Request>
  /** The requests that wait for it, the next one first. */
  waiters(): Iterable<Request>
}

/**
 * The edges between requests that wait for each other on one event loop.
 *
 * A soft edge leads only to the nearest requests before a waiter in its queue: to the nearest exclusive one,
 * and from an exclusive waiter also to the readers in between. A search reaches all others through these, and
 * need not follow every pair in a queue.
 */
export interface WaitEdges<Request extends BackendRequest = BackendRequest> {
  /** All holders of the locks that a request waits for. */
  hardBlockers(request: Request): Iterable<Request>
  /**
   * The nearest requests ahead of a request in its queues or, as a short cut, holders of its locks. A search
   * along these edges reaches every holder that blocks the request.
   */
  softBlockers(request: Request): Iterable<Request>
  /** The nearest requests that wait behind a request: enough of them to reach all others. */
  waitersBehind(request: Request): Iterable<Request>
  /** Whether any request waits in the queues of a holder. */
  hasWaiters(request: Request): boolean
  /** The locks that a request waits for, each with its holders. */
  lacks(request: Request): Iterable<Lack<Request>>
  /**
   * Lets the beneficiaries overtake. In each queue, a waiting request ahead of a beneficiary moves behind it
   * if `mayBeOvertaken` returns true. Calls `mayBeOvertaken` from the front of each queue. Returns the moved
   * requests.
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
