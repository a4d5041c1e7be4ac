/** Owners: guards and requests of one task, where no callback shows that they belong together. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deadlockText } from '../../src/explain/index.ts'
import {
  DeadlockError,
  type DeadlockReport,
  defineOrder,
  LockManager,
  LockOrderError,
} from '../../src/index.ts'
import { gate, meeting, rounds, settle, until } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { crossing, state, watched } from './tools.ts'

/** Two tasks that take two locks by guards, in opposite order. */
function oppositeGuards(locks: LockManager): Promise<string>[] {
  const meet = meeting(2)
  const task = async (first: string, second: string): Promise<string> => {
    const owner = {}
    const guard = await locks.acquire(first, { owner, label: `${first}, then ${second}` })
    try {
      await meet()
      ;(await locks.acquire(second, { owner })).release()
      return 'done'
    } finally {
      guard.release()
    }
  }
  return [task('a', 'b'), task('b', 'a')]
}

describe('an owner', { timeout: 30_000 }, () => {
  it('has its guards and requests in one holder, so that a deadlock of two has one victim', async () => {
    const { locks, reports } = watched()
    const results = await Promise.allSettled(oppositeGuards(locks))
    assert.deepEqual(
      results.map((one) => (one.status === 'rejected' ? one.reason.name : one.value)).sort(),
      ['DeadlockError', 'done'],
    )
    assert.equal(reports.length, 1)
    assert.ok(reports[0]?.cycle.every(({ isProved }) => isProved))
    assert.match(deadlockText(reports[0] as DeadlockReport), /owners\.test/)
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  it('waits for itself if it requests a lock twice', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const owner = {}
    const guard = await locks.acquire('a', { owner })
    await assert.rejects(locks.acquire('a', { owner }), DeadlockError)
    guard.release()
    await locks.request('a', () => {})
  })

  it('is named in the error if its parallel tasks request one lock', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const owner = {}
    const guard = await locks.acquire('a', { owner, label: 'first' })
    const error = await locks.acquire('a', { owner, label: 'second' }).catch((error) => error)
    assert.ok(error instanceof DeadlockError)
    assert.match(
      error.message,
      /second asks for 'a', which another request with its owner holds \(first, .*; tasks that run in parallel need an owner each$/,
    )
    const text = deadlockText(error.report)
    assert.match(
      text,
      /^Deadlock: a request waits for a lock that another request with its owner holds/,
    )
    assert.match(text, /What to change: .*; tasks that run in parallel need an owner each\.$/)
    assert.equal(error.report.cycle[0]?.sharesOwner, true)
    guard.release()
  })

  it('is only suspected if it makes a second request while one waits', async () => {
    const { locks, kinds } = watched()
    const [one, two] = [{}, {}]
    const a = await locks.acquire('a', { owner: one })
    const b = await locks.acquire('b', { owner: two })
    const c = await locks.acquire('c')
    const waits = locks.acquire('c', { owner: one })
    const closes = locks.acquire('b', { owner: one })
    const other = locks.acquire('a', { owner: two })
    const all = Promise.all([waits, closes, other])
    await until(() => kinds.length > 0)
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    for (const guard of [a, b, c]) guard.release()
    for (const guard of await all) guard.release()
  })

  it('is checked against a declared order', async () => {
    const bank = defineOrder('customer', 'account')
    const owner = {}
    const guard = await bank.acquire('account:1', { owner })
    await assert.rejects(bank.acquire('customer:7', { owner }), {
      code: 'LOCK_ORDER',
      message: /or take 'customer:7' first; tasks that run in parallel need an owner each$/,
    })
    await bank.request('customer:7', { owner: {} }, () => {})
    guard.release()
    ;(await bank.acquire('customer:7', { owner })).release()
  })

  it('is reported for orders that contradict each other', async () => {
    const locks = new LockManager()
    let possible = 0
    locks.on('possible', () => possible++)
    for (const names of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      const owner = {}
      const guards = []
      for (const name of names) guards.push(await locks.acquire(name, { owner }))
      for (const guard of guards) guard.release()
    }
    await settle()
    assert.equal(possible, 1)
  })

  itIfProved('owns requests with callbacks too, and requests nested in them', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const owner = {}
    const result = locks.request('a', { owner }, async () => {
      const guard = await locks.acquire('b', { owner })
      try {
        return await locks.request('c', async () => await locks.request('a', () => 'never'))
      } finally {
        guard.release()
      }
    })
    await assert.rejects(result, DeadlockError)
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved(
    'waits for the locks that its callbacks wait for, if these have no owner',
    async () => {
      const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
      const [owner, other] = [{}, {}]
      const holdsC = gate()
      const one = async (): Promise<string> => {
        const guard = await locks.acquire('a', { owner })
        try {
          return await locks.request('b', { owner }, async () => {
            await holdsC.opened
            return await locks.request('c', () => 'one')
          })
        } finally {
          guard.release()
        }
      }
      const two = async (): Promise<string> => {
        const guard = await locks.acquire('c', { owner: other })
        try {
          holdsC.open()
          ;(await locks.acquire('a', { owner: other })).release()
          return 'two'
        } finally {
          guard.release()
        }
      }
      const results = await Promise.allSettled([one(), two()])
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    },
  )

  it('gives the label of its first request to those that have none', async () => {
    const locks = new LockManager()
    const owner = {}
    const guard = await locks.acquire('a', { owner, label: 'refund' })
    const second = await locks.acquire('b', { owner })
    const { held } = await locks.query()
    assert.deepEqual(
      held.map(({ label }) => label),
      ['refund', 'refund'],
    )
    second.release()
    guard.release()
  })

  itIfProved('belongs to the holder in whose callback it is first used', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const result = locks.request('a', async () => {
      const guard = await locks.acquire('b', { owner: {} })
      guard.release()
      return await locks.acquire('a', { owner: {} })
    })
    await assert.rejects(result, DeadlockError)
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved('may have been first used in a request that was refused', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const busy = await locks.acquire('busy')
    assert.equal(locks.tryAcquire('busy', { owner }), undefined)
    const other = crossing(locks, 'b', 'a')
    const first = locks.request('a', async () => {
      await other.held
      await locks.request('b', { owner }, () => {})
    })
    await settle()
    await other.ask()
    const results = await Promise.allSettled([first, other.done])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
    busy.release()
  })

  itIfProved(
    'is in the callback that makes its next request, wherever its guards are from',
    async () => {
      const { locks, kinds } = watched()
      const owner = {}
      const guard = await locks.acquire('config', { owner })
      const opposite = crossing(locks, 'b', 'a')
      const first = locks.request('a', async () => {
        await opposite.held
        return await locks.request('b', { owner }, () => {})
      })
      await settle()
      await opposite.ask()
      const results = await Promise.allSettled([first, opposite.done])
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      assert.deepEqual(kinds, ['deadlock'])
      // Here the cycle leads through the owner's guard: `other` waits for it, and the owner waits for
      // `other`.
      const other = crossing(locks, 'b', 'config')
      const inside = locks.request('a', async () => {
        await other.held
        const waits = locks.request('b', { owner }, () => 'inside')
        void other.ask()
        return await waits
      })
      const again = await Promise.allSettled([other.done, inside])
      assert.deepEqual(again.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      assert.deepEqual(kinds, ['deadlock', 'deadlock'])
      guard.release()
      assert.deepEqual(await state(locks), { held: [], pending: [] })
    },
  )

  it('leaves its callback when it makes a request in another one', async () => {
    const { locks, kinds } = watched({ deadlockVictims: 'likely' })
    const owner = {}
    const guard = await locks.acquire('config', { owner })
    const end = gate()
    const first = locks.request('a', async () => {
      await locks.request('b', { owner }, () => {})
      await end.opened
    })
    await settle()
    // The first callback does not wait for this.
    const second = locks.request('c', () => locks.request('a', { owner }, () => 'second'))
    await rounds()
    end.open()
    await first
    assert.equal(await second, 'second')
    assert.deepEqual(kinds, [])
    guard.release()
  })

  it('is checked against a declared order in the callback of its request', async () => {
    const bank = defineOrder('config', 'customer', 'account')
    const owner = {}
    const guard = await bank.acquire('config', { owner })
    await bank.request('account:1', async () => {
      await assert.rejects(
        bank.request('customer:7', { owner }, () => 'never'),
        LockOrderError,
      )
    })
    await bank.request('customer:7', { owner }, () => {})
    guard.release()
  })

  it('has no name of its own in reports', async () => {
    const locks = new LockManager()
    const owner = {}
    await locks.request('a', { owner }, async () => {
      const { held } = await locks.query()
      assert.deepEqual(
        held.map(({ label }) => label),
        ['request 1'],
      )
    })
  })
})
