/**
 * Nested requests and the requests that wait before them: what must not become a deadlock, and what is one.
 * These requests are made and awaited outside of their holders' callbacks, so that no wait is proved.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Guard, LockManager, shared } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { withFakeClock } from './fake-clock.ts'
import { holder, startOneAnother, watched } from './tools.ts'

const likely = { deadlockVictims: 'likely' } as const

describe('a nested request', { timeout: 20_000 }, () => {
  it('overtakes, if necessary, a request that came to wait for its holder only later', async () => {
    const locks = new LockManager({ trackOrder: false, ...likely })
    locks.on('deadlock', () => assert.fail('a deadlock'))
    const [z, h] = [await holder(locks, 'z'), await holder(locks, 'h')]
    const many = locks.request(['y', 'z'], () => 'many')
    const inH = h.inside.request('y', () => 'in h')
    void inH.then(h.end)
    await settle()
    const inZ = z.inside.request('h', () => 'in z')
    void inZ.then(z.end)
    assert.deepEqual(await Promise.all([inH, inZ, many]), ['in h', 'in z', 'many'])
  })

  it('keeps its position among the others in every queue', async () => {
    const locks = new LockManager({ trackOrder: false, ...likely })
    const h = await holder(locks, 'h')
    const z = await holder(locks, 'z')
    const nested = h.inside.request(['y', 'z'], () => 'nested')
    const first = locks.request(['h', shared('y')], () => 'first')
    const second = locks.request([shared('y'), 'z'], () => 'second')
    void h.end()
    await settle()
    void z.end()
    assert.deepEqual(await Promise.all([nested, first, second]), ['nested', 'first', 'second'])
  })

  it('moves to the outer holder when the enclosing holder has ended', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false, ...likely })
    const handed = gate()
    const one = locks.request('a', async (_lock, scope) => {
      const { later } = await scope.request('inner', (_inner, inside) => ({
        later: inside.request('b', () => 'b'),
      }))
      await handed.opened
      return later
    })
    const other = locks.request('b', async (_lock, scope) => {
      await settle()
      handed.open()
      return scope.request('a', () => 'a')
    })
    const results = await Promise.allSettled([one, other])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  it('is suspected if a guard of its context is in the way', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 1000, ...likely })
      const x = await holder(locks, 'x')
      const y = await holder(locks, 'y')
      const h = await holder(locks, 'h')
      const guard = h.inside.acquire('x')
      const wantsX = y.inside.request('x', { timeoutMs: 200 }, () => {})
      wantsX.catch(() => {})
      const wantsY = h.inside.request('y', { timeoutMs: 200 }, () => {})
      wantsY.catch(() => {})
      await settle()
      assert.deepEqual(kinds, [])
      void wantsX.then(() => {})
      void wantsY.then(() => {}).catch(() => {})
      void x.end()
      const held = (await guard) as Guard
      await settle()
      assert.deepEqual(kinds, ['suspected'])
      held.release()
      await tick(210)
      await Promise.allSettled([wantsX, wantsY])
      void y.end()
      void h.end()
    }))

  it('overtakes when the cycle in which it was found opens in the meantime', async () => {
    const { locks, kinds } = watched({ deadlockAfterMs: Number.POSITIVE_INFINITY, ...likely })
    const [a, b, c] = [await holder(locks, 'a'), await holder(locks, 'b'), await holder(locks, 'c')]
    const guard = a.inside.acquire('c')
    const both = locks.request(['b', 'c'], () => 'both')
    const inA = a.inside.request('b', () => 'in a')
    const done = inA.then(async () => (await guard).release())
    const controller = new AbortController()
    const inB = b.inside.request('a', { signal: controller.signal }, () => {})
    void inB.then(
      () => {},
      () => {},
    )
    await settle()
    // The cycle exists. From here on, `both` also waits for a guard of the holder of `a`.
    void c.end()
    await settle()
    controller.abort()
    void b.end()
    assert.deepEqual(await Promise.all([inA, both]), ['in a', 'both'])
    assert.deepEqual(kinds, ['deadlock'])
    await done
    void a.end()
  })

  it('overtakes in turn with others that may overtake from the same moment on', () =>
    withFakeClock(async (tick) => {
      const { locks } = watched({ deadlockAfterMs: Number.POSITIVE_INFINITY, ...likely })
      const d = await holder(locks, 'd')
      const steps: string[] = []
      const both = d.inside.request(['a', 'd'], { timeoutMs: 100 }, () => {})
      const late = both.then(
        () => {},
        () => steps.push('late'),
      )
      const guard = d.inside.acquire('a')
      void guard.then(() => {})
      await settle()
      const first = d.inside.request('a', () => steps.push('first'))
      const second = d.inside.request('a', () => steps.push('second'))
      // Awaited in the reverse order.
      const done = [second.then(() => {}), first.then(() => {})]
      await settle()
      ;(await guard).release()
      await Promise.all(done)
      await tick(110)
      await late
      assert.deepEqual(steps, ['first', 'second', 'late'])
      void d.end()
    }))

  it('has constant cost if each starts the next, and keeps no earlier ones', async () => {
    const locks = new LockManager()
    await startOneAnother(locks, 100_000, ['job'])
    assert.deepEqual(await locks.query(), { held: [], pending: [] })
  })
})

describe('the victim of a deadlock', { timeout: 20_000 }, () => {
  it('is that of the current cycle, not of an earlier one', () =>
    withFakeClock(async (tick) => {
      const locks = new LockManager({ deadlockAfterMs: 150, trackOrder: false, ...likely })
      const victims: string[] = []
      locks.on('deadlock', ({ cycle }) => victims.push(cycle[0]?.waiter.label ?? ''))
      const [a, b] = [await holder(locks, 'a'), await holder(locks, 'b')]
      const controller = new AbortController()
      const y = b.inside.request('a', { signal: controller.signal, label: 'y' }, () => {})
      void y.then(
        () => {},
        () => {},
      )
      const x = a.inside.request('b', { label: 'x' }, () => 'x')
      void x.then(a.end)
      await settle()
      controller.abort()
      await tick(75)
      let isOver = false
      const again = b.inside.request('a', { label: 'y again' }, () => {})
      const rejected = assert.rejects(again, { name: 'DeadlockError' }).then(() => {
        isOver = true
      })
      // The victim of the earlier cycle would be due in between.
      await tick(145)
      assert.equal(isOver, false)
      await tick(10)
      await rejected
      void b.end()
      assert.equal(await x, 'x')
      assert.deepEqual(victims, ['x', 'y again'])
    }))
})
