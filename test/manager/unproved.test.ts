/** Deadlocks on a runtime without async stack traces: which have a victim, and which are only reported. */

import './without-proof.ts'

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { canProve } from '../../src/core/await-chain.ts'
import { DeadlockError, LockManager } from '../../src/index.ts'
import { meeting, rounds, settle } from '../waiting.ts'
import { ROWS, verdictOf } from './forms-table.ts'
import { state, watched } from './tools.ts'

/** Starts code that ends in a deadlock. `signal` aborts the requests that wait in it. */
type Start = (locks: LockManager, signal: AbortSignal) => Promise<unknown>[]

const UNPROVED: Readonly<Record<string, Start>> = {
  'nested requests in opposite order': (locks, signal) => {
    const meet = meeting(2)
    const task = (first: string, second: string): Promise<unknown> =>
      locks.request(first, async () => {
        await meet()
        return locks.request(second, { signal }, () => {})
      })
    return [task('a', 'b'), task('b', 'a')]
  },
  'a callback that awaits its own lock': (locks, signal) => [
    locks.request('a', async () => await locks.request('a', { signal }, () => {})),
  ],
  'a callback that awaits its own lock in another manager’s callback': (locks, signal) => {
    const other = new LockManager()
    const inside = async (): Promise<unknown> => await locks.request('a', { signal }, () => {})
    return [locks.request('a', async () => await other.request('a', inside))]
  },
  'shared holders that ask exclusively': (locks, signal) => {
    const meet = meeting(2)
    const upgrade = (): Promise<unknown> =>
      locks.request('a', { mode: 'shared' }, async () => {
        await meet()
        return locks.request('a', { signal }, () => {})
      })
    return [upgrade(), upgrade()]
  },
  'a cycle of five': (locks, signal) => {
    const meet = meeting(5)
    return [0, 1, 2, 3, 4].map((i) =>
      locks.request(`${i}`, async () => {
        await meet()
        return locks.request(`${(i + 1) % 5}`, { signal }, () => {})
      }),
    )
  },
  'tasks that hold by guards in their callbacks': (locks, signal) => {
    const meet = meeting(2)
    const task = (own: string, first: string, second: string): Promise<unknown> =>
      locks.request(own, async () => {
        using _one = await locks.acquire(first)
        await meet()
        using _two = await locks.acquire(second, { signal })
      })
    return [task('t1', 'a', 'b'), task('t2', 'b', 'a')]
  },
  'an owner’s callback with a nested request that has no owner': (locks, signal) => {
    const owner = {}
    const nest = async (): Promise<unknown> => await locks.request('a', { signal }, () => {})
    return [locks.request('a', { owner }, async () => await locks.request('c', nest))]
  },
  'an owner that is first used in another holder’s callback': (locks, signal) => [
    locks.request('a', async () => await locks.acquire('a', { owner: {}, signal })),
  ],
}

const PROVED: Readonly<Record<string, Start>> = {
  'callbacks that return the requests’ own promises': (locks, signal) => [
    locks.request('a', () => locks.request('b', () => locks.request('a', { signal }, () => {}))),
  ],
  'owners everywhere': (locks, signal) => {
    const meet = meeting(2)
    const task = async (first: string, second: string): Promise<void> => {
      const owner = {}
      using _one = await locks.acquire(first, { owner })
      await meet()
      using _two = await locks.acquire(second, { owner, signal })
    }
    return [task('a', 'b'), task('b', 'a')]
  },
  'an owner’s callbacks whose nested requests have the owner too': (locks, signal) => {
    const owner = {}
    const nest = async (): Promise<unknown> => await locks.request('a', { owner, signal }, () => {})
    const inside = async (): Promise<unknown> => {
      using _guard = await locks.acquire('b', { owner })
      return await locks.request('c', { owner }, nest)
    }
    return [locks.request('a', { owner }, inside)]
  },
}

/** The number of victims among some tasks. All others must be fulfilled. */
async function victimsOf(tasks: readonly Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(tasks)
  const reasons = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  for (const reason of reasons) assert.ok(reason instanceof DeadlockError)
  return reasons.length
}

