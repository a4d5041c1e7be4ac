/** Deadlocks through nested asynchronous holders: rejected only if the code around them is proved to wait. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type DeadlockError, SharedLocks } from '../../../src/backends/threads/index.ts'
import { LINK_OFFSET, SLOT, TASK_SLOT } from '../../../src/backends/threads/layout.ts'
import { hasEnded } from '../../../src/backends/threads/lifelines.ts'
import {
  beginProof,
  giveVerdict,
  isProofWanted,
  isProvedSince,
  lifelineOf,
  ownersIn,
  slotOf,
  wantProof,
} from '../../../src/backends/threads/owners.ts'
import { waitsForOf } from '../../../src/backends/threads/published-wait.ts'
import { tryRegisterOwner } from '../../../src/backends/threads/register-owner.ts'
import { addressOf, nodeOf, openTable } from '../../../src/backends/threads/table.ts'
import { gate, settle } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, startThread, untilAsleep, untilWaiting } from './threads.ts'

const [A, B, C] = [0, 1, 2]
/** When two waiters have gone to sleep this often, each has looked for a deadlock several times. */
const SLEEPS = 8

/** Waits until the owners that wait for A and for B have looked for a deadlock. */
async function untilSearched(locks: SharedLocks): Promise<void> {
  await untilWaiting(locks, A)
  await untilWaiting(locks, B)
  await untilAsleep(locks, SLEEPS)
}

