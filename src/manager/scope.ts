/** The scope of a holder: makes requests that are nested in it, on every runtime. */

import type { Caller } from '../core/errors.ts'
import type { Guard } from './guard.ts'
import type { Lock } from './lock.ts'
import type { AcquireOptions, Names, RequestOptions, TryAcquireOptions } from './options.ts'

/** The calls behind a manager's scopes: each gets the original arguments and the holder of the scope. */
export interface ScopeCalls {
  requestInScope(args: readonly unknown[], scope: unknown, caller: Caller): Promise<unknown>
  acquireInScope(args: readonly unknown[], scope: unknown, caller: Caller): Promise<Guard>
  tryAcquireInScope(args: readonly unknown[], scope: unknown, caller: Caller): Guard | undefined
}

/** The calls that ask for locks: those of a manager, and of the scope of a holder. */
export interface LockRequests<Name extends string = string> {
  request<Result>(
    names: Names<Name>,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: (RequestOptions & { readonly ifAvailable?: false | undefined }) | null | undefined,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: RequestOptions | null | undefined,
    callback: (lock: Lock | null, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard>
  tryAcquire(names: Names<Name>, options?: TryAcquireOptions): Guard | undefined
}

/**
 * The second parameter of a callback. Its methods are those of the manager. Their requests are nested in the
 * holder whose callback received the scope, wherever the code calls them. The exception is code in the
 * callback of a request inside that holder: its requests are nested in that inner request. This needs a
 * runtime that knows where the code runs (Node, Bun, Deno). In browsers, use the inner callback's own scope.
 */
export class Scope<Name extends string = string> implements LockRequests<Name> {
  readonly #calls: ScopeCalls
  readonly #holder: unknown

  /** @internal */
  constructor(calls: ScopeCalls, holder: unknown) {
    this.#calls = calls
    this.#holder = holder
  }

  /** See `LockManager.request()`. */
  request<Result>(
    names: Names<Name>,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: (RequestOptions & { readonly ifAvailable?: false | undefined }) | null | undefined,
    callback: (lock: Lock, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request<Result>(
    names: Names<Name>,
    options: RequestOptions | null | undefined,
    callback: (lock: Lock | null, scope: Scope<Name>) => Result,
  ): Promise<Awaited<Result>>
  request(...args: unknown[]): Promise<unknown> {
    return this.#calls.requestInScope(args, this.#holder, this.request)
  }

  /** See `LockManager.acquire()`. */
  acquire(names: Names<Name>, options?: AcquireOptions): Promise<Guard>
  acquire(...args: unknown[]): Promise<Guard> {
    return this.#calls.acquireInScope(args, this.#holder, this.acquire)
  }

  /** See `LockManager.tryAcquire()`. */
  tryAcquire(names: Names<Name>, options?: TryAcquireOptions): Guard | undefined
  tryAcquire(...args: unknown[]): Guard | undefined {
    return this.#calls.tryAcquireInScope(args, this.#holder, this.tryAcquire)
  }
}
