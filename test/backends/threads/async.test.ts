/** holdAsync: for threads that must not block, next to threads that do. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DeadlockError, SharedLocks, shared } from '../../../src/backends/threads/index.ts'
import { outputOfNode } from '../../spawn.ts'
import { gate, meeting, rounds, until } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, untilWaiting } from './threads.ts'

for (const memory of ['wasm', 'buffer'] as const) {
  const create = (order: 'ascending' | 'free' = 'ascending', owners = 128): SharedLocks =>
    SharedLocks.create({ count: 8, memory, order, owners, label: 'main' })

  describe(`holdAsync (${memory})`, { timeout: 60_000 }, () => {
    it('holds the locks until the callback’s promise settles', async () => {
      const locks = create()
      const steps: string[] = []
      const first = locks.holdAsync([3, 1], async () => {
        steps.push('first begins')
        await untilWaiting(locks, 1)
        steps.push('first ends')
        return 'result'
      })
      const second = locks.holdAsync([1], () => void steps.push('second'))
      assert.equal(await first, 'result')
      await second
      assert.deepEqual(steps, ['first begins', 'first ends', 'second'])
      assert.equal(
        locks.tryHold([1, 3], () => 'free'),
        'free',
      )
    })

    it('releases the locks after a throw and after a rejection', async () => {
      const locks = create()
      const fault = new Error('mine')
      await assert.rejects(
        locks.holdAsync([1], () => {
          throw fault
        }),
        fault,
      )
      await assert.rejects(
        locks.holdAsync([1], async () => {
          throw fault
        }),
        fault,
      )
      assert.equal(
        locks.tryHold([1], () => 'free'),
        'free',
      )
    })

    it('lets the event loop run while another thread holds the lock', async () => {
      const locks = create()
      const flags = newFlags()
      const holding = inThread(locks, 'holdUntilFlag', { flags, indices: [2] })
      await flagIsSet(flags, 0)
      let ticks = 0
      const ticking = setInterval(() => ticks++, 1)
      const waiting = locks.holdAsync([1, 2], () => ticks)
      await untilWaiting(locks, 2)
      const before = ticks
      await until(() => ticks > before + 10)
      setFlag(flags, 1, 1)
      assert.ok((await waiting) > before + 10)
      clearInterval(ticking)
      await holding
    })

    it('wakes threads and tasks that wait for a lock of a task', async () => {
      const locks = create()
      const flags = newFlags()
      const [begun, end] = [gate(), gate()]
      const holding = locks.holdAsync([4], () => {
        begun.open()
        return end.opened
      })
      await begun.opened
      const thread = inThread(locks, 'askFor', { flags, indices: [4] })
      const task = locks.holdAsync([4], () => 'task')
      await untilWaiting(locks, 4, 2)
      end.open()
      assert.equal(await task, 'task')
      assert.equal(await thread, 'held')
      await holding
    })

    it('checks a nested request against the order of the locks around it', async () => {
      const locks = create()
      await locks.holdAsync([3], async () => {
        assert.equal(await locks.holdAsync([5], () => 'higher'), 'higher')
        await assert.rejects(locks.holdAsync([2], assert.fail), { code: 'LOCK_ORDER' })
        await assert.rejects(locks.holdAsync([4, 3], assert.fail), { code: 'LOCK_DEADLOCK' })
        await locks.holdAsync([4], async () => {
          await assert.rejects(locks.holdAsync([3], assert.fail), { code: 'LOCK_DEADLOCK' })
        })
      })
      // Calls side by side are independent of each other.
      const meet = meeting(2)
      await Promise.all([locks.holdAsync([6], meet), locks.holdAsync([2], meet)])
    })

    it('waits for a lock that other code of its thread holds', async () => {
      const locks = create()
      for (const [take, leave] of [
        [() => locks.lock(2), () => locks.unlock(2)],
        [() => locks.lockShared(2), () => locks.unlockShared(2)],
      ] as const) {
        const order: string[] = []
        take()
        const waits = (async () => {
          await locks.holdAsync([2], { timeoutMs: 5000 }, () => order.push('held'))
        })()
        await untilWaiting(locks, 2)
        order.push('released')
        leave()
        await waits
        assert.deepEqual(order, ['released', 'held'])
      }
    })

    it('refuses a lock that the awaiting outermost code holds, and every lower one', async () => {
      const locks = create()
      locks.lock(2)
      const codes: string[] = []
      try {
        await locks.holdAsync([2, 3], { timeoutMs: 5000 }, assert.fail)
      } catch (error) {
        codes.push((error as DeadlockError).code)
      }
      await assert.rejects(locks.holdAsync([1], assert.fail), { code: 'LOCK_ORDER' })
      locks.lock(3)
      await assert.rejects(locks.holdAsync([2], assert.fail), { code: 'LOCK_ORDER' })
      locks.unlock(3)
      locks.unlock(2)
      assert.deepEqual(codes, ['LOCK_DEADLOCK'])
    })

    it('shares a lock with its own thread', async () => {
      const locks = create()
      locks.lockShared(2)
      assert.equal(await locks.holdAsync([shared(2)], { timeoutMs: 5000 }, () => 'held'), 'held')
      locks.unlockShared(2)
    })

    it('checks the order across a holding of another table', async () => {
      const [locks, others] = [create(), create()]
      await locks.holdAsync([5], async () => {
        await others.holdAsync([3], async () => {
          await assert.rejects(locks.holdAsync([4], assert.fail), { code: 'LOCK_ORDER' })
          await assert.rejects(locks.holdAsync([5], assert.fail), { code: 'LOCK_DEADLOCK' })
          assert.equal(await locks.holdAsync([6], () => 'higher'), 'higher')
        })
      })
    })

    it('refuses a thread that holds locks when no owner is left to wait for', async () => {
      const locks = create('free', 2)
      const [begun, end] = [gate(), gate()]
      const holding = locks.holdAsync([1], () => {
        begun.open()
        return end.opened
      })
      await begun.opened
      locks.lock(2)
      await assert.rejects(locks.holdAsync([3], assert.fail), { code: 'LOCK_USAGE' })
      locks.unlock(2)
      end.open()
      await holding
    })

    it('nests within a holding of ten thousand locks', async () => {
      const locks = SharedLocks.create({ count: 200_001, recordBytes: 16, memory })
      const many = Array.from({ length: 200_000 }, (_, i) => i)
      await locks.holdAsync(many, async () => {
        assert.equal(await locks.holdAsync([200_000], () => 'last'), 'last')
      })
    })

    it('reports errors in words where a stack is not text', async () => {
      const before = Error.prepareStackTrace
      Error.prepareStackTrace = (_, calls) => calls
      try {
        const locks = create()
        await locks.holdAsync([1], async () => {
          await assert.rejects(locks.holdAsync([1], assert.fail), { code: 'LOCK_DEADLOCK' })
        })
      } finally {
        Error.prepareStackTrace = before
      }
    })

    it('refuses to block its thread for a lock that the task around it holds', async () => {
      const locks = create()
      await locks.holdAsync([5], async () => {
        assert.throws(() => locks.lock(5), { code: 'LOCK_ORDER', message: /holdAsync/ })
      })
    })

    it('finds a deadlock of two tasks, and rejects one of them', async () => {
      const locks = create('free')
      const meet = meeting(2)
      const cross = async (first: number, second: number): Promise<string> =>
        locks.holdAsync([first], async () => {
          await meet()
          return locks.holdAsync([second], () => 'completed')
        })
      const [a, b] = await Promise.allSettled([cross(1, 2), cross(2, 1)])
      const rejected = [a, b].filter((result) => result.status === 'rejected')
      assert.equal(rejected.length, 1)
      const [{ reason } = assert.fail()] = rejected
      const { report } = reason as DeadlockError
      assert.equal(report.cycle.length, 2)
      assert.deepEqual(report.cycle.map(({ waitsFor }) => waitsFor.name).sort(), [1, 2])
      for (const member of report.cycle) {
        const held = member.holds.map(({ name, mode }) => [name, mode])
        assert.deepEqual(held, [[3 - Number(member.waitsFor.name), 'exclusive']])
        assert.match(member.waitsAt ?? '', /async\.test/)
      }
      assert.equal(
        locks.tryHold([1, 2], () => 'free'),
        'free',
      )
    })

    it('finds a deadlock of tasks of two threads', async () => {
      for (let round = 0; round < 5; round++) {
        const locks = create('free')
        const flags = newFlags()
        const ends = await Promise.all([
          inThread(locks, 'crossAsync', { flags, first: 1, second: 2 }),
          inThread(locks, 'crossAsync', { flags, first: 2, second: 1 }),
        ])
        assert.deepEqual(ends.sort(), ['completed', 'victim'])
      }
    })

    it('finds a thread that blocks for a lock of its own task', async () => {
      const locks = create('free')
      await locks.holdAsync([1], async () => {
        assert.throws(() => locks.lock(1), DeadlockError)
      })
      assert.equal(
        locks.tryHold([1], () => 'free'),
        'free',
      )
    })

    it('waits for a free owner, and starts only with one', async () => {
      const locks = create('ascending', 3)
      const meet = meeting(2)
      let running = 0
      const most = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          locks.holdAsync([i], async () => {
            running++
            const seen = running
            // The first two run together.
            if (i < 2) await meet()
            await rounds()
            running--
            return seen
          }),
        ),
      )
      assert.equal(Math.max(...most), 2)
    })

    it('keeps its locks when close() is called', async () => {
      const locks = create()
      const [begun, end] = [gate(), gate()]
      const holding = locks.holdAsync([1], () => {
        begun.open()
        return end.opened
      })
      assert.throws(() => locks.close(), { code: 'LOCK_USAGE', message: /holdAsync/ })
      await begun.opened
      assert.throws(() => locks.close(), { code: 'LOCK_USAGE', message: /holdAsync/ })
      end.open()
      await holding
      locks.close()
      await assert.rejects(locks.holdAsync([1], assert.fail), { code: 'LOCK_USAGE' })
    })

    it('keeps the process alive while it waits', async () => {
      const program = fileURLToPath(new URL('./stay-alive.js', import.meta.url))
      const { stdout } = await outputOfNode([program, memory])
      assert.equal(stdout, 'held\n')
    })
  })
}