for (const memory of ['wasm', 'buffer'] as const) {
  const create = (reentrant = false): SharedLocks =>
    SharedLocks.create({ count: 4, memory, order: 'free', reentrant, label: 'main' })

  /**
   * A thread holds B, and requests A as soon as `ready` is called. Its answer is `held`, or the error's code.
   */
  const crossing = async (
    locks: SharedLocks,
  ): Promise<{ ready(): void; answer: Promise<string> }> => {
    const flags = newFlags()
    const answer = inThread(locks, 'holdThenAsk', { flags, held: B, wanted: A }, 'worker')
    await flagIsSet(flags, 0)
    return { ready: () => setFlag(flags, 1, 1), answer }
  }

  describe(`proofs of a wait (${memory})`, () => {
    it('count if they were given after they were requested, and each time anew', () => {
      const table = openTable(create().handle)
      const task = tryRegisterOwner(table, 'task', { kind: TASK_SLOT })
      assert.ok(task)
      const first = wantProof(table, task.id)
      giveVerdict(table, task, true)
      assert.ok(isProvedSince(table, task.id, first))
      const second = wantProof(table, task.id)
      assert.ok(!isProvedSince(table, task.id, second))
      giveVerdict(table, task, false)
      assert.ok(!isProvedSince(table, task.id, second))
      giveVerdict(table, task, true)
      assert.ok(isProvedSince(table, task.id, second))
    })

    it('stay requested if that happened after the last one had begun', () => {
      const table = openTable(create().handle)
      const task = tryRegisterOwner(table, 'task', { kind: TASK_SLOT })
      assert.ok(task)
      wantProof(table, task.id)
      beginProof(table, task)
      assert.ok(!isProofWanted(table, task))
      wantProof(table, task.id)
      giveVerdict(table, task, true)
      assert.ok(isProofWanted(table, task))
    })
  })

  describe(`deadlocks of nested asynchronous holdings (${memory})`, { timeout: 60_000 }, () => {
    const forms: readonly [string, (nested: Promise<string>) => Promise<unknown>][] = [
      ['awaits it', async (nested) => await nested],
      ['returns it', (nested) => nested],
      ['awaits an async function that does', async (nested) => (async () => await nested)()],
      ['awaits it beside another promise', (nested) => Promise.all([nested, settle()])],
    ]
    for (const [form, wait] of forms) {
      it(`are found if the callback around ${form}`, async () => {
        const locks = create()
        const { ready, answer } = await crossing(locks)
        const outer = locks.holdAsync([A], () => {
          ready()
          return wait(locks.holdAsync([B], () => 'held'))
        })
        const ends = await Promise.all([
          outer.then(
            () => 'held',
            (error: DeadlockError) => {
              const stacks = error.report.cycle.map(({ waitsAt }) => waitsAt).join('\n')
              assert.doesNotMatch(stacks, /lockwise holder|node:/)
              return error.code
            },
          ),
          answer,
        ])
        assert.deepEqual(ends.sort(), ['LOCK_DEADLOCK', 'held'])
      })
    }

    it('are found through a holding in between', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      const outer = locks.holdAsync([A], async () => {
        ready()
        await locks.holdAsync([C], async () => await locks.holdAsync([B], () => 'held'))
      })
      const own = outer.then(
        () => 'held',
        (error: DeadlockError) => error.code,
      )
      assert.deepEqual([await own, await answer].sort(), ['LOCK_DEADLOCK', 'held'])
    })

    it('are found when the code around awaits a holding in between only after others wait', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      const code = (error: DeadlockError): string => error.code
      const outer = locks.holdAsync([A], async () => {
        const between = locks.holdAsync([C], async () => {
          await locks.holdAsync([B], { timeoutMs: 5000 }, () => {})
          return 'held'
        })
        ready()
        await untilSearched(locks)
        return await between
      })
      assert.deepEqual([await outer.catch(code), await answer].sort(), ['LOCK_DEADLOCK', 'held'])
    })

    it('are not reported if the code around waited for the nested holding once, and has gone on', async () => {
      const locks = create()
      const [goOn, wait, end] = [gate(), gate(), gate()]
      let ask: Promise<string> | undefined
      const first = locks.holdAsync([A], async () => {
        const nested = locks.holdAsync([B], { timeoutMs: 5000 }, () => 'held')
        await Promise.race([nested, goOn.opened])
        await wait.opened
        await second
        return nested
      })
      const second = locks.holdAsync([B], async () => {
        ask = locks.holdAsync([A], { timeoutMs: 5000 }, () => 'held')
        await wait.opened
        await Promise.race([ask, end.opened])
      })
      for (const next of [goOn, wait, end]) {
        await untilSearched(locks)
        next.open()
      }
      await second
      assert.deepEqual([await first, await ask], ['held', 'held'])
    })

    it('are not reported if no code awaits the nested holding', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      let side: Promise<string> | undefined
      await locks.holdAsync([A], async () => {
        side = locks.holdAsync([B], () => 'done')
        side.catch(() => {})
        ready()
        await untilSearched(locks)
      })
      assert.equal(await answer, 'held')
      assert.equal(await side, 'done')
    })

    it('are searched once for all tasks of a thread that suspect one', async (test) => {
      const locks = create()
      const tasks = 100
      const { ready, answer } = await crossing(locks)
      const notify = test.mock.method(Atomics, 'notify')
      const side: Promise<string>[] = []
      await locks.holdAsync([A], async () => {
        for (let i = 0; i < tasks; i++) side.push(locks.holdAsync([B], () => 'done'))
        ready()
        await untilWaiting(locks, B, tasks)
        await untilSearched(locks)
      })
      const wakeUps = notify.mock.callCount()
      notify.mock.restore()
      assert.equal(await answer, 'held')
      assert.equal((await Promise.all(side)).length, tasks)
      // If each task searched by itself, every check would cause about that many wake-ups.
      assert.ok(wakeUps < tasks ** 2 / 2, `${wakeUps} wake-ups`)
    })

    it('are not reported if the holding in between is not awaited', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      let side: Promise<string> | undefined
      await locks.holdAsync([A], async () => {
        side = locks.holdAsync([C], async () => await locks.holdAsync([B], () => 'done'))
        side.catch(() => {})
        ready()
        await untilSearched(locks)
      })
      assert.equal(await answer, 'held')
      assert.equal(await side, 'done')
    })

    it('are not reported through an ended holding whose owner number has been reused', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      let side: Promise<string> | undefined
      await locks.holdAsync([C], async () => {
        side = locks.holdAsync([B], () => 'done')
        side.catch(() => {})
        await untilWaiting(locks, B)
      })
      await locks.holdAsync([A], async () => {
        ready()
        await untilSearched(locks)
      })
      assert.equal(await answer, 'held')
      assert.equal(await side, 'done')
    })

    it('are found when a thread holds a lock across its event loop and awaits', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      locks.lock(A)
      const nested = locks.holdAsync([B], () => 'held').catch((error: DeadlockError) => error.code)
      ready()
      const own = await nested
      locks.unlock(A)
      assert.deepEqual([own, await answer].sort(), ['LOCK_DEADLOCK', 'held'])
    })

    it('are not reported when a thread holds a lock across its event loop and does not await', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      locks.lock(A)
      const side = locks.holdAsync([B], () => 'done')
      side.catch(() => {})
      ready()
      await untilSearched(locks)
      locks.unlock(A)
      assert.equal(await answer, 'held')
      assert.equal(await side, 'done')
    })

    it('are found when a holding is between that lock and the wait', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      locks.lock(A)
      const nested = locks
        .holdAsync([C], async () => await locks.holdAsync([B], () => 'held'))
        .catch((error: DeadlockError) => error.code)
      ready()
      const own = await nested
      locks.unlock(A)
      assert.deepEqual([own, await answer].sort(), ['LOCK_DEADLOCK', 'held'])
    })

    type Branch = () => Promise<string>
    const branches: readonly [string, (holder: Branch, other: Branch) => Promise<string>[]][] = [
      ['is awaited beside it', (holder, other) => [holder(), other()]],
      ['has begun before it', (holder, other) => [other(), holder()]],
    ]
    for (const [form, begin] of branches) {
      for (const isAwaited of [true, false]) {
        const how = isAwaited ? 'with Promise.all' : 'by nobody at first'
        it(`are not reported if other code holds the thread’s lock, and ${form} (${how})`, async () => {
          const locks = create()
          const isSearched = gate()
          const { ready, answer } = await crossing(locks)
          const holder: Branch = async () => {
            locks.lock(A)
            ready()
            await untilSearched(locks)
            isSearched.open()
            await untilSearched(locks)
            locks.unlock(A)
            return 'released'
          }
          const other: Branch = async () => await locks.holdAsync([B], () => 'done')
          const both = begin(holder, other)
          for (const branch of both) branch.catch(() => {})
          if (!isAwaited) await isSearched.opened
          assert.deepEqual((await Promise.all(both)).sort(), ['done', 'released'])
          assert.equal(await answer, 'held')
        })
      }
    }

    it('are not reported while a running thread changes its locks, whatever its list shows', async () => {
      const locks = create()
      const table = openTable(locks.handle)
      locks.lock(B)
      const flags = newFlags()
      const answer = inThread(locks, 'holdAcrossEventLoop', { flags, held: A, wanted: B })
      await untilWaiting(locks, B)
      setFlag(flags, 0, 1)
      await flagIsSet(flags, 1)
      // This is what a reader sees in the middle of a change: a link to a lock that was released, and on to
      // another owner's node.
      const [thread = 0] = ownersIn(table).filter((id) => id !== locks.thread)
      const top = (slotOf(table, thread) + SLOT.top) >> 2
      const before = table.words[top] as number
      table.words[top] = addressOf(table, C)
      table.words[(addressOf(table, C) + LINK_OFFSET) >> 2] = nodeOf(table, locks.thread)
      const ask = (): void => locks.hold([A], { timeoutMs: 20 }, () => {})
      assert.throws(ask, { code: 'LOCK_TIMEOUT' })
      assert.equal(waitsForOf(table, locks.thread), 0)
      table.words[top] = before
      setFlag(flags, 2, 1)
      locks.unlock(B)
      assert.equal(await answer, 'held')
    })

    it('are found when a running thread holds a lock shared across its event loop', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      locks.lockShared(A)
      const nested = locks.holdAsync([B], () => 'held').catch((error: DeadlockError) => error.code)
      ready()
      const own = await nested
      locks.unlockShared(A)
      assert.deepEqual([own, await answer].sort(), ['LOCK_DEADLOCK', 'held'])
    })

    it('are not reported through a thread that has ended, even unnoticed', async () => {
      const locks = create()
      const table = openTable(locks.handle)
      const flags = newFlags()
      const data = { flags, held: B, wanted: A }
      const { worker, answer } = startThread(locks, 'holdThenAsk', data, 'the dead one')
      answer.catch(() => {})
      await flagIsSet(flags, 0)
      const [dead = 0] = ownersIn(table).filter((id) => id !== locks.thread)
      const wait = (): unknown => Atomics.wait(flags, 2, 0, 5)
      // From here on, this thread's event loop is blocked and reports nothing.
      locks.lock(A)
      setFlag(flags, 1, 1)
      while (waitsForOf(table, dead) === 0) wait()
      const ended = worker.terminate()
      const lifeline = lifelineOf(table, dead)
      while (lifeline && !hasEnded(lifeline)) wait()
      for (let i = 0; i < 2; i++) assert.throws(() => locks.lock(B), { code: 'LOCK_OWNER_DIED' })
      locks.unlock(A)
      locks.recover(B)
      locks.hold([A, B], () => {})
      await ended
    })

    it('are not reported through locks that a thread took after it released the earlier ones', async () => {
      const locks = create()
      const { ready, answer } = await crossing(locks)
      locks.lock(C)
      const side = locks.holdAsync([B], () => 'done')
      const awaited = (async () => await side)()
      await untilWaiting(locks, B)
      locks.unlock(C)
      locks.lock(A)
      ready()
      await untilSearched(locks)
      locks.unlock(A)
      assert.equal(await answer, 'held')
      assert.equal(await awaited, 'done')
    })

    it('are found when a lock with a sleeping waiter has changed hands without a wait', async () => {
      let victims = 0
      // A deadlock exists if this thread takes A again before the worker, which sleeps on it, is awake.
      for (let round = 0; round < 20 || victims === 0; round++) {
        assert.ok(round < 1000)
        const locks = create(true)
        locks.lock(C)
        locks.lock(A)
        const { ready, answer } = await crossing(locks)
        const nested = locks
          .holdAsync([B], () => 'held')
          .catch((error: DeadlockError) => error.code)
        ready()
        await untilWaiting(locks, A)
        await untilAsleep(locks, 2)
        locks.unlock(A)
        const isTaken = locks.tryHold([A], () => {
          locks.lock(A)
          return true
        })
        const own = await nested
        if (isTaken) locks.unlock(A)
        locks.unlock(C)
        if ([own, await answer].includes('LOCK_DEADLOCK')) victims++
      }
    })
  })
}
