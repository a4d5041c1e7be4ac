/**
 * Backends that fail, or answer too late or never: no request hangs, and no lock stays held without a holder.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BackendHost, BackendRequest } from '../../src/backends/backend.ts'
import { LockManager, type LockManagerOptions, type SlowReport } from '../../src/index.ts'
import { warningsOf } from '../manager/tools.ts'
import { afterTimers, rounds, settle, until } from '../waiting.ts'
import { ToyBackend } from './toy-backend.ts'

/** Returns a manager whose backend has some of its members replaced, and holds a lock. */
async function managerOf(
  members: object,
  options: LockManagerOptions = {},
): Promise<{ toy: ToyBackend; locks: LockManager; end(): Promise<void> }> {
  const toy = Object.assign(new ToyBackend(), members)
  const locks = new LockManager({ ...options, backend: toy })
  const guard = await locks.acquire('a', { label: 'the holder' })
  return { toy, locks, end: () => guard[Symbol.asyncDispose]() }
}

const never = (): Promise<never> => new Promise(() => {})

describe('a backend that fails', { timeout: 20_000 }, () => {
  it('to list blockers does not keep a time limit from ending a wait', async () => {
    const rejects = (): Promise<never> => Promise.reject(new Error('no answer'))
    const throws = (): never => {
      throw new Error('no answer')
    }
    for (const blockers of [never, rejects, throws]) {
      const { locks, end } = await managerOf({ blockers })
      await assert.rejects(locks.acquire('a', { timeoutMs: 10 }), { code: 'LOCK_TIMEOUT' })
      await end()
    }
  })

  it('to list the blockers of one lock suppresses no report of another lock', async () => {
    const reports: SlowReport[] = []
    const { toy, locks, end } = await managerOf({}, { longWaitMs: 30 })
    const blockers = toy.blockers.bind(toy)
    toy.blockers = (request, name) => (name === 'a' ? never() : blockers(request, name))
    locks.on('slow', (report) => reports.push(report))
    const other = await locks.acquire('b', { label: 'the other holder' })
    const waits = [locks.request('a', () => {}), locks.request('b', () => {})]
    await until(() => reports.some((one) => one.state === 'waiting' && one.lock === 'b'))
    await Promise.all([end(), other[Symbol.asyncDispose](), ...waits])
  })

  it('to find a request in its store does not keep its wait from being reported', async () => {
    const reports: SlowReport[] = []
    const longWaitMs = 30
    const { toy, locks, end } = await managerOf({}, { longWaitMs })
    locks.on('slow', (report) => reports.push(report))
    // First the manager looks twice for other waits, because the holder has waited for the late store.
    for (let looks = 0; looks < 2; looks++) await afterTimers(longWaitMs)
    const lock = toy.lock.bind(toy)
    let reads = 0
    // The first read finds no waiters.
    toy.lock = (name) => ({
      ...lock(name),
      get waiting() {
        return reads++ === 0 ? 0 : lock(name).waiting
      },
    })
    const waits = locks.request('a', () => {})
    await until(() => reports.length > 0)
    assert.equal(reports.length, 1)
    await Promise.all([end(), waits])
  })

  it('to release causes a warning, and the request keeps its result', async () => {
    const warnings = await warningsOf(async () => {
      const release = (): Promise<never> => Promise.reject(new Error('connection reset'))
      const { locks, end } = await managerOf({ release })
      await end()
      assert.equal(await locks.request('b', () => 7), 7)
      assert.equal(await locks.request('c', async () => 8), 8)
      const throws = (): never => {
        throw new Error('the program’s own')
      }
      await assert.rejects(locks.request('d', throws), /the program’s own/)
      await assert.rejects(
        locks.request('e', async () => throws()),
        /the program’s own/,
      )
    })
    assert.equal(
      warnings.filter((text) => /failed to release '.'.*connection reset/.test(text)).length,
      5,
    )
  })

  it('to cancel leaves no aborted request waiting', async () => {
    const cancel = (): never => {
      throw new Error('not connected')
    }
    await warningsOf(async () => {
      const { toy, locks } = await managerOf({ cancel })
      await assert.rejects(locks.acquire('a', { timeoutMs: 10 }), { code: 'LOCK_TIMEOUT' })
      const controller = new AbortController()
      const { signal } = controller
      const waits = [locks.acquire('a', { signal }), locks.acquire('a', { signal })]
      // The request whose time was over is still in the store.
      await until(() => toy.lock('a').waiting === 3)
      controller.abort(new Error('no more'))
      for (const wait of waits) await assert.rejects(wait, /no more/)
    })
  })

  it('to acquire receives no cancel or release', async () => {
    const calls: string[] = []
    const { toy, locks, end } = await managerOf({})
    toy.acquire = () => {
      throw new Error('not connected')
    }
    toy.cancel = () => calls.push('cancel')
    await assert.rejects(locks.acquire('b'), /not connected/)
    assert.deepEqual(calls, [])
    await end()
  })
})

