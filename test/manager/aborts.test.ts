/**
 * Aborts: the manager sees them whatever other listeners of the signal do, and before they have any other
 * visible effect.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LockManager } from '../../src/index.ts'
import { settle } from '../waiting.ts'
import { holder, no, state } from './tools.ts'

const free = { held: [], pending: [] }

/** A signal with an earlier listener that stops its `abort` event. */
function stopped(): { readonly signal: AbortSignal; abort(reason: unknown): void } {
  const controller = new AbortController()
  controller.signal.addEventListener('abort', (event) => event.stopImmediatePropagation())
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) }
}

describe('an abort', { timeout: 60_000 }, () => {
  it('is heard by a waiting request though an earlier listener stops the event', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'a')
    const { signal, abort } = stopped()
    const waiting = [0, 1, 2].map(() => locks.request(['b', 'a'], { signal }, no))
    const behind = locks.request('b', () => 'through')
    abort('mine')
    assert.deepEqual(
      (await Promise.allSettled(waiting)).map((result) => 'reason' in result && result.reason),
      ['mine', 'mine', 'mine'],
    )
    assert.deepEqual(await state(locks), { held: ['a'], pending: [] })
    assert.equal(await behind, 'through')
    await end()
  })

  it('reaches a request behind an earlier `onabort`, and with a signal that was used before', async () => {
    const locks = new LockManager()
    const controller = new AbortController()
    const { signal } = controller
    // This request is granted at once, so the manager does not listen yet. Then another listener is added,
    // and only then do requests wait.
    await locks.request('a', { signal }, () => {})
    signal.onabort = (event) => event.stopImmediatePropagation()
    for (let i = 0; i < 2; i++) {
      const { end } = await holder(locks, 'a')
      const granted = locks.request('a', { signal }, () => 'granted')
      await settle()
      await end()
      assert.equal(await granted, 'granted')
    }
    const { end } = await holder(locks, 'a')
    const waiting = locks.request('a', { signal }, no)
    controller.abort('mine')
    await assert.rejects(waiting, (reason) => reason === 'mine')
    await end()
  })

  it('reaches requests that share a signal with one that was granted at once', async () => {
    const locks = new LockManager()
    const { signal, abort } = stopped()
    const first = locks.request('a', { signal }, no)
    const second = locks.request('a', { signal }, no)
    abort('mine')
    await assert.rejects(second, (reason) => reason === 'mine')
    await assert.rejects(first, (reason) => reason === 'mine')
    assert.deepEqual(await state(locks), free)
  })

  it('has taken its requests away when another listener asks, whichever came first', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'a')
    const controller = new AbortController()
    const { signal } = controller
    const seen: unknown[] = []
    const look = (): void => {
      seen.push(
        state(locks),
        locks.request('b', { ifAvailable: true }, (lock) => lock?.name),
        locks.tryAcquire('c')?.names,
        locks.acquire('d', { ifAvailable: true }).then((guard) => guard.release()),
      )
    }
    signal.addEventListener('abort', look)
    const waiting = ['b', 'c', 'd'].map((name) => locks.request([name, 'a'], { signal }, no))
    const granted = locks.request('e', { signal }, no)
    signal.addEventListener('abort', look)
    controller.abort('mine')
    const results = await Promise.allSettled([...waiting, granted])
    assert.ok(results.every(({ status }) => status === 'rejected'))
    const [first, name, names, guard] = await Promise.all(seen)
    assert.deepEqual(
      [first, name, names, guard],
      [{ held: ['a'], pending: [] }, 'b', ['c'], undefined],
    )
    await end()
  })

  it('wins over a steal before the callback began', async () => {
    const locks = new LockManager()
    const controller = new AbortController()
    const stolen = locks.request('a', { signal: controller.signal }, no)
    const guard = locks.acquire('b', { signal: controller.signal })
    const thieves = ['a', 'b'].map((name) => locks.request(name, { steal: true }, () => name))
    controller.abort('mine')
    await assert.rejects(stolen, (reason) => reason === 'mine')
    await assert.rejects(guard, (reason) => reason === 'mine')
    assert.deepEqual(await Promise.all(thieves), ['a', 'b'])
    assert.deepEqual(await state(locks), free)
  })

  it('has no effect after a time limit', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'a')
    const controller = new AbortController()
    const late = locks.request('a', { timeoutMs: 0, signal: controller.signal }, no)
    controller.abort('mine')
    await assert.rejects(late, { code: 'LOCK_TIMEOUT' })
    await end()
  })
})
