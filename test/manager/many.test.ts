/** Many names in one request: granted all or none, in one order, first come, first served. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  exclusive,
  LockManager,
  LockNotAvailableError,
  LockTimeoutError,
  shared,
} from '../../src/index.ts'
import { settle, until } from '../waiting.ts'
import { holder, state, waitIn } from './tools.ts'

describe('a request for many names', { timeout: 60_000 }, () => {
  it('takes each once, in order, exclusively if it was requested in both modes', async () => {
    const locks = new LockManager()
    const wanted = ['b', shared('c'), 'a', exclusive('c'), shared('b')]
    const before = [...wanted]
    const modes = await locks.request(wanted, async (lock) => {
      const { held } = await locks.query()
      return { names: lock.names, modes: held.map(({ mode }) => mode) }
    })
    assert.deepEqual(modes, {
      names: ['a', 'b', 'c'],
      modes: ['exclusive', 'exclusive', 'exclusive'],
    })
    assert.deepEqual(wanted, before)
    const mixed = await locks.request(['x', exclusive('y')], { mode: 'shared' }, async () =>
      (await locks.query()).held.map(({ name, mode }) => `${name} ${mode}`),
    )
    assert.deepEqual(mixed, ['x shared', 'y exclusive'])
  })

  it('holds nothing while it waits, and no request overtakes it', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'b')
    const steps: string[] = []
    const many = locks.request(['a', 'b'], () => steps.push('many'))
    const later = locks.request('a', () => steps.push('later'))
    await settle()
    assert.deepEqual(steps, [])
    assert.deepEqual((await state(locks)).held, ['b'])
    await end()
    await Promise.all([many, later])
    assert.deepEqual(steps, ['many', 'later'])
  })

  it('cannot deadlock, in whatever order it names the locks', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0 })
    const balances = [100, 100, 100, 100, 100]
    const add = async (account: number, amount: number): Promise<void> => {
      const seen = balances[account] as number
      await settle()
      balances[account] = seen + amount
    }
    const work = Array.from({ length: 300 }, (_, i) => {
      const [from, to] = [i % 5, (i * 3 + 1) % 5]
      const names = [`account:${from}`, `account:${to}`]
      return locks.request(i % 2 === 0 ? names : names.reverse(), async () => {
        await add(from, -1)
        await add(to, 1)
      })
    })
    await Promise.all(work)
    const moved = Array.from({ length: 300 }, (_, i) => [i % 5, (i * 3 + 1) % 5] as const)
    const expected = balances.map(
      (_, at) =>
        100 +
        moved.filter(([, to]) => to === at).length -
        moved.filter(([from]) => from === at).length,
    )
    assert.deepEqual(balances, expected)
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  it('is not starved by a stream of small ones, and does not starve them', async () => {
    const locks = new LockManager()
    let stop = false
    let small = 0
    const stream = (name: string): Promise<void> =>
      locks
        .request(name, async () => {
          small++
          await settle()
        })
        .then(() => (stop ? undefined : stream(name)))
    const streams = [stream('a'), stream('a'), stream('b'), stream('b')]
    for (let i = 0; i < 5; i++) await locks.request(['a', 'b'], settle)
    const before = small
    await until(() => small > before)
    stop = true
    await Promise.all(streams)
  })

  it('rejects after timeoutMs, and names the request that it waited behind', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'b')
    const behind = locks.request(['a', 'b'], { timeoutMs: 10, label: 'late' }, () => 'never')
    const next = locks.request('a', () => 'next')
    await assert.rejects(behind, (error) => {
      assert.ok(error instanceof LockTimeoutError)
      assert.match(
        error.message,
        /'a', 'b' could not be granted to late within 10 ms: 'b' is held by request 1/,
      )
      assert.match(error.stack ?? '', /many\.test/)
      return true
    })
    assert.equal(await next, 'next')
    await assert.rejects(
      locks.request('b', { timeoutMs: 0 }, () => {}),
      LockTimeoutError,
    )
    assert.equal(await locks.request('free', { timeoutMs: 0 }, () => 'got it'), 'got it')
    const itself = locks.request('c', { label: 'me' }, (_lock, inside) =>
      inside.request('c', { timeoutMs: 10 }, () => 'never'),
    )
    await assert.rejects(
      itself,
      /'c' is held by me \(.*the blocked request was made inside this holder/,
    )
    await end()
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  it('names all requests in its way, also shared ones', async () => {
    const locks = new LockManager()
    const slow: string[][] = []
    locks.on('slow', (report) => slow.push(waitIn(report).holders.map(({ label }) => label)))
    const ends = [
      (await holder(locks, 'a', { mode: 'shared' })).end,
      (await holder(locks, 'a', { mode: 'shared' })).end,
    ]
    const late = locks.request('a', { timeoutMs: 1 }, () => 'never')
    await assert.rejects(late, /'a' is held by request 1 \(.*\), request 2 \(/)
    const waits = locks.request('a', { warnAfterMs: 1 }, () => 'granted')
    await until(() => slow.length > 0)
    assert.deepEqual(slow, [['request 1', 'request 2']])
    for (const end of ends) await end()
    assert.equal(await waits, 'granted')
  })

  it('leaves no entry for a name that no request holds or waits for', async () => {
    const locks = new LockManager()
    for (let i = 0; i < 1000; i++) await locks.request([`a:${i}`, `b:${i}`], () => {})
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })
})

describe('a guard', { timeout: 60_000 }, () => {
  it('holds the lock until it is released, once', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire(['b', 'a'])
    assert.deepEqual(
      [guard.names, guard.name, guard.mode, guard.held],
      [['a', 'b'], 'a', 'exclusive', true],
    )
    const next = locks.acquire('a')
    guard.release()
    guard.release()
    const second = await next
    guard.release()
    assert.equal(second.held, true)
    assert.equal(locks.tryAcquire('a'), undefined)
    second.release()
    const third = locks.tryAcquire(['a', shared('b')])
    assert.deepEqual(third?.names, ['a', 'b'])
    third?.[Symbol.dispose]()
    const fourth = await locks.acquire('a')
    await fourth[Symbol.asyncDispose]()
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  it('does not release the lock of the request that stole it', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire('a')
    await locks.request('a', { steal: true }, async () => {
      assert.equal(guard.held, false)
      guard.release()
      assert.equal(locks.tryAcquire('a'), undefined)
    })
  })

  it('is refused if ifAvailable finds the lock held, and an abort right after acquire() wins', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire('a')
    await assert.rejects(locks.acquire('a', { ifAvailable: true }), LockNotAvailableError)
    guard.release()
    const controller = new AbortController()
    const aborted = locks.acquire('a', { signal: controller.signal })
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError' })
    assert.ok(locks.tryAcquire('a'))
  })
})
