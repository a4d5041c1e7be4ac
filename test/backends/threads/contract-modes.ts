/** The contract of every table beyond exclusive locks taken once: shared mode, re-entrancy, timeouts. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  DeadlockError,
  exclusive,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  SharedLocks,
  type SharedLocksOptions,
  shared,
} from '../../../src/backends/threads/index.ts'
import { meeting, until } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, startThread, untilWaiting } from './threads.ts'

type Create = (options?: Partial<SharedLocksOptions>) => SharedLocks

/** The mode in which another owner could have each lock at once. */
function modes(locks: SharedLocks): string {
  const other = SharedLocks.open(locks.handle)
  const letters = Array.from({ length: locks.count }, (_, i) => {
    if (other.tryHold([i], () => true)) return '.'
    return other.tryHold([shared(i)], () => true) ? 's' : 'x'
  })
  other.close()
  return letters.join('')
}

export function describeShared(create: Create): void {
  it('holds a shared lock together with others, and an exclusive one by itself', () => {
    const locks = create({ count: 4 })
    const other = SharedLocks.open(locks.handle)
    locks.hold([shared(1), 2], () => {
      assert.equal(modes(locks), '.sx.')
      other.hold([shared(1), exclusive(3)], () => assert.equal(modes(locks), '.sxx'))
      assert.equal(other.tryHold([1], assert.fail), undefined)
      assert.equal(modes(locks), '.sx.')
    })
    assert.equal(modes(locks), '....')
    locks.lockShared(0)
    other.lockShared(0)
    locks.unlockShared(0)
    assert.equal(modes(locks), 's...')
    other.unlockShared(0)
    assert.equal(modes(locks), '....')
  })

  it('takes a lock that is requested in both modes once, exclusively', () => {
    const locks = create({ count: 4, stripes: 2 })
    locks.hold([shared(1), exclusive(3), shared(0), shared(2)], () =>
      assert.equal(modes(locks), 'sxsx'),
    )
    assert.equal(modes(locks), '....')
  })

  it('keeps the order between shared and exclusive locks', () => {
    const locks = create()
    locks.lockShared(2)
    locks.lock(4)
    locks.lockShared(5)
    for (const low of [0, 3]) {
      assert.throws(() => locks.lock(low), LockOrderError)
      assert.throws(() => locks.lockShared(low), LockOrderError)
      assert.throws(() => locks.lockPair(low, 7), LockOrderError)
      assert.throws(() => locks.tryHold([low], assert.fail), LockOrderError)
      assert.throws(() => locks.holdAll(assert.fail), LockOrderError)
    }
    locks.holdPair(6, 7, () => assert.equal(modes(locks), '..s.xsxx'))
    locks.unlockShared(2)
    locks.unlock(4)
    assert.equal(modes(locks), '.....s..')
    locks.unlockShared(5)
    locks.holdAll(() => assert.equal(modes(locks), 'xxxxxxxx'))
    assert.equal(modes(locks), '........')
  })

  for (const order of ['ascending', 'free'] as const) {
    it(`refuses to upgrade a lock that is held shared, and says why (${order})`, () => {
      const locks = create({ order, label: 'me' })
      locks.lockShared(3)
      const message =
        /me holds lock 3 shared and requests it exclusively: .* Request the lock exclusively from the start/
      assert.throws(() => locks.lock(3), { code: 'LOCK_USAGE', message })
      if (order === 'free') assert.throws(() => locks.hold([2, 3], assert.fail), { message })
      assert.throws(() => locks.lockShared(3), DeadlockError)
      assert.equal(locks.tryHold([3], assert.fail), undefined)
      assert.equal(locks.tryHold([shared(3)], assert.fail), undefined)
      locks.unlockShared(3)
      assert.equal(modes(locks), '........')
    })
  }

  it('unlocks in the mode in which a lock is held only', () => {
    const locks = create()
    const message = /does not hold lock 3/
    assert.throws(() => locks.unlockShared(3), { code: 'LOCK_USAGE', message })
    locks.lockShared(3)
    const isShared =
      /unlock: .* holds lock 3 shared, not exclusively: release it with unlockShared\(3\)/
    assert.throws(() => locks.unlock(3), { code: 'LOCK_USAGE', message: isShared })
    assert.throws(() => locks.close(), /still holds lock 3/)
    locks.unlockShared(3)
    locks.lock(3)
    const isAlone =
      /unlockShared: .* holds lock 3 exclusively, not shared: release it with unlock\(3\)/
    assert.throws(() => locks.unlockShared(3), { code: 'LOCK_USAGE', message: isAlone })
    locks.unlock(3)
    locks.close()
  })

  it('advises against a second request for a lock that is held shared', () => {
    const locks = create()
    const again = (): unknown => locks.hold(shared(3), () => locks.hold(shared(3), assert.fail))
    assert.throws(again, (error) => {
      assert.ok(error instanceof DeadlockError)
      assert.equal(error.report.cycle[0]?.waitsFor.mode, 'shared')
      assert.match(error.message, /do not ask for lock 3 again/)
      return true
    })
    locks.close()
  })

  it('refuses invalid modes and names', () => {
    const locks = create()
    const wrong = [
      { name: 1, mode: 'both' },
      { name: '1', mode: 'shared' },
      { name: 8, mode: 'shared' },
      shared(1.5),
      ['1'],
      () => 1,
    ]
    for (const each of wrong) {
      assert.throws(() => locks.hold([each as never], assert.fail), LockUsageError)
    }
    assert.throws(() => locks.lockShared(-1), /from 0 to 7, not -1/)
    assert.throws(() => locks.unlockShared(8), /from 0 to 7, not 8/)
  })

  it('grants a waiting writer when the readers have left, and no reader before it', async () => {
    const locks = create()
    const flags = newFlags()
    locks.lockShared(3)
    const writer = inThread(locks, 'holdUntilFlag', { flags, indices: [3] })
    const other = SharedLocks.open(locks.handle)
    // From some moment on the writer is pending, and no other owner gets in.
    while (other.tryHold([shared(3)], () => true)) {}
    assert.equal(Atomics.load(flags, 0), 0)
    locks.unlockShared(3)
    await flagIsSet(flags, 0)
    assert.equal(other.tryHold([shared(3)], assert.fail), undefined)
    setFlag(flags, 1, 1)
    await writer
    assert.equal(modes(locks), '........')
  })

  it('grants all readers at once when the writer has left', async () => {
    const locks = create()
    const flags = newFlags()
    const readers = [1, 2, 3].map(() =>
      inThread(locks, 'readTogether', { flags, index: 3, readers: 3 }),
    )
    locks.lock(3)
    await untilWaiting(locks, 3, readers.length)
    locks.unlock(3)
    assert.deepEqual(await Promise.all(readers), [3, 3, 3])
  })

  it('holds shared without blocking', async () => {
    const locks = create()
    const order: string[] = []
    const meet = meeting(2)
    const reader = (name: string): Promise<void> =>
      locks.holdAsync([shared(3)], async () => {
        order.push(`${name} in`)
        await meet()
        order.push(`${name} out`)
      })
    await Promise.all([
      reader('a'),
      reader('b'),
      locks.holdAsync([3], () => {
        order.push('writer')
      }),
    ])
    assert.deepEqual(order.slice(0, 2).sort(), ['a in', 'b in'])
    assert.equal(order.at(-1), 'writer')
    assert.equal(modes(locks), '........')
  })

  it('finds a deadlock through readers, and lists each held lock with its mode', async () => {
    const locks = create({ order: 'free', label: 'main' })
    const flags = newFlags()
    const other = inThread(locks, 'readAndTake', { flags, read: 1, take: 0 }, 'other')
    await locks.holdAsync([shared(0)], async () => {
      await flagIsSet(flags, 0)
      const outcome = locks
        .holdAsync([1], () => 'held')
        .catch((error: DeadlockError) => {
          const [victim, next] = error.report.cycle
          assert.equal(victim?.waiter.label, 'main (task 2)')
          const modes = (member = victim): unknown[] =>
            member?.holds.map(({ name, mode }) => [name, mode]) ?? []
          assert.deepEqual(modes(), [[0, 'shared']])
          assert.deepEqual(
            [next?.waiter.label, modes(next), next?.waitsFor.name],
            ['other', [[1, 'shared']], 0],
          )
          return 'victim'
        })
      assert.deepEqual([await outcome].includes('victim') ? 'victim' : await other, 'victim')
    })
    await other
    assert.equal(modes(locks), '........')
  })

  it('releases the shared locks of a thread that ended, and waits for no dead reader', async () => {
    const locks = create()
    const flags = newFlags()
    const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [], reads: 3 })
    answer.catch(() => {})
    await flagIsSet(flags, 0)
    assert.equal(modes(locks), '...s....')
    const waiting = inThread(locks, 'askFor', { flags: newFlags(), indices: [3] })
    await untilWaiting(locks, 3)
    await worker.terminate()
    assert.equal(await waiting, 'held')
    assert.equal(modes(locks), '........')
  })

  it('admits readers again when a pending writer has ended', async () => {
    const locks = create()
    locks.lockShared(3)
    const { worker, answer } = startThread(locks, 'askFor', { flags: newFlags(), indices: [3] })
    answer.catch(() => {})
    const other = SharedLocks.open(locks.handle)
    await until(() => other.tryHold([shared(3)], () => true) === undefined)
    await worker.terminate()
    other.lockShared(3)
    other.unlockShared(3)
    locks.unlockShared(3)
    assert.equal(modes(locks), '........')
  })
}

