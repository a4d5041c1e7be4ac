/** The types that users rely on. The compiler checks them, so the test only has to exist. */

import { it } from 'node:test'
import { expectTypeOf } from 'expect-type'
import {
  exclusive,
  type Settled,
  type SharedLocks,
  shared,
  type WantedLock,
} from '../src/backends/threads/index.ts'
import type { RunResult } from '../src/bank/index.ts'
import {
  type DeadlockError,
  type DeadlockReport,
  defineOrder,
  type Guard,
  type Lock,
  type LockErrorCode,
  type LockManager,
} from '../src/index.ts'

it('the types are as documented', () => {
  expectTypeOf<DeadlockError['report']>().toEqualTypeOf<DeadlockReport>()
  expectTypeOf<DeadlockError['code']>().toExtend<LockErrorCode>()
  expectTypeOf<RunResult['outcome']>().toEqualTypeOf<'consistent' | 'inconsistent' | 'deadlock'>()
  expectTypeOf<SharedLocks['tryHold']>()
    .parameter(0)
    .toEqualTypeOf<number | WantedLock<number> | Iterable<number | WantedLock<number>>>()
})

// Compiled, never called: arguments are checked against the function that receives them.
export function wrongArguments(
  locks: SharedLocks,
  move: (from: number, label: string) => boolean,
): void {
  expectTypeOf(locks.holdPair(1, 2, move, 1, 'a')).toEqualTypeOf<boolean>()
  expectTypeOf(locks.hold([1], () => 'x')).toEqualTypeOf<string>()
  expectTypeOf(locks.tryHold([1], () => 'x')).toEqualTypeOf<string | undefined>()
  expectTypeOf(locks.holdAsync([1], async () => 3)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(locks.hold([3, shared(1), exclusive(2)], () => 'x')).toEqualTypeOf<string>()
  expectTypeOf(locks.hold([1], { timeoutMs: 5 }, () => 'x')).toEqualTypeOf<string>()
  expectTypeOf(locks.holdAsync([1], {}, async () => 3)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(locks.view(Float64Array)).toExtend<Float64Array>()
  // @ts-expect-error: the second argument is a string
  locks.holdPair(1, 2, move, 1, 2)
  // @ts-expect-error: an argument is missing
  locks.holdPair(1, 2, move, 1)
  expectTypeOf(locks.hold(3, () => 'x')).toEqualTypeOf<string>()
  expectTypeOf(locks.tryHold(shared(3), () => 'x')).toEqualTypeOf<string | undefined>()
  expectTypeOf(locks.hold(3, { timeoutMs: 5 }, () => 'x')).toEqualTypeOf<string>()
  expectTypeOf(locks.holdAsync(3, async () => 3)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(locks.hold(3, () => {})).toEqualTypeOf<void>()
  expectTypeOf(locks.hold(3, (): unknown => 3)).toEqualTypeOf<unknown>()
  expectTypeOf(locks.holdAll((): boolean | undefined => true)).toEqualTypeOf<boolean | undefined>()
  // @ts-expect-error: numbers, not names
  locks.lock('account:7')
  // @ts-expect-error: numbers, not names, in any mode
  locks.hold([shared('account:7')], () => 'x')
}

// The locks of a blocking call are released before a promise settles.
export async function asyncCallbacks(
  locks: SharedLocks,
  later: (amount: number) => Promise<number>,
  maybe: () => number | Promise<number>,
): Promise<void> {
  // @ts-expect-error: not with an async callback
  locks.hold([3], async () => 3)
  // @ts-expect-error: not with an async callback
  locks.hold([3], { timeoutMs: 5 }, async () => {})
  // @ts-expect-error: nor with a callback that may return a promise
  locks.hold(3, maybe)
  // @ts-expect-error: not with an async callback
  locks.tryHold([3], async () => 3)
  // @ts-expect-error: not with an async callback
  locks.holdAll(async () => 3)
  // @ts-expect-error: not with an async callback
  locks.holdPair(3, 4, later, 5)
  await locks.holdAsync([3], maybe)
}

/** Generic code around a blocking call. */
export function held<Result>(locks: SharedLocks, fn: () => Settled<Result>): Result {
  return locks.hold(3, fn)
}

export async function managerTypes(locks: LockManager, id: number, text: string): Promise<void> {
  expectTypeOf(locks.request('a', (lock) => lock)).toEqualTypeOf<Promise<Lock>>()
  expectTypeOf(locks.request('a', async () => 3)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(locks.request(['a', shared('b')], {}, (lock) => lock)).toEqualTypeOf<Promise<Lock>>()
  const maybe = locks.request('a', { ifAvailable: true }, (lock) => lock)
  expectTypeOf(maybe).toEqualTypeOf<Promise<Lock | null>>()
  expectTypeOf(locks.acquire('a', { timeoutMs: 5 })).toEqualTypeOf<Promise<Guard>>()
  expectTypeOf(locks.tryAcquire(['a'])).toEqualTypeOf<Guard | undefined>()
  // @ts-expect-error: names, not numbers
  await locks.request([3], () => 1)
  // @ts-expect-error: only request() steals
  await locks.acquire('a', { steal: true })
  await orderTypes(id, text)
}

async function orderTypes(id: number, text: string): Promise<void> {
  const bank = defineOrder('customer', 'account', 'audit')
  await bank.request(`customer:${id}`, async (_lock, inside) => {
    await inside.request(['account:1', shared(`account:${id}`)], async (_accounts, deeper) => {
      expectTypeOf(await deeper.request('audit', () => 1)).toEqualTypeOf<number>()
      // @ts-expect-error: 'account' does not rank above what is held
      await deeper.request('account:3', () => 1)
    })
    await inside.request('audit:1', async (_audit, none) => {
      // @ts-expect-error: nothing ranks above 'audit'
      await none.request('audit:2', () => 1)
    })
    // @ts-expect-error: equal rank
    await inside.request('customer:8', () => 1)
    // @ts-expect-error: equal rank, in any mode
    await inside.acquire(shared('customer:8'))
    // @ts-expect-error: one of them has equal rank
    inside.tryAcquire(['account:1', `customer:${id}`])
    // @ts-expect-error: not a class of the order
    await inside.request('nobody:1', () => 1)
    // @ts-expect-error: the type allows any class
    await inside.request(text, () => 1)
  })
  await bank.request(['account:1', 'customer:1'], () => 1)
}
