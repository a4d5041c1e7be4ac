/** The types that users rely on: checked by the compiler, so the test itself only has to be there. */

import { it } from 'node:test'
import { expectTypeOf } from 'expect-type'
import {
  exclusive,
  type SharedLocks,
  shared,
  type WantedLock,
} from '../src/backends/threads/index.ts'
import type { RunResult } from '../src/bank/index.ts'
import type { DeadlockError, DeadlockReport, LockErrorCode } from '../src/index.ts'

it('types are as documented', () => {
  expectTypeOf<DeadlockError['report']>().toEqualTypeOf<DeadlockReport>()
  expectTypeOf<DeadlockError['code']>().toExtend<LockErrorCode>()
  expectTypeOf<RunResult['outcome']>().toEqualTypeOf<'consistent' | 'inconsistent' | 'deadlock'>()
  expectTypeOf<SharedLocks['tryHold']>()
    .parameter(0)
    .toEqualTypeOf<Iterable<number | WantedLock<number>>>()
})

// Compiled, never called: arguments are checked against the function that gets them.
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
  // @ts-expect-error: numbers, not names
  locks.lock('account:7')
  // @ts-expect-error: numbers, not names, in whatever mode
  locks.hold([shared('account:7')], () => 'x')
}
