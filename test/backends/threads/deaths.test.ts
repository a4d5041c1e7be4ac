/** The locks of a thread that ends while it holds them or waits for them. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type AbandonedLocks,
  type LockTimeoutError,
  OwnerDiedError,
  SharedLocks,
  type SharedLocksOptions,
} from '../../../src/backends/threads/index.ts'
import { setFlag } from './programs.ts'
import {
  endHolding,
  flagIsSet,
  inThread,
  newFlags,
  startThread,
  untilAsleep,
  untilWaiting,
} from './threads.ts'

const died = { name: 'OwnerDiedError', code: 'LOCK_OWNER_DIED' }
const usage = { name: 'LockUsageError', code: 'LOCK_USAGE' }
const timeout = 120_000

for (const memory of ['wasm', 'buffer'] as const) {
  const create = (options: Partial<SharedLocksOptions> = {}): SharedLocks =>
    SharedLocks.create({ count: 8, memory, ...options })

  describe(`the end of a thread (${memory})`, { timeout }, () => {
    describeAbandoned(create)
    describeTries(create)
    describeRepair(create)
    describeWaiting(create)
  })
}

type Create = (options?: Partial<SharedLocksOptions>) => SharedLocks

function describeTries(create: Create): void {
  /** Blocks the event loop, so that no `exit` event reports the end. */
  const block = (ms: number): unknown =>
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

  it('is noticed by a thread that only tries, where the lock was held shared', async () => {
    const locks = create()
    const flags = newFlags()
    const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [], reads: 3 })
    await flagIsSet(flags, 0)
    const ended = worker.terminate()
    let isHeld: true | undefined
    for (let i = 0; i < 500 && !isHeld; i++) {
      isHeld = locks.tryHold([3], () => true)
      block(10)
    }
    assert.equal(isHeld, true)
    await Promise.all([ended, assert.rejects(answer)])
  })

  it('is noticed by a thread that also tries other locks, whose holders live', async () => {
    const locks = create()
    const [first, second] = [newFlags(), newFlags()]
    const lives = inThread(locks, 'holdUntilFlag', { flags: first, indices: [0] })
    const dies = startThread(locks, 'holdUntilFlag', { flags: second, indices: [1] })
    await Promise.all([flagIsSet(first, 0), flagIsSet(second, 0)])
    const ended = dies.worker.terminate()
    assert.throws(() => {
      for (let i = 0; i < 50; i++) {
        locks.tryHold([0], assert.fail)
        locks.tryHold([1], assert.fail)
        // Longer than the result of a check is reused.
        block(120)
      }
    }, died)
    setFlag(first, 1, 1)
    await Promise.all([ended, assert.rejects(dies.answer), lives])
  })
}

