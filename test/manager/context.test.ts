/**
 * The requester, where the runtime knows it. It has its own file because the first request of a process is
 * special.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LockManager, LockOrderError, type Scope } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { watched } from './tools.ts'

describe('the context of a holder', () => {
  it('is not that of the requesting code or of other code, even for the first request', async () => {
    const [one, other] = [new LockManager(), new LockManager()]
    const possible: unknown[] = []
    one.on('possible', (report) => possible.push(report))
    for (const locks of [one, other]) {
      const end = gate()
      const done = locks.request('first', () => end.opened)
      await settle()
      // Nested, this would be a deadlock: its own holder holds the lock.
      const suspected: unknown[] = []
      locks.on('deadlock', (report) => suspected.push(report))
      const again = locks.request('first', { timeoutMs: 1 }, () => {})
      await assert.rejects(again, { name: 'LockTimeoutError' })
      await locks.request('second', () => {})
      end.open()
      await done
      await locks.request('second', async () => locks.request('first', () => {}))
      assert.deepEqual(suspected, [])
    }
    assert.deepEqual(possible, [])
  })

  itIfProved('is known through callbacks of other managers', async () => {
    const [one, other] = [new LockManager({ deadlockAfterMs: 0 }), new LockManager()]
    await one.request('a', async () => {
      await other.request('a', async () => {
        await assert.rejects(
          one.request('a', () => {}),
          { name: 'DeadlockError' },
        )
      })
    })
    await one.request('a', () => {})
  })

  it('ends with the holder, also for the code that it started', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0 })
    const started = gate()
    let later: Promise<unknown> | undefined
    await locks.request('a', () => {
      later = started.opened.then(() => locks.request('a', () => 'held'))
    })
    started.open()
    assert.equal(await later, 'held')
  })

  itIfProved('nests requests made by the scope of an outer holder in the inner one', async () => {
    const { locks, kinds } = watched()
    const results = await Promise.allSettled([
      locks.request('a', (_lock, inside) =>
        inside.request('b', async () => {
          await settle()
          await inside.request('c', () => {})
        }),
      ),
      locks.request('c', async () => {
        await settle()
        await locks.request('b', () => {})
      }),
    ])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })

  it('keeps guards and orders requested by the scope of an outer holder in the inner one', async () => {
    const locks = new LockManager({ order: ['a', 'b', 'c'] })
    await locks.request('a', async (_lock, outer) => {
      await outer.request('c', async () => {
        await assert.rejects(
          outer.request('b', () => {}),
          LockOrderError,
        )
        await assert.rejects(outer.acquire('b'), LockOrderError)
        assert.throws(() => outer.tryAcquire('b'), LockOrderError)
      })
      // The inner holder has ended.
      await outer.request('b', () => {})
    })
  })

  it('is that of a scope if the code is in no callback inside its holder', async () => {
    const locks = new LockManager({ order: ['a', 'b', 'c'] })
    const ended = gate()
    let other: Scope | undefined
    const end = gate()
    const first = locks.request('b', async (_lock, scope) => {
      other = scope
      await end.opened
    })
    await locks.request('a', async (_lock, outer) => {
      // The holder of this callback is neither the holder of `other` nor nested in it.
      await locks.request('c', { detached: true }, async () => {
        await outer.request('b:2', () => {})
        await (other as Scope).request('c:2', () => {})
      })
      let late: Promise<unknown> | undefined
      await outer.request('c', () => {
        late = ended.opened.then(() => outer.request('b:2', () => 'late'))
      })
      ended.open()
      assert.equal(await late, 'late')
    })
    end.open()
    await first
  })
})
