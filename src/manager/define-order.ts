/**
 * A lock manager with a declared order, and the types with which the compiler enforces it.
 *
 * The second parameter of a callback accepts only the classes above the highest class that is held. The
 * compiler cannot see held locks in a call of `bank.request()` itself inside a callback. That call is checked
 * at run time.
 */

import type { WantedLock } from '../core/modes.ts'
import type { Guard } from './guard.ts'
import type { Lock } from './lock.ts'
import { LockManager } from './lock-manager.ts'
import type { AcquireOptions, RequestOptions, TryAcquireOptions } from './options.ts'

/** A name of one of these classes: `account` or `account:…`. */
export type NameOf<Class extends string> = Class | `${Class}:${string}`

type AnyNames = string | WantedLock<string> | readonly (string | WantedLock<string>)[]

/** The class of a name, as far as its type shows it. */
type ClassOf<Name> = Name extends `${infer Class}:${string}` ? Class : Name

/** All classes in the requested names. */
type ClassesIn<Asked> =
  Asked extends WantedLock<infer Name>
    ? ClassOf<Name>
    : Asked extends readonly (infer Element)[]
      ? ClassesIn<Element>
      : ClassOf<Asked>

/** The classes above all of `Held` in the order. */
type Above<Order extends readonly string[], Held> = Order extends readonly [
  infer First,
  ...infer Rest extends readonly string[],
]
  ? Extract<Held, Rest[number]> extends never
    ? First extends Held
      ? Rest
      : Order
    : Above<Rest, Held>
  : Order

/** The highest class that is held: the one directly below the allowed ones. */
type Highest<
  Allowed extends readonly string[],
  All extends readonly string[],
> = All extends readonly [...string[], infer Held, ...Allowed] ? Held : never

/** The text that the compiler shows for a forbidden request. */
type Refusal<Class, Allowed extends readonly string[], All extends readonly string[]> =
  Class extends Highest<Allowed, All>
    ? `'${Class & string}' is held: take all of one class in one request`
    : Class extends All[number]
      ? `'${Class}' is not above the held classes in the order: take both in one request, or take '${Class}' first`
      : Class extends string
        ? string extends Class
          ? 'the type of this name does not show its class: write it as `class:…`'
          : `'${Class}' is not a class of the declared order`
        : never

/** A type that no names have, so that the compiler shows the reason. */
interface Refused<Reason> {
  readonly refused: Reason
}

/** `unknown` if the names may be requested; otherwise a type that no names have, with the reason. */
type Checked<Asked, Allowed extends readonly string[], All extends readonly string[]> = [
  Exclude<ClassesIn<Asked>, Allowed[number]>,
] extends [never]
  ? unknown
  : Refused<Refusal<Exclude<ClassesIn<Asked>, Allowed[number]>, Allowed, All>>

/** Makes requests for the classes in `Allowed`, out of all those in `All`. */
export interface OrderedRequests<
  Allowed extends readonly string[],
  All extends readonly string[] = Allowed,
> {
  /** See `LockManager.request()`. */
  request<const Asked extends AnyNames, Result>(
    names: Asked & Checked<Asked, Allowed, All>,
    callback: (lock: Lock, scope: OrderedRequests<Above<Allowed, ClassesIn<Asked>>, All>) => Result,
  ): Promise<Awaited<Result>>
  request<const Asked extends AnyNames, Result>(
    names: Asked & Checked<Asked, Allowed, All>,
    options: (RequestOptions & { readonly ifAvailable?: false | undefined }) | null | undefined,
    callback: (lock: Lock, scope: OrderedRequests<Above<Allowed, ClassesIn<Asked>>, All>) => Result,
  ): Promise<Awaited<Result>>
  request<const Asked extends AnyNames, Result>(
    names: Asked & Checked<Asked, Allowed, All>,
    options: RequestOptions | null | undefined,
    callback: (
      lock: Lock | null,
      scope: OrderedRequests<Above<Allowed, ClassesIn<Asked>>, All>,
    ) => Result,
  ): Promise<Awaited<Result>>

  /** See `LockManager.acquire()`. */
  acquire<const Asked extends AnyNames>(
    names: Asked & Checked<Asked, Allowed, All>,
    options?: AcquireOptions,
  ): Promise<Guard>

  /** See `LockManager.tryAcquire()`. */
  tryAcquire<const Asked extends AnyNames>(
    names: Asked & Checked<Asked, Allowed, All>,
    options?: TryAcquireOptions,
  ): Guard | undefined
}

/** A manager whose nested requests must go up in rank. */
export type OrderedLockManager<Classes extends readonly string[]> = OrderedRequests<Classes> &
  Pick<LockManager, 'query' | 'on'>

/**
 * A new manager whose locks are taken in a declared order: the classes of names, lowest rank first. A holder
 * may ask only for classes above those it holds. Locks of one class are taken in one request. So nested
 * requests cannot deadlock. A request that violates the order is refused before it waits.
 *
 * ```ts
 * const bank = defineOrder('customer', 'account')
 * await bank.request('customer:7', async (_lock, inside) => {
 *   await inside.request(['account:1', 'account:2'], async () => { … })
 * })
 * ```
 *
 * Its requests reject with LockOrderError for a violation of the order, and with LockUsageError for a name of
 * no declared class.
 *
 * @throws LockUsageError for an empty order, a duplicate class, or a class that contains `:`.
 */
export function defineOrder<const Classes extends readonly string[]>(
  ...classes: Classes
): OrderedLockManager<Classes> {
  // These are the same methods with narrower types.
  return new LockManager({ order: classes }) as unknown as OrderedLockManager<Classes>
}
