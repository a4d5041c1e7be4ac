/**
 * Requests that a callback has made and not awaited, after its end: the deadlocks through them that are
 * proved.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LockManager } from '../../src/index.ts'
import { rounds } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { pause, watched } from './tools.ts'

/** A callback that holds `first`, and requests `second` after some milliseconds. */
function nest(
  locks: LockManager,
  first: string,
  second: string,
  signal?: AbortSignal,
): Promise<unknown> {
  return locks.request(first, async () => {
    await pause(20)
    return await locks.request(second, { signal }, () => 'opposite')
  })
}

describe('a guard that a callback has left behind', { timeout: 30_000 }, () => {
  itIfProved('does not prove that the code around waits, as a timer may release it', async () => {
    const { locks, kinds } = watched({ deadlockAfterMs: 20 })
    const one = locks.request('O', async () => {
      await locks.request('I', async () => {
        const guard = await locks.acquire('G')
        setTimeout(() => guard.release(), 120)
      })
      await pause(20)
      return await locks.request('B', () => 'one')
    })
    const other = locks.request('B', async () => {
      await pause(10)
      return await locks.request('G', () => 'other')
    })
    assert.deepEqual(await Promise.all([one, other]), ['one', 'other'])
    assert.deepEqual(kinds, ['suspected'])
  })

  itIfProved('is proved if the callback returned it to the code around', async () => {
    const { locks, kinds } = watched()
    const one = locks.request('O', async () => {
      const guard = await locks.request('I', async () => {
        const inner = await locks.acquire('G')
        await pause(1)
        return inner
      })
      try {
        await pause(20)
        return await locks.request('B', () => 'one')
      } finally {
        guard.release()
      }
    })
    const other = locks.request('B', async () => {
      await pause(10)
      return await locks.request('G', () => 'other')
    })
    const results = await Promise.allSettled([one, other])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })

  itIfProved('is proved for an owner, whose code has all its guards', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const one = async (): Promise<unknown> => {
      const guard = await locks.request('I', { owner }, async () => locks.acquire('G', { owner }))
      try {
        await pause(20)
        return await locks.request('B', { owner }, () => 'one')
      } finally {
        guard.release()
      }
    }
    const other = locks.request('B', async () => {
      await pause(10)
      return await locks.request('G', () => 'other')
    })
    const results = await Promise.allSettled([one(), other])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })
})

describe('a request that a callback has left behind', { timeout: 30_000 }, () => {
  for (const deadlockVictims of ['proved', 'likely'] as const) {
    itIfProved(`is proved if the code around awaits it (victims: ${deadlockVictims})`, async () => {
      const { locks, kinds } = watched({ deadlockVictims })
      const one = locks.request('a', async () => {
        const results: Promise<number>[] = []
        await locks.request('list', async () => {
          results.push(locks.request('b', () => 1).then((x) => x + 1))
        })
        return await Promise.all(results)
      })
      const results = await Promise.allSettled([one, nest(locks, 'b', 'a')])
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      assert.deepEqual(kinds, ['deadlock'])
    })
  }

  it('is suspected if nothing shows that it is awaited, also with likely victims', async () => {
    const { locks, kinds } = watched({ deadlockVictims: 'likely' })
    const abort = new AbortController()
    const one = locks.request('a', async () => {
      await locks.request('list', () => {
        void locks.request('b', () => {}).then(() => {})
      })
      await pause(60)
    })
    const other = nest(locks, 'b', 'a', abort.signal)
    await pause(50)
    assert.deepEqual(kinds, ['suspected'])
    await Promise.all([one, other])
  })

  it('is a likely victim again after a new subscription to its promise', async () => {
    const { locks, kinds } = watched({ deadlockVictims: 'likely' })
    let left: Promise<unknown> | undefined
    const one = locks.request('a', async () => {
      await locks.request('list', () => {
        left = locks.request('b', () => {})
        left.then(() => {}).catch(() => {})
      })
      await pause(40)
      await left
    })
    const results = await Promise.allSettled([one, nest(locks, 'b', 'a')])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal(kinds.at(-1), 'deadlock')
  })

  it('does not prove a wait of its owner, whose code goes on', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const guard = await locks.acquire('a', { owner })
    const other = locks.request('b', async () => {
      await pause(10)
      return await locks.request('a', () => 'other')
    })
    await locks.request('x', { owner }, () => {
      locks
        .request('b', { owner }, () => {})
        .then(
          () => {},
          () => {},
        )
    })
    await pause(30)
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    guard.release()
    assert.equal(await other, 'other')
  })
})
