/** Tasks of one thread that wait for one lock: each release wakes few of them, and none is forgotten. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { SharedLocks, shared } from '../../../src/backends/threads/index.ts'
import { gate, settle, until } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, untilWaiting } from './threads.ts'

type WaitAsync = NonNullable<typeof Atomics.waitAsync>

const { waitAsync } = Atomics as { waitAsync?: WaitAsync }
/** A task that has slept this long checks the lock without being woken: MAX_SLEEP_MS in wait.ts. */
const LONG_MS = 100

const ended = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'held',
    (error: { code?: unknown }) => error.code,
  )

describe('tasks that wait for one lock', { timeout: 20_000, skip: !waitAsync }, () => {
  let sleeps = 0
  const create = (order: 'ascending' | 'free' = 'ascending'): SharedLocks =>
    SharedLocks.create({ count: 8, owners: 512, order, label: 'main' })

  beforeEach(() => {
    sleeps = 0
    // Long sleeps end only by a wake-up, so a lost one makes the test hang.
    const endless = ((words: Int32Array, at: number, value: number, ms: number) => {
      sleeps++
      return (waitAsync as WaitAsync)(
        words,
        at,
        value,
        ms >= LONG_MS ? Number.POSITIVE_INFINITY : ms,
      )
    }) as WaitAsync
    Object.assign(Atomics, { waitAsync: endless })
  })

  afterEach(() => {
    Object.assign(Atomics, { waitAsync })
  })

  for (const order of ['ascending', 'free'] as const) {
    it(`sleep a few times each, however many they are (${order})`, async () => {
      const locks = create(order)
      const count = 300
      let held = 0
      await Promise.all(
        Array.from({ length: count }, () =>
          locks.holdAsync([0], async () => {
            assert.equal(++held, 1)
            await undefined
            held--
          }),
        ),
      )
      assert.ok(sleeps < 20 * count, `${sleeps} sleeps`)
    })
  }

  it('go on waiting when the first of them gives up', async () => {
    const locks = create()
    const flags = newFlags()
    const holding = inThread(locks, 'holdUntilFlag', { flags, indices: [0] })
    await flagIsSet(flags, 0)
    const late = ended(locks.holdAsync([0], { timeoutMs: 20 }, assert.fail))
    const behind = locks.holdAsync([0], () => settle())
    const lateToo = ended(locks.holdAsync([0], { timeoutMs: 30 }, assert.fail))
    const last = locks.holdAsync([0], () => 'last')
    assert.deepEqual(await Promise.all([late, lateToo]), ['LOCK_TIMEOUT', 'LOCK_TIMEOUT'])
    setFlag(flags, 1, 1)
    await behind
    assert.equal(await last, 'last')
    await holding
  })

  it('enter together as readers, and let writers in', async () => {
    const locks = create()
    const flags = newFlags()
    const holding = inThread(locks, 'holdUntilFlag', { flags, indices: [0] })
    await flagIsSet(flags, 0)
    const [readers, writers] = [new Set<number>(), new Set<number>()]
    const together = gate()
    const hold = (i: number): Promise<void> => {
      const isWriter = i % 4 === 3
      const [held, lock] = isWriter ? [writers, 0] : [readers, shared(0)]
      return locks.holdAsync([lock], async () => {
        held.add(i)
        assert.ok(writers.size === 0 || (writers.size === 1 && readers.size === 0))
        if (readers.size > 1) together.open()
        if (!isWriter) await together.opened
        await settle()
        held.delete(i)
      })
    }
    const all = Array.from({ length: 40 }, (_, i) => hold(i))
    // The first three in the queue are readers.
    await untilWaiting(locks, 0, all.length)
    setFlag(flags, 1, 1)
    await Promise.all([holding, ...all])
  })

  it('share the lock with threads that want it too', async () => {
    const locks = create()
    const flags = newFlags()
    const asks = Array.from({ length: 3 }, () => inThread(locks, 'askFor', { flags, indices: [0] }))
    for (let i = 0; i < 50; i++) {
      await Promise.all(Array.from({ length: 5 }, () => locks.holdAsync([0], () => settle())))
    }
    assert.deepEqual(await Promise.all(asks), ['held', 'held', 'held'])
  })

  it('all learn of the end of the thread that holds it', async () => {
    const locks = create()
    const flags = newFlags()
    const dies = inThread(locks, 'endHolding', { flags, indices: [0], how: 'exit' })
    await flagIsSet(flags, 0)
    const waiting = Array.from({ length: 5 }, () => ended(locks.holdAsync([0], assert.fail)))
    await untilWaiting(locks, 0, waiting.length)
    setFlag(flags, 1, 1)
    await assert.rejects(dies)
    assert.deepEqual([...new Set(await Promise.all(waiting))], ['LOCK_OWNER_DIED'])
  })

  it('are proved to be in a deadlock also behind others', async () => {
    const locks = create('free')
    const flags = newFlags()
    const crossing = inThread(locks, 'holdThenAsk', { flags, held: 1, wanted: 0 }, 'worker')
    await flagIsSet(flags, 0)
    const others: Promise<unknown>[] = []
    const outer = locks.holdAsync([0], async () => {
      others.push(locks.holdAsync([1], () => {}))
      await untilWaiting(locks, 1)
      const nested = locks.holdAsync([1], () => {})
      others.push(locks.holdAsync([1], () => {}))
      setFlag(flags, 1, 1)
      await nested
    })
    assert.deepEqual([await ended(outer), await crossing].sort(), ['LOCK_DEADLOCK', 'held'])
    await Promise.all(others)
  })

  it('sleep briefly again when a brief sleep ended too early', async () => {
    const locks = create()
    const flags = newFlags()
    const holding = inThread(locks, 'holdUntilFlag', { flags, indices: [0] })
    await flagIsSet(flags, 0)
    const lengths: number[] = []
    const early = ((words: Int32Array, at: number, value: number, ms: number) => {
      lengths.push(ms)
      if (lengths.length === 1) return { async: true, value: Promise.resolve('timed-out') }
      return (waitAsync as WaitAsync)(words, at, value, ms)
    }) as WaitAsync
    Object.assign(Atomics, { waitAsync: early })
    const waiting = locks.holdAsync([0], () => 'held')
    await until(() => lengths.length >= 2)
    setFlag(flags, 1, 1)
    assert.equal(await waiting, 'held')
    assert.deepEqual(lengths.slice(0, 2), [1, 1])
    await holding
  })
})