export function describeReentrant(create: Create): void {
  it('takes a re-entrant lock again, and releases it after as many unlocks', () => {
    const locks = create({ reentrant: true })
    assert.equal(locks.reentrant, true)
    assert.equal(SharedLocks.open(locks.handle).reentrant, true)
    locks.lock(3)
    locks.lock(5)
    locks.lock(3)
    locks.lockPair(5, 3)
    locks.holdPair(3, 7, () => assert.equal(modes(locks), '...x.x.x'))
    locks.hold([3, 5, 6], () => assert.equal(modes(locks), '...x.xx.'))
    assert.equal(
      locks.tryHold([3, 5], () => 'held'),
      'held',
    )
    assert.throws(() => locks.lock(4), LockOrderError)
    locks.unlock(5)
    locks.unlock(3)
    assert.equal(modes(locks), '...x.x..')
    locks.unlockPair(3, 5)
    assert.equal(modes(locks), '...x....')
    locks.unlock(3)
    assert.equal(modes(locks), '........')
    assert.throws(() => locks.unlock(3), /does not hold lock 3/)
    assert.throws(() => locks.unlockPair(3, 5), /does not hold/)
  })

  it('nests holdAll inside holdAll', () => {
    const locks = create({ reentrant: true, stripes: 3 })
    locks.holdAll(() => {
      locks.holdAll(() => locks.hold([4, 7], () => assert.equal(modes(locks), 'xxxxxxxx')))
      assert.equal(modes(locks), 'xxxxxxxx')
    })
    assert.equal(modes(locks), '........')
  })

  it('unlocks with unlockShared only what was taken shared', () => {
    const locks = create({ reentrant: true })
    locks.lock(3)
    assert.throws(() => locks.unlockShared(3), LockUsageError)
    assert.equal(modes(locks)[3], 'x')
    locks.lockShared(3)
    locks.unlockShared(3)
    assert.throws(() => locks.unlockShared(3), LockUsageError)
    assert.equal(modes(locks)[3], 'x')
    locks.unlock(3)
    assert.equal(modes(locks)[3], '.')
  })

  it('counts shared holdings of a re-entrant table, and refuses to upgrade them', () => {
    const locks = create({ reentrant: true })
    locks.lockShared(3)
    locks.lockShared(3)
    assert.throws(() => locks.lock(3), /shared and requests it exclusively/)
    locks.unlockShared(3)
    assert.equal(modes(locks), '...s....')
    locks.unlockShared(3)
    assert.throws(() => locks.unlockShared(3), /does not hold/)
    locks.lock(3)
    locks.hold([shared(3), shared(4)], () => assert.equal(modes(locks), '...xs...'))
    assert.equal(modes(locks), '...x....')
    locks.unlock(3)
    assert.equal(modes(locks), '........')
  })

  it('nests asynchronous holdings', async () => {
    const locks = create({ reentrant: true })
    const seen = await locks.holdAsync([3, shared(5)], () =>
      locks.holdAsync([shared(5), 3, 6], async () => {
        await undefined
        return modes(locks)
      }),
    )
    assert.equal(seen, '...x.sx.')
    await assert.rejects(
      locks.holdAsync([shared(5)], () => locks.holdAsync([5], assert.fail)),
      LockUsageError,
    )
    assert.equal(modes(locks), '........')
  })
}

