/** The contract of every table of locks: the suite that the test file of each memory runs. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type DeadlockError,
  LockUsageError,
  SharedLocks,
  type SharedLocksOptions,
  shared,
} from '../../../src/backends/threads/index.ts'
import { describeReentrant, describeShared, describeTimeouts } from './contract-modes.ts'
import { setFlag } from './programs.ts'
import { busyLocks, flagIsSet, inThread, newFlags, untilAsleep, untilWaiting } from './threads.ts'

type Memory = NonNullable<SharedLocksOptions['memory']>

const usage = { name: 'LockUsageError', code: 'LOCK_USAGE' }
const order = { name: 'LockOrderError', code: 'LOCK_ORDER' }
const deadlock = { name: 'DeadlockError', code: 'LOCK_DEADLOCK' }
const timeout = 120_000

/** A callback that must not be called. */
const refuse = (): never => assert.fail('called')

/** Values that are not a lock number of a table of eight. */
const NO_INDEX = [
  Number.NaN,
  1.5,
  -1,
  8,
  2 ** 32,
  Number.POSITIVE_INFINITY,
  '3',
  true,
  null,
  undefined,
  {},
  3n,
]

export function describeTables(memory: Memory): void {
  const create = (options: Partial<SharedLocksOptions> = {}): SharedLocks =>
    SharedLocks.create({ count: 8, memory, ...options })

  describe(`SharedLocks (${memory})`, { timeout }, () => {
    describeRequests(create)
    describeOrder(create)
    describeMisuse(create)
    describeTable(create)
    describeThreads(create)
    describeShared(create)
    describeReentrant(create)
    describeTimeouts(create)
  })
}

type Create = (options?: Partial<SharedLocksOptions>) => SharedLocks

