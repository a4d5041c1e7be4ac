/**
 * Requests that a callback has made and not awaited, after its end: the deadlocks through them that are
 * proved.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Guard } from '../../src/index.ts'
import { gate, rounds, settle } from '../waiting.ts'
import { withFakeClock } from './fake-clock.ts'
import { itIfProved } from './if-proved.ts'
import { crossing, watched } from './tools.ts'

describe('a guard that a callback has left behind', { timeout: 30_000 }, () => {
  itIfProved('does not prove that the code around waits, as a timer may release it', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 20 })
      const other = crossing(locks, 'B', 'G')
      let left: Guard | undefined
      const one = locks.request('O', async () => {
        await locks.request('I', async () => {
          left = await locks.acquire('G')
        })
        await other.ask()
        return await locks.request('B', () => 'one')
      })
      await settle()
      assert.deepEqual(kinds, ['suspected'])
      // Several checks, the first after deadlockAfterMs.
      for (let i = 0; i < 10; i++) await tick(20)
      assert.deepEqual(kinds, ['suspected'])
      left?.release()
      assert.deepEqual(await Promise.all([one, other.done]), ['one', 'crossed'])
      assert.deepEqual(kinds, ['suspected'])
    }),
  )

  itIfProved('is proved if the callback returned it to the code around', async () => {
    const { locks, kinds } = watched()
    const other = crossing(locks, 'B', 'G')
    const one = locks.request('O', async () => {
      const guard = await locks.request('I', async () => {
        const inner = await locks.acquire('G')
        await settle()
        return inner
      })
      try {
        await other.ask()
        return await locks.request('B', () => 'one')
      } finally {
        guard.release()
      }
    })
    const results = await Promise.allSettled([one, other.done])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })

  itIfProved('is proved for an owner, whose code has all its guards', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const other = crossing(locks, 'B', 'G')
    const one = async (): Promise<unknown> => {
      const guard = await locks.request('I', { owner }, async () => locks.acquire('G', { owner }))
      try {
        await other.ask()
        return await locks.request('B', { owner }, () => 'one')
      } finally {
        guard.release()
      }
    }
    const results = await Promise.allSettled([one(), other.done])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })
})

describe('a request that a callback has left behind', { timeout: 30_000 }, () => {
  for (const deadlockVictims of ['proved', 'likely'] as const) {
    itIfProved(`is proved if the code around awaits it (victims: ${deadlockVictims})`, async () => {
      const { locks, kinds } = watched({ deadlockVictims })
      const other = crossing(locks, 'b', 'a')
      const one = locks.request('a', async () => {
        const results: Promise<number>[] = []
        await locks.request('list', async () => {
          results.push(locks.request('b', () => 1).then((x) => x + 1))
        })
        return await Promise.all(results)
      })
      await settle()
      await other.ask()
      const results = await Promise.allSettled([one, other.done])
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      assert.deepEqual(kinds, ['deadlock'])
    })
  }

  it('is suspected if nothing shows that it is awaited, also with likely victims', async () => {
    const { locks, kinds } = watched({ deadlockVictims: 'likely' })
    const other = crossing(locks, 'b', 'a')
    const end = gate()
    const one = locks.request('a', async () => {
      await locks.request('list', () => {
        void locks.request('b', () => {}).then(() => {})
      })
      await end.opened
    })
    await settle()
    await other.ask()
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    end.open()
    await Promise.all([one, other.done])
  })

  it('is a likely victim again after a new subscription to its promise', async () => {
    const { locks, kinds } = watched({ deadlockVictims: 'likely' })
    const other = crossing(locks, 'b', 'a')
    const later = gate()
    let left: Promise<unknown> | undefined
    const one = locks.request('a', async () => {
      await locks.request('list', () => {
        left = locks.request('b', () => {})
        left.then(() => {}).catch(() => {})
      })
      await later.opened
      await left
    })
    await settle()
    await other.ask()
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    later.open()
    const results = await Promise.allSettled([one, other.done])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal(kinds.at(-1), 'deadlock')
  })

  it('does not prove a wait of its owner, whose code goes on', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const guard = await locks.acquire('a', { owner })
    const other = crossing(locks, 'b', 'a')
    await other.held
    await locks.request('x', { owner }, () => {
      locks
        .request('b', { owner }, () => {})
        .then(
          () => {},
          () => {},
        )
    })
    await other.ask()
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    guard.release()
    assert.equal(await other.done, 'crossed')
  })
})