export function describeTimeouts(create: Create): void {
  it('rejects after timeoutMs, and names the holder and its mode', async () => {
    const locks = create({ label: 'main' })
    const flags = newFlags()
    const other = inThread(locks, 'holdUntilFlag', { flags, indices: [3] }, 'other')
    await flagIsSet(flags, 0)
    const began = performance.now()
    for (const timeoutMs of [0, 30]) {
      assert.throws(() => locks.hold([1, 3], { timeoutMs }, assert.fail), {
        name: 'LockTimeoutError',
        code: 'LOCK_TIMEOUT',
        message: new RegExp(
          `main did not get its locks within ${timeoutMs} ms: .* lock 3, held by other [(]thread 2.*[)][.] This call holds none`,
        ),
      })
      await assert.rejects(
        locks.holdAsync([shared(3)], { timeoutMs }, assert.fail),
        LockTimeoutError,
      )
    }
    assert.ok(performance.now() - began > 55)
    assert.equal(modes(locks), '...x....')
    setFlag(flags, 1, 1)
    await other
    assert.equal(
      locks.hold([3], { timeoutMs: 0 }, () => 'held'),
      'held',
    )
    assert.equal(modes(locks), '........')
  })

  it('names the readers in the way, and not the waiter itself', async () => {
    const locks = create({ label: 'main' })
    const flags = newFlags()
    const other = inThread(locks, 'holdUntilFlag', { flags, indices: [], reads: 3 }, 'reader')
    await flagIsSet(flags, 0)
    const expected = {
      name: 'LockTimeoutError',
      message: /lock 3, held by reader \(thread 2.*\)\. This call holds none/,
    }
    assert.throws(() => locks.hold([3], { timeoutMs: 5 }, assert.fail), expected)
    await assert.rejects(locks.holdAsync([3], { timeoutMs: 5 }, assert.fail), expected)
    setFlag(flags, 1, 1)
    await other
    assert.equal(modes(locks), '........')
  })

  it('withdraws a pending writer after timeoutMs, and admits readers again', async () => {
    const locks = create()
    const other = SharedLocks.open(locks.handle)
    other.lockShared(3)
    await assert.rejects(locks.holdAsync([3], { timeoutMs: 20 }, assert.fail), LockTimeoutError)
    assert.equal(
      locks.tryHold([shared(3)], () => 'held'),
      'held',
    )
    const answer = inThread(locks, 'askInTime', { indices: [3], timeoutMs: 20 })
    assert.equal(await answer, 'LOCK_TIMEOUT')
    assert.equal(modes(locks), '...s....')
    other.unlockShared(3)
    assert.equal(modes(locks), '........')
  })

  it('refuses an invalid timeoutMs', () => {
    const locks = create()
    for (const timeoutMs of [-1, Number.NaN, '5', null]) {
      const options = { timeoutMs: timeoutMs as number }
      assert.throws(() => locks.hold([1], options, assert.fail), /timeoutMs must be a number/)
    }
    assert.throws(() => locks.hold([1], 5 as never, assert.fail), /expected an object with options/)
  })
}
