/** The contract of backends: one suite, which a short test file for each backend runs. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Backend } from '../../src/backends/backend.ts'
import {
  type DeadlockReport,
  LockManager,
  type LockManagerOptions,
  type SlowReport,
  shared,
} from '../../src/index.ts'
import { meeting, rounds, turn, until } from '../waiting.ts'

/** A backend to test. */
export interface Tested {
  readonly name: string
  make(): Backend
}

/** Runs the suite. Tests of what a backend does not support, by its own `supports`, are skipped. */
export function contractOf({ name, make }: Tested): void {
  const { supports, tryAcquire } = make()
  const manager = (options: LockManagerOptions = {}): LockManager =>
    new LockManager({ ...options, backend: make() })
  const unless = (isSupported: boolean, what: string): { skip: string | false } => ({
    skip: isSupported ? false : `${name} does not support ${what}`,
  })

  describe(`the contract of a backend: ${name}`, () => {
    it('grants a free lock, and releases it when the callback’s promise settles', async () => {
      const locks = manager()
      const value = await locks.request('a', async (lock) => {
        assert.equal(lock?.name, 'a')
        assert.equal((await locks.query()).held.length, 1)
        return 7
      })
      assert.equal(value, 7)
      await isIdle(locks)
      await locks.close()
    })

    it('releases a lock when its callback throws, synchronously or later', async () => {
      const locks = manager()
      const now = (): never => {
        throw new Error('now')
      }
      await assert.rejects(locks.request('a', now), /now/)
      await assert.rejects(
        locks.request('a', async () => {
          await turn()
          throw new Error('later')
        }),
        /later/,
      )
      await isIdle(locks)
    })

    it('has released the locks when the promise of a request settles', async () => {
      const locks = manager()
      for (let i = 0; i < 5; i++) {
        await locks.request(['a', 'b'], () => turn())
        const isFree = await locks.request(
          ['a', 'b'],
          { ifAvailable: true },
          (lock) => lock !== null,
        )
        assert.ok(isFree)
      }
    })

    it('grants a lock to one request at a time, first come, first served', async () => {
      const locks = manager()
      const order: number[] = []
      let holders = 0
      const one = (i: number): Promise<void> =>
        locks.request('a', async () => {
          assert.equal(++holders, 1)
          order.push(i)
          await turn()
          holders--
        })
      await Promise.all([0, 1, 2, 3, 4].map(one))
      assert.deepEqual(order, [0, 1, 2, 3, 4])
    })

    it('grants many locks as a whole, in whatever order they are named', async () => {
      const locks = manager()
      const inside = new Set<string>()
      const take = (names: string[]): Promise<void> =>
        locks.request(names, async (lock) => {
          for (const each of lock?.names ?? []) {
            assert.ok(!inside.has(each), `${each} has two holders`)
            inside.add(each)
          }
          await turn()
          for (const each of lock?.names ?? []) inside.delete(each)
        })
      const lists = [['a', 'b'], ['b', 'a'], ['b', 'c'], ['c', 'a'], ['a', 'b', 'c'], ['c']]
      await Promise.all([...lists, ...lists].map(take))
      await isIdle(locks)
    })

    it('holds no lock for a request that waits for another one', async () => {
      const locks = manager()
      const b = await locks.acquire('b')
      const both = locks.acquire(['a', 'b'], { timeoutMs: 20 })
      await assert.rejects(both, { code: 'LOCK_TIMEOUT' })
      await (await locks.acquire('a', { timeoutMs: 1000 }))[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    })

    it(
      'grants shared requests together, none of them past a waiting exclusive one',
      unless(supports.shared, 'shared locks'),
      async () => {
        const locks = manager()
        const first = await locks.acquire(shared('a'))
        const second = await locks.acquire(shared('a'))
        const order: string[] = []
        const exclusive = locks.request('a', () => order.push('exclusive'))
        await untilPending(locks, 'a', 1)
        const late = locks.request(shared('a'), () => order.push('shared'))
        await untilPending(locks, 'a', 2)
        assert.deepEqual(order, [])
        first.release()
        second.release()
        await Promise.all([exclusive, late])
        assert.deepEqual(order, ['exclusive', 'shared'])
      },
    )

    if (!supports.shared) {
      it('refuses shared requests', async () => {
        await assert.rejects(manager().acquire(shared('a')), { name: 'NotSupportedError' })
      })
    }

    it('calls back with null, or rejects and names the holder, where ifAvailable finds a lock held', async () => {
      const locks = manager()
      const guard = await locks.acquire('a', { label: 'the holder' })
      assert.equal(await locks.request('a', { ifAvailable: true }, (lock) => lock), null)
      await assert.rejects(locks.acquire('a', { ifAvailable: true }), (error: Error) => {
        assert.equal((error as { code?: string }).code, 'LOCK_NOT_AVAILABLE')
        assert.match(error.message, /the holder/)
        return true
      })
      await guard[Symbol.asyncDispose]()
      await (await locks.acquire('a', { ifAvailable: true }))[Symbol.asyncDispose]()
      await isIdle(locks)
    })

    it('returns from tryAcquire() at once', unless(!!tryAcquire, 'tryAcquire'), () => {
      const locks = manager()
      const guard = locks.tryAcquire(['a', 'b'])
      assert.ok(guard)
      assert.equal(locks.tryAcquire('b'), undefined)
      guard.release()
      locks.tryAcquire('b')?.release()
      assert.ok(locks.tryAcquire('b'))
    })

    if (!tryAcquire) {
      it('refuses tryAcquire', () => {
        assert.throws(() => manager().tryAcquire('a'), { code: 'LOCK_USAGE' })
      })
    }

    it('rejects a waiting request after timeoutMs, and names the holder', async () => {
      const locks = manager()
      const guard = await locks.acquire('a', { label: 'the holder' })
      await assert.rejects(
        locks.request('a', { timeoutMs: 10 }, () => {}),
        (error: Error) => {
          assert.equal((error as { code?: string }).code, 'LOCK_TIMEOUT')
          assert.match(error.message, /the holder/)
          return true
        },
      )
      await guard[Symbol.asyncDispose]()
      await isIdle(locks)
    })

    it('names the root holder behind a chain of waiting requests', async () => {
      const locks = manager()
      const guard = await locks.acquire('a', { label: 'the holder' })
      const between = locks.request(['a', 'b'], { label: 'between' }, () => {})
      await untilPending(locks, 'a', 1)
      const last = locks.request('b', { timeoutMs: 30 }, () => {})
      await assert.rejects(last, { code: 'LOCK_TIMEOUT', message: /the holder/ })
      await guard[Symbol.asyncDispose]()
      await between
    })

    it('grants free locks with timeoutMs: 0, and rejects other requests at once', async () => {
      const locks = manager()
      const guard = await locks.acquire('a', { timeoutMs: 0, label: 'the holder' })
      await assert.rejects(locks.acquire('a', { timeoutMs: 0 }), {
        code: 'LOCK_TIMEOUT',
        message: /could not be granted within 0 ms/,
      })
      await guard[Symbol.asyncDispose]()
      const hasty = manager({ timeoutMs: 0 })
      assert.equal(await hasty.request('b', { ifAvailable: true }, (lock) => lock?.name), 'b')
      await isIdle(locks)
    })

    it('releases the locks of a guard before its disposal ends, also after release()', async () => {
      const locks = manager()
      const guard = await locks.acquire('a')
      guard.release()
      await guard[Symbol.asyncDispose]()
      assert.equal(await locks.request('a', { ifAvailable: true }, (lock) => lock?.name), 'a')
    })

    it('rejects a waiting request when its signal aborts, at every moment of the wait', async () => {
      const locks = manager()
      for (const releaseAt of [0, 1, 2, 3, 4, 5]) {
        for (const abortAt of [0, 1, 2, 3, 4, 5]) {
          const guard = await locks.acquire('a')
          const controller = new AbortController()
          const late = locks.request('a', { signal: controller.signal }, () => 'granted')
          const released = rounds(releaseAt).then(() => guard[Symbol.asyncDispose]())
          await rounds(abortAt)
          controller.abort(new Error('no more'))
          const ending = await late.catch((error: Error) => error.message)
          assert.ok(ending === 'granted' || ending === 'no more', ending)
          await released
          // If a grant was on its way, its lock has been released.
          await locks.request('a', { timeoutMs: 1000 }, () => {})
        }
      }
      await isIdle(locks)
    })

    it('releases the locks of a guard once', async () => {
      const locks = manager()
      const guard = await locks.acquire(['a', 'b'])
      const waiting = locks.acquire('a')
      await guard[Symbol.asyncDispose]()
      guard.release()
      const next = await waiting
      guard.release()
      assert.equal(await locks.request('a', { ifAvailable: true }, (lock) => lock), null)
      await next[Symbol.asyncDispose]()
    })

    it('lets a request steal a lock', unless(supports.steal, 'stealing'), async () => {
      const locks = manager()
      const lost = locks.request('a', { label: 'victim' }, async (lock) => {
        const { signal } = lock as unknown as { signal: AbortSignal }
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
      await locks.request('a', { steal: true, label: 'thief' }, () => {})
      await assert.rejects(lost, (error: DOMException) => {
        assert.equal(error.name, 'AbortError')
        assert.equal((error.cause as { code?: string }).code, 'LOCK_LOST')
        return true
      })
      await isIdle(locks)
    })

    if (!supports.steal) {
      it('refuses to steal', async () => {
        await assert.rejects(
          manager().request('a', { steal: true }, () => {}),
          {
            name: 'NotSupportedError',
          },
        )
      })
    }

    it('lists holders and waiters in query()', async () => {
      const locks = manager()
      const guard = await locks.acquire(['a', 'b'], { label: 'the holder' })
      const waiting = locks.request('b', { label: 'the waiter' }, () => {})
      await untilPending(locks, 'b', 1)
      const { held, pending } = await locks.query()
      assert.deepEqual(
        held.map(({ name, label }) => [name, label]),
        [
          ['a', 'the holder'],
          ['b', 'the holder'],
        ],
      )
      assert.deepEqual(
        pending.map(({ name, label, blockedBy }) => [name, label, blockedBy]),
        [['b', 'the waiter', ['the holder']]],
      )
      await guard[Symbol.asyncDispose]()
      await waiting
    })

    it('reports a long wait, and names the root holder', async () => {
      const locks = manager({ longWaitMs: 20 })
      const reports: SlowReport[] = []
      locks.on('slow', (report) => reports.push(report))
      const guard = await locks.acquire('a', { label: 'the holder' })
      const waiting = locks.request('a', { label: 'the waiter' }, () => {})
      await until(() => reports.length > 0)
      assert.equal(reports[0]?.label, 'the waiter')
      const [report] = reports
      assert.ok(report?.state === 'waiting')
      assert.deepEqual(
        report.holders.map(({ label }) => label),
        ['the holder'],
      )
      await guard[Symbol.asyncDispose]()
      await waiting
    })

    it('finds a deadlock of nested requests, and rejects one victim', async () => {
      const locks = manager({ deadlockAfterMs: 20 })
      const reports: DeadlockReport[] = []
      locks.on('deadlock', (report) => reports.push(report))
      const meet = meeting(2)
      const nest = (first: string, second: string): Promise<string> =>
        locks.request(first, { label: `${first}, then ${second}` }, async () => {
          await meet()
          return await locks.request(second, () => 'both')
        })
      const endings = await Promise.allSettled([nest('a', 'b'), nest('b', 'a')])
      const victims = endings.filter(({ status }) => status === 'rejected')
      assert.equal(victims.length, 1)
      assert.equal((victims[0] as PromiseRejectedResult).reason.code, 'LOCK_DEADLOCK')
      assert.equal(reports.length, 1)
      assert.deepEqual(reports[0]?.cycle.map(({ waitsFor }) => waitsFor.name).sort(), ['a', 'b'])
      await isIdle(locks)
    })

    it('lets a nested request overtake the requests that wait for its holder', async () => {
      const locks = manager({ deadlockAfterMs: 20 })
      const waiting: Promise<unknown>[] = []
      await locks.request('a', async () => {
        waiting.push(locks.request(['a', 'b'], { detached: true }, () => {}))
        await untilPending(locks, 'a', 1)
        await locks.request('b', { timeoutMs: 5000 }, () => {})
      })
      await Promise.all(waiting)
      await isIdle(locks)
    })

    it('refuses to close while a request holds or waits', async () => {
      const locks = manager()
      const guard = await locks.acquire('a')
      await assert.rejects(locks.close(), { code: 'LOCK_USAGE' })
      guard.release()
      await locks.close()
      const early = manager()
      const asked = early.request('a', () => turn())
      await assert.rejects(early.close(), { code: 'LOCK_USAGE' })
      await asked
      await early.close()
    })

    it('loses no lock, no request and no update among many random ones', async () => {
      const locks = manager()
      const names = ['a', 'b', 'c', 'd', 'e']
      const counts = new Map(names.map((each) => [each, 0]))
      let expected = 0
      const random = randomNumbers(7)
      const task = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) {
          const wanted = names.filter(() => random() < 0.4)
          if (wanted.length === 0) continue
          const how = random()
          const options = how < 0.2 ? { timeoutMs: 1 } : how < 0.3 ? { ifAvailable: true } : {}
          await locks
            .request(wanted, options, async (lock) => {
              if (lock === null) return
              const before = wanted.map((each) => counts.get(each) as number)
              expected += wanted.length
              await turn()
              for (const [j, each] of wanted.entries()) counts.set(each, (before[j] as number) + 1)
            })
            .catch((error) => assert.equal(error.code, 'LOCK_TIMEOUT'))
        }
      }
      await Promise.all(Array.from({ length: 8 }, task))
      assert.equal(
        [...counts.values()].reduce((a, b) => a + b, 0),
        expected,
      )
      await isIdle(locks)
      await locks.close()
    })
  })
}

/** Waits until this many requests for a lock wait in the backend. */
function untilPending(locks: LockManager, name: string, count: number): Promise<void> {
  return until(async () => {
    const { pending } = await locks.query()
    return pending.filter((wanted) => wanted.name === name).length === count
  })
}

/** Asserts that there are no holders and no waiters. */
async function isIdle(locks: LockManager): Promise<void> {
  const { held, pending } = await locks.query()
  assert.deepEqual([held, pending], [[], []])
}

/** Random numbers from 0 to 1, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return state / 0x80000000
  }
}
