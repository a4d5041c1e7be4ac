/** Time limits under timers that a test has mocked, and restored again. */

import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import { DeadlockError, LockManager, LockTimeoutError } from '../../src/index.ts'
import { runtime } from '../../src/manager/clock.ts'
import { settle } from '../waiting.ts'
import { forgetTime } from './fake-clock.ts'
import { holder } from './tools.ts'

describe('a manager under a test’s own timers', { timeout: 10_000 }, () => {
  afterEach(() => mock.timers.reset())

  it('rejects a request after timeoutMs of these timers, and not before', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const locks = new LockManager()
    const { end } = await holder(locks, 'a')
    let ended = ''
    const late = locks
      .request('a', { timeoutMs: 5000 }, () => {})
      .catch((error) => {
        ended = error.name
        assert.ok(error instanceof LockTimeoutError)
      })
    mock.timers.tick(4999)
    await settle()
    assert.equal(ended, '')
    mock.timers.tick(1)
    await late
    assert.equal(ended, 'LockTimeoutError')
    await end()
  })

  it('rejects a victim after deadlockAfterMs of real time', async () => {
    mock.timers.enable({ apis: ['setTimeout', 'setImmediate', 'Date'] })
    const locks = new LockManager({ deadlockAfterMs: 20, trackOrder: false })
    const deadlocked = locks.request('a', () => locks.request('a', () => {}))
    await assert.rejects(deadlocked, DeadlockError)
  })

  it('knows the time of day again after these timers', async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1000 })
    const locks = new LockManager()
    await locks.request('a', () => {})
    mock.timers.reset()
    await forgetTime()
    const { end } = await holder(locks, 'a')
    const { held } = await locks.query()
    assert.ok(Date.now() - (held[0]?.since ?? 0) < 5000)
    await end()
  })
})

it('the age of a wait or holding excludes an earlier block of the event loop', async () => {
  const real = { ...runtime }
  let at = 1_000_000
  const timers: (() => void)[] = []
  Object.assign(runtime, {
    now: () => at,
    setTimeout: (work: () => void, ms: number) => (ms === 10 ? timers.push(work) : {}),
  })
  try {
    await forgetTime()
    const locks = new LockManager()
    await locks.request('warm-up', () => {})
    // The program computes for this long, and then takes a lock in the same turn of the event loop.
    at += 1500
    const { end } = await holder(locks, 'a')
    for (const timer of timers) timer()
    at += 50
    const { held } = await locks.query()
    assert.equal(at - (held[0]?.since ?? 0), 50)
    await end()
  } finally {
    Object.assign(runtime, real)
  }
})