describe('a manager without async stack traces', { timeout: 30_000 }, () => {
  it('reports that it proves no wait by them', async () => {
    assert.equal(await canProve(), false)
  })

  for (const [kind, start] of Object.entries(UNPROVED)) {
    it(`suspects and reports a deadlock without a victim: ${kind}`, async () => {
      const { locks, kinds, reports } = watched()
      const controller = new AbortController()
      let settled = 0
      const tasks = start(locks, controller.signal)
      const count = (): void => {
        settled++
      }
      for (const task of tasks) void task.then(count, count)
      await rounds()
      assert.deepEqual([...new Set(kinds)], ['suspected'])
      for (const report of reports) assert.equal(report.confidence, 'suspected')
      assert.equal(settled, 0)
      controller.abort()
      await Promise.allSettled(tasks)
      assert.deepEqual(await state(locks), { held: [], pending: [] })
    })

    it(`rejects a victim of a deadlock with deadlockVictims: 'likely': ${kind}`, async () => {
      const { locks, kinds, reports } = watched({ deadlockVictims: 'likely' })
      assert.ok((await victimsOf(start(locks, new AbortController().signal))) > 0)
      assert.deepEqual([...new Set(kinds)], ['deadlock'])
      for (const report of reports) assert.equal(report.confidence, 'suspected')
      assert.deepEqual(await state(locks), { held: [], pending: [] })
    })
  }

  for (const [kind, start] of Object.entries(PROVED)) {
    it(`proves a deadlock and rejects one victim: ${kind}`, async () => {
      const { locks, kinds, reports } = watched()
      assert.equal(await victimsOf(start(locks, new AbortController().signal)), 1)
      assert.deepEqual([...new Set(kinds)], ['deadlock'])
      for (const { cycle } of reports) assert.ok(cycle.every(({ isProved }) => isProved))
      assert.deepEqual(await state(locks), { held: [], pending: [] })
    })
  }

  it('reports for each lock in a suspected deadlock the label, mode and age of its holder', async () => {
    const { locks, reports } = watched()
    const controller = new AbortController()
    const { signal } = controller
    const outer = locks.request('auth', { label: 'SIGN-IN' }, async () => {
      await locks.request('auth', { label: 'GET-SESSION', signal }, () => {})
    })
    await rounds()
    controller.abort()
    await assert.rejects(outer, { name: 'AbortError' })
    const [held] = reports[0]?.cycle[0]?.holds ?? []
    assert.deepEqual(
      [held?.name, held?.label, held?.mode, held?.units],
      ['auth', 'SIGN-IN', 'exclusive', 1],
    )
    assert.match(held?.callSite ?? '', /unproved\.test/)
  })

  for (const [deadlockAfterMs, expected] of [
    [Number.POSITIVE_INFINITY, []],
    [0, ['nested']],
  ] as const) {
    it(`rearranges a wait queue after deadlockAfterMs, not at once (${deadlockAfterMs})`, async () => {
      const { locks } = watched({ deadlockAfterMs })
      const steps: string[] = []
      const controller = new AbortController()
      let both: Promise<unknown> | undefined
      const holder = locks.request('a', async () => {
        both = locks.request(['a', 'b'], { detached: true }, () => steps.push('both'))
        await settle()
        const { signal } = controller
        await locks.request('b', { signal }, () => steps.push('nested')).catch(() => {})
      })
      await rounds()
      assert.deepEqual(
        steps.filter((step) => step !== 'both'),
        expected,
      )
      controller.abort()
      await Promise.all([holder, both])
      assert.deepEqual(steps, [...expected, 'both'])
    })
  }

  for (const row of ROWS) {
    const isReturned = row.name === 'returned by the callback'
    const expected = row.onV8 === 'proved' && !isReturned ? 'suspected' : row.onV8
    it(`finds a wait ${expected} if its request is: ${row.name}`, async () => {
      assert.equal(await verdictOf(row, 'other'), expected)
      if (!row.changes) assert.equal(await verdictOf(row, 'row'), expected)
    })
  }
})