function describeAbandoned(create: Create): void {
  it('leaves its locks abandoned, and the next taker gets an error that says so', async () => {
    const locks = create()
    await endHolding(locks, 2, 5)
    const isReported = (error: unknown): boolean => {
      assert.ok(error instanceof OwnerDiedError)
      assert.deepEqual(error.abandoned, { thread: 2, label: 'the dead one', locks: [2, 5] })
      assert.match(
        error.message,
        /^lock [25] was left by the dead one.* 2 and 5.*onOwnerDied.*recover/,
      )
      return true
    }
    for (let i = 0; i < 2; i++) {
      assert.throws(() => locks.lock(2), isReported)
      assert.throws(() => locks.hold([1, 5], () => assert.fail()), isReported)
      assert.throws(() => locks.holdPair(1, 5, () => assert.fail()), isReported)
      assert.throws(() => locks.holdAll(() => assert.fail()), isReported)
      assert.throws(() => locks.tryHold([1, 5], () => assert.fail()), isReported)
      await assert.rejects(
        locks.holdAsync([1, 5], () => assert.fail()),
        isReported,
      )
    }
    assert.equal(
      locks.tryHold([0, 1, 3, 4, 6, 7], () => 'all others are free'),
      'all others are free',
    )
  })

  for (const how of ['exit', 'throw'] as const) {
    it(`by ${how} leaves its locks abandoned too`, async () => {
      const locks = create()
      const flags = newFlags()
      const { worker, answer } = startThread(locks, 'endHolding', { flags, indices: [3], how })
      const ended = new Promise((resolve) => worker.on('exit', resolve))
      setFlag(flags, 1, 1)
      await Promise.all([ended, assert.rejects(answer)])
      assert.throws(() => locks.lock(3), died)
    })
  }

  it('is noticed by a parent that waits for the lock and runs no event loop', async () => {
    const locks = create()
    const flags = newFlags()
    const data = { flags, indices: [3], how: 'exit' as const }
    const { answer } = startThread(locks, 'endHolding', data)
    const rejected = assert.rejects(answer)
    await flagIsSet(flags, 0)
    setFlag(flags, 1, 1)
    assert.throws(() => locks.lock(3), died)
    await rejected
  })

  it('is noticed by a parent that only tries, and runs no event loop', async () => {
    const locks = create()
    const flags = newFlags()
    const { answer } = startThread(locks, 'endHolding', { flags, indices: [3], how: 'exit' })
    const rejected = assert.rejects(answer)
    await flagIsSet(flags, 0)
    setFlag(flags, 1, 1)
    assert.throws(() => {
      for (let tries = 0; tries < 1000; tries++) {
        assert.equal(
          locks.tryHold([3], () => 'had'),
          undefined,
        )
        Atomics.wait(flags, 2, 0, 10)
      }
    }, died)
    await rejected
  })

  it('leaves the locks of its asynchronous holdings abandoned', async () => {
    const locks = create()
    const flags = newFlags()
    const data = { flags, first: 1, second: 4 }
    const { worker, answer } = startThread(locks, 'holdInTask', data)
    await flagIsSet(flags, 0)
    await Promise.all([worker.terminate(), assert.rejects(answer)])
    assert.throws(
      () => locks.lock(4),
      (error: OwnerDiedError) => assert.deepEqual(error.abandoned?.locks, [1, 4]) === undefined,
    )
    locks.recover(1)
    locks.hold([1, 4], () => {})
  })

  it('releases its owner slot when no abandoned lock is left', async () => {
    const locks = create({ owners: 2 })
    for (let i = 0; i < 3; i++) {
      await endHolding(locks, 4)
      assert.throws(() => SharedLocks.open(locks.handle), usage)
      locks.recover(4)
      SharedLocks.open(locks.handle).close()
    }
  })

  it('allows recover() for abandoned locks only', async () => {
    const locks = create()
    assert.throws(() => locks.recover(3), usage)
    assert.throws(() => locks.recover(Number.NaN), usage)
    locks.lock(3)
    assert.throws(() => locks.recover(3), usage)
    locks.unlock(3)
    await endHolding(locks, 2, 5)
    assert.throws(() => locks.recover(3), usage)
    locks.recover(5)
    assert.throws(() => locks.recover(5), usage)
    locks.hold([2, 5], () => {})
  })

  it('says who repairs a lock that recover() is called for', async () => {
    let refused: unknown
    const locks = create({
      onOwnerDied: () => {
        try {
          locks.recover(5)
        } catch (error) {
          refused = error
        }
      },
    })
    await endHolding(locks, 5)
    locks.hold([5], () => {})
    assert.match(
      String(refused),
      /recover: thread \d+ already repairs lock 5, which the dead one left: do not call recover for it; the lock becomes free when that repair ends$/,
    )
  })
}