function describeRequests(create: Create): void {
  it('holds a pair of locks during the call, and passes arguments and result', () => {
    const locks = create()
    const seen = locks.holdPair(7, 3, (a: number, b: string) => [a, b, busyLocks(locks)], 1, 'b')
    assert.deepEqual(seen, [1, 'b', [3, 7]])
    assert.deepEqual(busyLocks(locks), [])
  })

  it('takes each lock once', () => {
    const locks = create()
    assert.deepEqual(
      locks.holdPair(3, 3, () => busyLocks(locks)),
      [3],
    )
    assert.deepEqual(
      locks.hold([3, 1, 3, 1], () => busyLocks(locks)),
      [1, 3],
    )
    locks.lockPair(5, 5)
    assert.deepEqual(busyLocks(locks), [5])
    locks.unlockPair(5, 5)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('takes a set of any size from any iterable', () => {
    const locks = create()
    assert.deepEqual(
      locks.hold([], () => busyLocks(locks)),
      [],
    )
    assert.deepEqual(
      locks.hold(new Set([6, 2]), () => busyLocks(locks)),
      [2, 6],
    )
    assert.deepEqual(
      locks.hold([0, 1, 2, 3, 4, 5, 6, 7], () => busyLocks(locks).length),
      8,
    )
    assert.deepEqual(
      locks.holdAll(() => busyLocks(locks).length),
      8,
    )
    assert.deepEqual(busyLocks(locks), [])
  })

  it('unlocks manually taken locks in any order', () => {
    const locks = create()
    for (const order of [
      [1, 4, 6],
      [6, 4, 1],
      [4, 1, 6],
      [4, 6, 1],
    ]) {
      for (const lock of [1, 4, 6]) locks.lock(lock)
      const left = new Set([1, 4, 6])
      for (const lock of order) {
        locks.unlock(lock)
        left.delete(lock)
        assert.deepEqual(busyLocks(locks), [...left])
      }
    }
    locks.lockPair(2, 5)
    locks.lock(7)
    locks.unlockPair(5, 2)
    assert.deepEqual(busyLocks(locks), [7])
    locks.unlock(7)
  })

  it('releases the locks when the callback throws, and passes the error on', () => {
    const locks = create()
    const fault = new Error('mine')
    const fail = (): never => {
      throw fault
    }
    assert.throws(() => locks.holdPair(1, 2, fail), fault)
    assert.throws(() => locks.hold([1, 2, 3], fail), fault)
    assert.throws(() => locks.tryHold([1, 2, 3], fail), fault)
    assert.throws(() => locks.holdAll(fail), fault)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('returns at once from tryHold, and holds nothing where one lock is held', () => {
    const locks = create()
    const other = SharedLocks.open(locks.handle)
    other.lock(5)
    assert.equal(locks.tryHold([2, 5, 7], assert.fail), undefined)
    assert.deepEqual(busyLocks(locks), [5])
    other.unlock(5)
    assert.equal(
      locks.tryHold([2, 5, 7], () => 'held'),
      'held',
    )
  })

  it('refuses a promise from a blocking callback, and releases the locks', () => {
    const locks = create()
    // biome-ignore lint/suspicious/noThenProperty: it is what must be refused
    const late = { then: () => undefined }
    assert.throws(() => locks.holdPair(1, 2, () => late), { ...usage, message: /holdAsync/ })
    assert.throws(() => locks.hold([1], () => late), usage)
    assert.throws(() => locks.tryHold([1], () => late), usage)
    assert.throws(() => locks.holdAll(() => late), usage)
    assert.deepEqual(busyLocks(locks), [])
  })
}

function describeOrder(create: Create): void {
  it('refuses a lower number inside a higher one before it takes anything (order: ascending)', () => {
    const locks = create()
    locks.hold([4, 6], () => {
      assert.throws(() => locks.lock(5), { ...order, message: /lock 5 .* holds locks 4 and 6/ })
      assert.throws(() => locks.hold([7, 5], assert.fail), order)
      assert.throws(() => locks.holdPair(7, 1, refuse), order)
      assert.throws(() => locks.lockPair(1, 7), order)
      assert.throws(() => locks.tryHold([1], assert.fail), order)
      assert.throws(() => locks.holdAll(assert.fail), order)
      assert.deepEqual(busyLocks(locks), [4, 6])
      assert.equal(
        locks.hold([7], () => 'higher'),
        'higher',
      )
    })
    assert.deepEqual(busyLocks(locks), [])
  })

  for (const which of ['ascending', 'free'] as const) {
    it(`reports a thread that requests its own lock as a deadlock (${which})`, () => {
      const locks = create({ order: which, label: 'me' })
      locks.hold([2, 4], () => {
        const again: (() => unknown)[] = [
          () => locks.lock(4),
          () => locks.lockPair(4, 7),
          () => locks.holdPair(7, 4, refuse),
          () => locks.hold([4, 5], assert.fail),
        ]
        for (const request of again) assert.throws(request, deadlock)
        assert.throws(
          () => locks.lock(4),
          (error: DeadlockError) => {
            const [member, ...others] = error.report.cycle
            assert.deepEqual(others, [])
            assert.equal(member?.waiter.label, 'me')
            const held = member?.holds.map(({ name, mode }) => [name, mode])
            assert.deepEqual(held, [
              [2, 'exclusive'],
              [4, 'exclusive'],
            ])
            assert.deepEqual(member?.waitsFor, { name: 4, mode: 'exclusive', units: 1 })
            assert.match(member?.waitsAt ?? '', /contract/)
            return true
          },
        )
        assert.equal(locks.tryHold([4], assert.fail), undefined)
        assert.deepEqual(busyLocks(locks), [2, 4])
      })
    })
  }

  it('allows any order (order: free)', () => {
    const locks = create({ order: 'free' })
    locks.hold([6], () => {
      locks.hold([1, 7], () => assert.deepEqual(busyLocks(locks), [1, 6, 7]))
      locks.lock(0)
      locks.unlock(0)
      assert.deepEqual(busyLocks(locks), [6])
    })
  })
}

function describeMisuse(create: Create): void {
  it('refuses a call without a function before it takes anything', async () => {
    const locks = create()
    const message = /expected a function to call with the locks held, not/
    for (const fn of [undefined, null, 'x', {}] as never[]) {
      assert.throws(() => locks.hold([1], fn), { code: 'LOCK_USAGE', message })
      assert.throws(() => locks.hold([1], {}, fn), { code: 'LOCK_USAGE', message })
      assert.throws(() => locks.tryHold([1], fn), { code: 'LOCK_USAGE', message })
      assert.throws(() => locks.holdAll(fn), { code: 'LOCK_USAGE', message })
      await assert.rejects(locks.holdAsync([1], fn), { code: 'LOCK_USAGE', message })
    }
    assert.deepEqual(busyLocks(locks), [])
  })

  it('throws errors whose stack begins at the call, and that name the whole request', () => {
    const locks = create({ stripes: 4, label: 'me' })
    const calls: [() => unknown, RegExp][] = [
      [() => locks.lock(8), /from 0 to 7, not 8/],
      [
        () => locks.unlock(1),
        /does not hold lock 1 \(its 8 records share 4 locks: .*\); it holds nothing/,
      ],
      [() => locks.unlockPair(1, 2), /^unlockPair: me does not hold locks 1 and 2/],
      [() => locks.recover(5), /lock 1 \(.*i % 4\) is not abandoned: call recover only for/],
      [() => locks.hold(1, { timeout: 5 } as object, refuse), /hold: .* did you mean 'timeoutMs'/],
      [() => locks.lock(shared(1) as never), /lockShared\(1\) or hold\(\[shared\(1\)\]/],
      [() => locks.holdPair(1, -1, refuse), /not -1/],
      [() => locks.hold([1, 2], () => locks.hold([0, 3], refuse)), /hold\(\[0, 1, 2, 3\], …\)/],
      [
        () => locks.hold([6], () => locks.holdPair(1, 3, refuse)),
        /8 records share 4 locks.*hold\(\[1, 2, 3\]/,
      ],
      [() => locks.hold([2], () => locks.lock(2)), /me asks for lock 2, which it holds itself/],
      [() => locks.tryHold([Number.NaN], refuse), /not NaN/],
      [() => locks.recover(1), /not abandoned/],
    ]
    for (const [call, message] of calls) {
      assert.throws(call, (error: Error) => {
        assert.match(error.message, message)
        const [first = ''] = error.stack?.split('\n').filter((line) => /^ +at /.test(line)) ?? []
        assert.match(first, /contract\./)
        return true
      })
    }
  })

  it('refuses to wait for a lock that the same thread holds through another opening', () => {
    const locks = create({ label: 'one' })
    const again = SharedLocks.open(locks.handle, { label: 'again' })
    locks.hold([3], () => {
      const own = {
        ...usage,
        message: /again would wait for lock 3, which one holds.*more than once/,
      }
      assert.throws(() => again.lock(3), own)
      assert.throws(() => again.hold([1, 3], refuse), own)
    })
    again.hold([1, 3], () => {})
    again.close()
  })

  it('refuses an invalid lock number before it takes anything', async () => {
    const locks = create()
    for (const bad of NO_INDEX as unknown as number[]) {
      const calls: (() => unknown)[] = [
        () => locks.lock(bad),
        () => locks.unlock(bad),
        () => locks.lockPair(1, bad),
        () => locks.lockPair(bad, 1),
        () => locks.unlockPair(bad, 1),
        () => locks.holdPair(bad, 1, refuse),
        () => locks.holdPair(1, bad, refuse),
        () => locks.hold([1, bad], assert.fail),
        () => locks.tryHold([1, bad], assert.fail),
      ]
      for (const call of calls) assert.throws(call, { ...usage, message: /from 0 to 7/ })
      await assert.rejects(locks.holdAsync([1, bad], assert.fail), usage)
    }
    assert.deepEqual(busyLocks(locks), [])
  })

  it('takes one lock by its number, and shared(number)', async () => {
    const locks = create()
    assert.deepEqual(
      locks.hold(3, () => busyLocks(locks)),
      [3],
    )
    assert.deepEqual(
      locks.hold(3, { timeoutMs: 50 }, () => busyLocks(locks)),
      [3],
    )
    assert.deepEqual(
      locks.tryHold(0, () => busyLocks(locks)),
      [0],
    )
    await locks.holdAsync(shared(3), async () => {
      assert.equal(
        locks.tryHold(3, () => 'free'),
        undefined,
      )
      assert.equal(await locks.holdAsync(4, () => 'both'), 'both')
    })
    assert.deepEqual(busyLocks(locks), [])
  })

  it('refuses an invalid list of numbers', async () => {
    const locks = create()
    for (const bad of [undefined, null, 8, '3', 'ab', {}, { [Symbol.iterator]: 3 }] as never[]) {
      assert.throws(() => locks.hold(bad, assert.fail), LockwiseOrType)
      await assert.rejects(locks.holdAsync(bad, assert.fail), LockwiseOrType)
    }
    const broken = {
      *[Symbol.iterator]() {
        yield 1
        throw new Error('mine')
      },
    }
    assert.throws(() => locks.hold(broken, assert.fail), /mine/)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('refuses to release a lock that the caller does not hold', () => {
    const locks = create({ label: 'me' })
    const other = SharedLocks.open(locks.handle)
    assert.throws(() => locks.unlock(3), { ...usage, message: /me does not hold lock 3/ })
    other.lock(3)
    locks.lock(2)
    assert.throws(() => locks.unlock(3), usage)
    assert.throws(() => locks.unlockPair(2, 3), { ...usage, message: /it holds lock 2/ })
    assert.deepEqual(busyLocks(locks), [2, 3])
    other.unlock(3)
    assert.throws(() => other.unlock(3), usage)
    locks.unlock(2)
  })

  it('releases the other locks when the callback has released one of them', () => {
    const locks = create()
    assert.throws(() => locks.hold([3, 5, 7], () => locks.unlock(5)), {
      ...usage,
      message: /^hold: .* does not hold lock 5 any more, because its callback has unlocked/,
    })
    assert.throws(() => locks.holdPair(3, 5, () => locks.unlock(5)), usage)
    assert.throws(() => locks.holdPair(3, 5, () => locks.unlock(3)), usage)
    assert.throws(() => locks.tryHold([3, 5], () => locks.unlock(3)), usage)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('takes nothing for a thread that closes the table during the call', () => {
    const locks = create()
    const other = SharedLocks.open(locks.handle)
    const closing = function* () {
      yield 3
      locks.close()
    }
    assert.throws(() => locks.hold(closing(), refuse), { ...usage, message: /closed/ })
    assert.deepEqual(busyLocks(other), [])
  })

  it('loses no owner to an invalid label', () => {
    const locks = create({ owners: 2 })
    for (const label of [5, {}, Symbol('x')] as never[]) {
      assert.throws(() => SharedLocks.open(locks.handle, { label }), { ...usage, message: /label/ })
    }
    SharedLocks.open(locks.handle).close()
    for (const bad of [undefined, null, 3] as never[]) {
      assert.throws(() => SharedLocks.create(bad), usage)
    }
    assert.throws(() => SharedLocks.open(locks.handle, null as never), usage)
  })

  it('refuses options out of their range, and names them', () => {
    const wrong: [string, object][] = [
      ['count', { count: 0 }],
      ['count', { count: 1.5 }],
      ['count', { count: '8' }],
      ['recordBytes', { recordBytes: 12 }],
      ['recordBytes', { recordBytes: 0 }],
      ['stripes', { stripes: 0 }],
      ['stripes', { stripes: 9 }],
      ['order', { order: 'descending' }],
      ['owners', { owners: 70_000 }],
      ['memory', { memory: 'file' }],
      ['bytes', { count: 2 ** 31 - 1 }],
    ]
    for (const [option, options] of wrong) {
      assert.throws(() => create(options), { ...usage, message: new RegExp(option) })
    }
  })

  it('opens only a handle', () => {
    const locks = create()
    const { handle } = locks
    const wrong = [
      undefined,
      {},
      { ...handle, kind: 'other' },
      { ...handle, memory: new ArrayBuffer(8) },
      { kind: 'lockwise/threads', memory: new SharedArrayBuffer(65536) },
      { kind: 'lockwise/threads', memory: new SharedArrayBuffer(0) },
      { kind: 'lockwise/threads', memory: new SharedArrayBuffer(3) },
      { kind: 'lockwise/threads', memory: beginningOf(locks) },
    ]
    for (const bad of wrong as never[]) assert.throws(() => SharedLocks.open(bad), usage)
    assert.throws(() => locks.view(undefined as never), usage)
    assert.throws(() => locks.view(Array as never), usage)
  })

  it('reports that all owners are in use, and gives an owner back on close', () => {
    const locks = create({ owners: 2 })
    const second = SharedLocks.open(locks.handle, { label: 'second' })
    assert.equal(second.thread, 2)
    assert.throws(() => SharedLocks.open(locks.handle), { ...usage, message: /owners/ })
    second.lock(1)
    assert.throws(() => second.close(), { ...usage, message: /second still holds lock 1/ })
    second.unlock(1)
    second.close()
    second.close()
    assert.throws(() => second.lock(1), { ...usage, message: /closed/ })
    assert.throws(() => second.holdPair(1, 2, refuse), { ...usage, message: /closed/ })
    assert.throws(() => second.hold([], assert.fail), { ...usage, message: /closed/ })
    assert.throws(() => second.holdAll(assert.fail), { ...usage, message: /closed/ })
    assert.equal(SharedLocks.open(locks.handle).thread, 2)
  })
}

function describeTable(create: Create): void {
  it('keeps data behind each lock intact', () => {
    for (const recordBytes of [16, 24, 64, 128]) {
      const locks = create({ recordBytes })
      const bytes = locks.view(Uint8Array)
      for (let i = 0; i < 8; i++) bytes.fill(i + 1, i * recordBytes, (i + 1) * recordBytes - 8)
      locks.holdAll(() => locks.hold([], () => undefined))
      locks.hold([1, 3, 5], () => assert.deepEqual(busyLocks(locks), [1, 3, 5]))
      for (let i = 0; i < 8; i++) {
        const record = bytes.subarray(i * recordBytes, (i + 1) * recordBytes - 8)
        assert.ok(record.every((byte) => byte === i + 1))
      }
      assert.equal(bytes.length, 8 * recordBytes - 8)
    }
  })

  it('maps all records to a few locks when it is striped', () => {
    const locks = create({ stripes: 3, recordBytes: 8 })
    assert.equal(locks.lockCount, 3)
    assert.equal(locks.count, 8)
    assert.deepEqual(
      locks.hold([1, 4, 7], () => busyLocks(locks)),
      [1, 4, 7],
    )
    assert.deepEqual(
      locks.holdPair(1, 7, () => busyLocks(locks)),
      [1, 4, 7],
    )
    // Record 5 has lock 2, record 6 has lock 0. Locks are taken in the order of locks, not of records.
    assert.deepEqual(
      locks.holdPair(5, 6, () => busyLocks(locks)),
      [0, 2, 3, 5, 6],
    )
    locks.lock(5)
    assert.throws(() => locks.lock(6), order)
    assert.throws(() => locks.lock(2), deadlock)
    locks.unlock(5)
    const all = locks.view(Float64Array)
    assert.equal(all.length, 8)
    all.fill(-1)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('has its options as properties', () => {
    const locks = create({ label: 'the first', recordBytes: 32, order: 'free' })
    const { count, lockCount, recordBytes, label, thread, sleeps } = locks
    assert.deepEqual([count, lockCount, recordBytes, locks.order], [8, 8, 32, 'free'])
    assert.deepEqual([label, thread, sleeps], ['the first', 1, 0])
    assert.equal(SharedLocks.open(locks.handle).label, 'thread 2')
  })
}

function describeThreads(create: Create): void {
  it('wakes a sleeping waiter when the lock is released', async () => {
    const locks = create()
    const [holder, waiter] = [newFlags(), newFlags()]
    const holding = inThread(locks, 'holdUntilFlag', { flags: holder, indices: [2, 5] })
    await flagIsSet(holder, 0)
    const waiting = inThread(locks, 'takeAndMeasure', { flags: waiter, indices: [1, 5, 6] })
    // It has slept once, and goes to sleep again.
    await untilAsleep(locks, 2)
    // The waiter holds lock 1 by now, but not lock 6, which comes after the busy one.
    assert.deepEqual(busyLocks(locks), [1, 2, 5])
    setFlag(holder, 1, 1)
    const { ms, sleeps } = await waiting
    await holding
    // A sleep is short at first, and long later.
    assert.ok(sleeps >= 1 && sleeps < 5 + ms / 50, `slept ${sleeps} times in ${ms} ms`)
    assert.deepEqual(busyLocks(locks), [])
  })

  it('grants a lock to all its waiters in turn', async () => {
    const locks = create()
    const holder = newFlags()
    const holding = inThread(locks, 'holdUntilFlag', { flags: holder, indices: [3] })
    await flagIsSet(holder, 0)
    const waiting = Array.from({ length: 6 }, () =>
      inThread(locks, 'askFor', { flags: newFlags(), indices: [3] }),
    )
    const tasks = Array.from({ length: 6 }, (_, i) => locks.holdAsync([3], async () => i))
    await untilWaiting(locks, 3, waiting.length + tasks.length)
    setFlag(holder, 1, 1)
    await Promise.all([holding, ...waiting])
    assert.deepEqual(await Promise.all(tasks), [0, 1, 2, 3, 4, 5])
    assert.deepEqual(busyLocks(locks), [])
  })

  const shapes: Partial<SharedLocksOptions>[] = [
    {},
    { order: 'free' },
    { stripes: 3 },
    { recordBytes: 16 },
    { count: 100 },
  ]
  for (const shape of shapes) {
    it(`lets no two threads inside together: ${JSON.stringify(shape)}`, async () => {
      const locks = create(shape)
      const counts = await Promise.all(
        [1, 2, 3, 4].map((seed) => inThread(locks, 'incrementAtRandom', { seed, rounds: 6000 })),
      )
      const view = locks.view(Float64Array)
      for (let i = 0; i < locks.count; i++) {
        const expected = counts.reduce((sum, count) => sum + (count[i] as number), 0)
        assert.equal(view[(i * locks.recordBytes) / 8], expected, `record ${i}`)
      }
      assert.deepEqual(busyLocks(locks), [])
    })
  }
}

/** A copy of the first bytes of a table's memory. */
function beginningOf(locks: SharedLocks): SharedArrayBuffer {
  const beginning = new SharedArrayBuffer(256)
  const whole = locks.view(Uint8Array).buffer
  new Uint8Array(beginning).set(new Uint8Array(whole, 0, 256))
  return beginning
}

/** The errors for a value that is not a list: lockwise's, or the language's own. */
function LockwiseOrType(error: unknown): boolean {
  return error instanceof LockUsageError || error instanceof TypeError
}