describe('a backend that answers late', { timeout: 20_000 }, () => {
  it('receives no request of an owner that was refused or failed', async () => {
    const { toy, locks, end } = await managerOf({})
    const release = toy.release.bind(toy)
    const failures: unknown[] = []
    toy.release = (request: BackendRequest) =>
      release(request).catch((error) => {
        failures.push(error)
      })
    const owner = {}
    const guard = await locks.acquire('b', { owner })
    await guard[Symbol.asyncDispose]()
    assert.equal(await locks.request('a', { ifAvailable: true }, (lock) => lock), null)
    const waiting = locks.acquire('a')
    await until(() => toy.lock('a').waiting === 1)
    toy.failWaiting('a', new Error('forgotten'))
    await assert.rejects(waiting, /forgotten/)
    await end()
    assert.deepEqual(failures, [])
  })

  it('may request the proof of any request', async () => {
    let host: BackendHost | undefined
    class Asking extends ToyBackend {
      override attach(given: BackendHost): void {
        host = given
        super.attach(given)
      }
    }
    const toy = new Asking()
    const locks = new LockManager({ backend: toy })
    const guard = await locks.acquire('a')
    const waiting = locks.request('a', () => 'granted')
    await until(() => toy.lock('a').waiting === 1)
    const [request] = toy.lock('a').waiters()
    assert.equal(await host?.prove(request as BackendRequest), false)
    await guard[Symbol.asyncDispose]()
    assert.equal(await waiting, 'granted')
  })

  it('grants nothing to a request that was given up meanwhile', async () => {
    const { toy, locks, end } = await managerOf({})
    toy.cancel = (request: BackendRequest) => request.granted()
    let isCalled = false
    const waiting = locks.request('a', { timeoutMs: 10 }, () => {
      isCalled = true
    })
    await assert.rejects(waiting, { code: 'LOCK_TIMEOUT' })
    await rounds()
    assert.equal(isCalled, false)
    await end()
  })

  it('may lose a grant that has not arrived', async () => {
    const { toy, locks, end } = await managerOf({})
    const waiting = locks.request('a', () => 'granted')
    await until(() => toy.lock('a').waiting === 1)
    const [request] = toy.lock('a').waiters()
    request?.lost({ kind: 'gone', error: new Error('the connection is gone') })
    await assert.rejects(waiting, { code: 'LOCK_LOST' })
    await end()
  })

  it('may report a thief that this manager does not know', async () => {
    const { toy, locks } = await managerOf({})
    const by = { label: 'a thief elsewhere', since: 0, callSite: 'main (other.js:1:2)' }
    const lost = locks.request('b', { label: 'victim' }, async (lock) => {
      for (const holder of toy.lock('b').holders()) holder.lost({ kind: 'stolen', by })
      assert.equal(lock.held, false)
      await settle()
    })
    await assert.rejects(lost, (error: DOMException) => {
      assert.equal(error.name, 'AbortError')
      assert.match(
        error.message,
        /a thief elsewhere \(main \(other.js:1:2\)\) has stolen 'b' from victim/,
      )
      return true
    })
  })

  it('learns the manager’s own time limit', async () => {
    const { toy, locks, end } = await managerOf({}, { timeoutMs: 5000 })
    const waiting = locks.request('a', () => {})
    await until(() => toy.lock('a').waiting === 1)
    const [request] = toy.lock('a').waiters()
    assert.equal(request?.timeoutMs, 5000)
    await end()
    await waiting
  })
})