function describeRepair(create: Create): void {
  it('is repaired once, with all locks held, by the thread that met one of them', async () => {
    const seen: AbandonedLocks[] = []
    const locks: SharedLocks = create({
      onOwnerDied: (abandoned) => {
        seen.push(abandoned)
        for (const lock of abandoned.locks)
          assert.equal(
            other.tryHold([lock], () => 'had'),
            undefined,
          )
      },
    })
    const other = SharedLocks.open(locks.handle)
    await endHolding(locks, 2, 5)
    // It holds 4 while it takes over 2. No thread waits, so that breaks no order.
    assert.equal(
      locks.hold([4, 5], () => 'held'),
      'held',
    )
    assert.deepEqual(seen, [{ thread: 3, label: 'the dead one', locks: [2, 5] }])
    other.hold([2, 5], () => {})
  })

  it('is repaired for asynchronous holdings and tryHold too', async () => {
    let repairs = 0
    const locks = create({ onOwnerDied: () => void repairs++ })
    await endHolding(locks, 2)
    assert.equal(await locks.holdAsync([2], () => 'held'), 'held')
    await endHolding(locks, 2)
    assert.equal(
      locks.tryHold([2], () => 'held'),
      'held',
    )
    assert.equal(repairs, 2)
  })

  it('leaves the locks abandoned when the repair fails', async () => {
    let fails = true
    const locks = create({
      onOwnerDied: () => {
        if (fails) throw new RangeError('cannot')
      },
    })
    await endHolding(locks, 2, 5)
    assert.throws(() => locks.hold([1, 2], () => {}), { message: 'cannot' })
    assert.throws(() => SharedLocks.open(locks.handle).lock(5), died)
    fails = false
    locks.hold([1, 2], () => {})
    locks.hold([5], () => {})
  })

  it('refuses a repair that is asynchronous or not a function', async () => {
    const onOwnerDied = (async () => {}) as () => void
    const locks = create({ onOwnerDied })
    await endHolding(locks, 2)
    assert.throws(() => locks.lock(2), usage)
    assert.throws(() => SharedLocks.open(locks.handle).lock(2), died)
    assert.throws(() => create({ onOwnerDied: 3 as never }), usage)
  })

  it('refuses a repair that requests the locks it has, or closes the table', async () => {
    for (const reentrant of [false, true]) {
      const makers = create({ reentrant })
      const said: unknown[] = []
      const locks = SharedLocks.open(makers.handle, {
        onOwnerDied: ({ locks: abandoned }) => {
          for (const call of [
            () => locks.hold(abandoned, () => assert.fail()),
            () => locks.lock(2),
            () => locks.close(),
          ]) {
            try {
              call()
            } catch (error) {
              said.push((error as Error).message)
            }
          }
        },
      })
      await endHolding(makers, 2)
      assert.equal(
        locks.hold([2], () => 'held'),
        'held',
      )
      assert.equal(said.length, 3)
      assert.match(
        `${said[0]}`,
        /^lock 2 was left by the dead one, and onOwnerDied holds it already/,
      )
      assert.match(
        `${said[1]}`,
        /^lock 2 was left by the dead one, and onOwnerDied holds it already/,
      )
      assert.match(`${said[2]}`, /^close: onOwnerDied is repairing/)
      locks.close()
    }
  })

  it('refuses a repair that requests the locks it has, where an asynchronous holding met it', async () => {
    const locks: SharedLocks = create({
      onOwnerDied: ({ locks: left }) => locks.hold(left, { timeoutMs: 300 }, assert.fail),
    })
    await endHolding(locks, 2)
    await assert.rejects(locks.holdAsync([2], assert.fail), {
      ...usage,
      message: /^lock 2 was left by the dead one, and onOwnerDied holds it already/,
    })
  })

  it('refuses a repair that requests the locks it has through another opening of the table', async () => {
    const locks = create({ onOwnerDied: () => other.hold(2, { timeoutMs: 300 }, assert.fail) })
    const other = SharedLocks.open(locks.handle)
    await endHolding(locks, 2)
    assert.throws(() => locks.hold(2, assert.fail), { ...usage, message: /more than once/ })
  })

  for (const order of ['ascending', 'free'] as const) {
    it(`lets a repair wait for a lower lock only without an order (${order})`, async () => {
      const answers: unknown[] = []
      const locks: SharedLocks = create({
        order,
        onOwnerDied: () => {
          for (const lock of [4, 3, 7]) {
            try {
              answers.push(locks.hold(lock, { timeoutMs: 20 }, () => lock))
            } catch (error) {
              answers.push((error as { code: string }).code)
            }
          }
          answers.push(locks.tryHold(4, () => true))
        },
      })
      const flags = newFlags()
      const other = inThread(locks, 'holdUntilFlag', { flags, indices: [4] })
      await flagIsSet(flags, 0)
      await endHolding(locks, 5)
      locks.hold(5, () => {})
      await endHolding(locks, 5)
      await locks.holdAsync(5, () => {})
      const busy = order === 'free' ? 'LOCK_TIMEOUT' : 'LOCK_ORDER'
      assert.deepEqual(answers, [busy, 3, 7, undefined, busy, 3, 7, undefined])
      setFlag(flags, 1, 1)
      await other
    })
  }

  it('is repaired by an owner that waiters see as the holder', async () => {
    const locks = create()
    await endHolding(locks, 2, 5)
    const flags = newFlags()
    const { worker, answer } = startThread(locks, 'repairForever', { flags, index: 5 })
    await flagIsSet(flags, 0)
    assert.throws(
      () => locks.hold(2, { timeoutMs: 20 }, assert.fail),
      (error: LockTimeoutError) => {
        const [holder, ...others] = error.holders ?? []
        assert.deepEqual([holder?.repairs, holder?.waits, others], ['the dead one', null, []])
        assert.match(
          error.message,
          new RegExp(`held by ${holder?.label} \\(repairs what the dead one left\\)`),
        )
        return holder?.label !== 'the dead one'
      },
    )
    await Promise.all([worker.terminate(), assert.rejects(answer)])
  })

  it('leaves the locks abandoned when the recovering owner ends too', async () => {
    const locks = create()
    await endHolding(locks, 2, 5)
    const flags = newFlags()
    const { worker, answer } = startThread(locks, 'repairForever', { flags, index: 5 })
    await flagIsSet(flags, 0)
    const waiting = inThread(locks, 'askFor', { flags: newFlags(), indices: [2] })
    await Promise.all([worker.terminate(), assert.rejects(answer)])
    assert.equal(await waiting, 'LOCK_OWNER_DIED')
    assert.throws(
      () => locks.lock(5),
      (error: OwnerDiedError) => assert.deepEqual(error.abandoned?.locks, [2, 5]) === undefined,
    )
  })
}

