/** Who is asking, where the runtime knows: alone in its file, for the first request of a process is special. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LockManager } from '../../src/index.ts'
import { itIfProved } from './if-proved.ts'
import { gate, settle } from './tools.ts'

describe('the context of a holder', () => {
  it('is not that of the code that asked, nor of anybody else: not even for the first request', async () => {
    const [one, other] = [new LockManager(), new LockManager()]
    const possible: unknown[] = []
    one.on('possible', (report) => possible.push(report))
    for (const locks of [one, other]) {
      const end = gate()
      const done = locks.request('first', () => end.opened)
      await settle()
      // Nested, this would be a deadlock: the lock is its own holder's.
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

  it('ends with the holder, for those whom it started too', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0 })
    const started = gate()
    let later: Promise<unknown> | undefined
    await locks.request('a', () => {
      later = started.opened.then(() => locks.request('a', () => 'held'))
    })
    started.open()
    assert.equal(await later, 'held')
  })
})