function describeWaiting(create: Create): void {
  it('abandons no lock that the thread only waited for', async () => {
    const locks = create({ owners: 3 })
    for (let i = 0; i < 3; i++) {
      const flags = newFlags()
      locks.lock(3)
      const { worker, answer } = startThread(locks, 'askFor', { flags, indices: [1, 3] })
      await untilWaiting(locks, 3)
      await untilAsleep(locks, i)
      await Promise.all([worker.terminate(), assert.rejects(answer)])
      locks.unlock(3)
      locks.lock(3)
      locks.unlock(3)
      assert.throws(() => locks.lock(1), died)
      locks.recover(1)
    }
  })

  it('loses no wake-up just after the thread was woken', async () => {
    const locks = create()
    for (let i = 0; i < 20; i++) {
      const [first, second] = [newFlags(), newFlags()]
      locks.lock(3)
      const dies = startThread(locks, 'askFor', { flags: first, indices: [3] })
      await untilWaiting(locks, 3)
      const stays = startThread(locks, 'askFor', { flags: second, indices: [3] })
      await untilWaiting(locks, 3, 2)
      locks.unlock(3)
      await Promise.all([dies.worker.terminate(), dies.answer.catch(() => {})])
      const answer = await stays.answer
      assert.ok(answer === 'held' || answer === 'LOCK_OWNER_DIED', answer)
      // The thread that dies may also have got the lock after the other one.
      try {
        locks.hold([3], () => {})
      } catch (error) {
        assert.equal((error as { code: string }).code, 'LOCK_OWNER_DIED')
        locks.recover(3)
      }
    }
  })
}
