/** Errors of requests that were not granted name the root holders. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DeadlockError, LockManager, LockNotAvailableError } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { runAlone } from './child.ts'
import { itIfProved } from './if-proved.ts'

/** The message with which a promise is rejected. */
async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => assert.fail('it was granted'),
    (error: Error) => error.message,
  )
}

function foreign(): never {
  throw new RangeError('not ours')
}

describe('a refusal', { timeout: 20_000 }, () => {
  it('names the root holder, not the next waiter, with mode, age, call site and waiter count', async () => {
    const locks = new LockManager()
    const end = gate()
    const all = [
      locks.request('db', { label: 'HOLDER' }, () => end.opened),
      locks.request('db', { label: 'w1' }, () => {}),
      locks.request('db', { label: 'w2', mode: 'shared' }, () => {}),
    ]
    const message = await messageOf(locks.request('db', { timeoutMs: 1 }, () => {}))
    assert.match(
      message,
      /^'db' could not be granted within 1 ms: 'db' is held by HOLDER \(exclusively for \d+ ms, requested at .*refusals\.test.*; 3 requests wait for it\)\. Try again, set a longer timeoutMs, or let the holder release sooner$/,
    )
    end.open()
    await Promise.all(all)
  })

  it('follows waiting requests to the lock that they wait for', async () => {
    const locks = new LockManager()
    const end = gate()
    const all = [
      locks.request('z', { label: 'HOLDER', mode: 'shared' }, () => end.opened),
      locks.request('z', { label: 'OTHER', mode: 'shared' }, () => end.opened),
      locks.request(['y', 'z'], () => {}),
      locks.request(['x', 'y'], () => {}),
    ]
    const message = await messageOf(locks.request('x', { timeoutMs: 1 }, () => {}))
    assert.match(
      message,
      /: earlier requests for 'x' wait for 'z', held by HOLDER \(shared for .*; 2 requests hold it; 1 request waits for it\), OTHER \(/,
    )
    end.open()
    await Promise.all(all)
  })

  it('numbers a holder and a waiter of the same label, and shows an empty label', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire('a', { label: 'outer' })
    const unlabelled = await locks.acquire('b', { label: '' })
    assert.match(
      await messageOf(locks.request('a', { label: 'outer', timeoutMs: 1 }, () => {})),
      /^'a' could not be granted to outer \(request 3\) within 1 ms: 'a' is held by outer \(request 1, /,
    )
    assert.match(
      await messageOf(locks.request('b', { timeoutMs: 1 }, () => {})),
      /^'b' could not be granted within 1 ms: 'b' is held by '' \(exclusively/,
    )
    guard.release()
    unlabelled.release()
  })

  it('for a chain of thousands of waiting requests names the root holder', async () => {
    const locks = new LockManager()
    const end = gate()
    const all = [locks.request('n:0', { label: 'HOLDER' }, () => end.opened)]
    for (let i = 0; i < 9_000; i++) all.push(locks.request([`n:${i}`, `n:${i + 1}`], () => {}))
    const message = await messageOf(locks.request('n:9000', { timeoutMs: 1 }, () => {}))
    assert.match(message, /earlier requests for 'n:9000' wait for 'n:0', held by HOLDER \(/)
    end.open()
    await Promise.all(all)
  })

  it('for ifAvailable names the root holder too, also behind waiting requests only', async () => {
    const locks = new LockManager()
    const end = gate()
    const all = [
      locks.request('db', { label: 'HOLDER', mode: 'shared' }, () => end.opened),
      locks.request('db', () => {}),
    ]
    const refused = locks.acquire(['free', 'db'], { ifAvailable: true, mode: 'shared' })
    await assert.rejects(refused, LockNotAvailableError)
    assert.match(
      await messageOf(refused),
      /'db', 'free' could not be granted at once: 'db' is held by HOLDER \(shared for .*; 1 request waits for it\)/,
    )
    end.open()
    await Promise.all(all)
  })

  it('for ifAvailable gives no waiter count without waiters', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire('a', { label: 'first' })
    assert.match(
      await messageOf(locks.acquire('a', { ifAvailable: true })),
      /^acquire with ifAvailable: 'a' could not be granted at once: 'a' is held by first \(exclusively for \d+ ms, requested at [^;]*\)\. Try again later, or leave out ifAvailable to wait$/,
    )
    guard.release()
  })

  it('of an upgrade advises requesting exclusively from the start', async () => {
    const locks = new LockManager({ deadlockAfterMs: Number.POSITIVE_INFINITY })
    locks.on('deadlock', () => {})
    const upgrade = locks.request('a', { mode: 'shared' }, () =>
      locks.request('a', { timeoutMs: 1 }, () => {}),
    )
    assert.match(
      await messageOf(upgrade),
      /the blocked request was made inside this holder.*What to change: ask for 'a' in mode 'exclusive' from the start/,
    )
  })

  it('of a request that waits for its own holder advises not to request the lock again', async () => {
    const locks = new LockManager()
    const again = locks.request('a', () => locks.request('a', { timeoutMs: 1 }, () => {}))
    assert.match(
      await messageOf(again),
      /What to change: locks are not re-entrant; code that holds 'a' must not wait for another request for it$/,
    )
  })

  for (const [name, mayThrow] of [
    ['captureStackTrace', { get: foreign }],
    ['captureStackTrace', { value: foreign, writable: true }],
    ['stackTraceLimit', { get: foreign, set: foreign }],
    ['prepareStackTrace', { get: foreign, set: foreign }],
  ] as const) {
    it(`is its own error if Error.${name} throws (${Object.keys(mayThrow)})`, async () => {
      const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false, callSites: 'always' })
      const was = Object.getOwnPropertyDescriptor(Error, name)
      const errors: unknown[] = []
      const keep = (error: unknown): number => errors.push(error)
      let granted: unknown
      try {
        Object.defineProperty(Error, name, { ...mayThrow, configurable: true })
        const guard = await locks.acquire('a')
        await locks.acquire('a', { ifAvailable: true }).catch(keep)
        await locks.request('a', { timeoutMs: 1 }, () => {}).catch(keep)
        await locks.request('a', { timeoutMs: -1 }, () => {}).catch(keep)
        guard.release()
        await locks.request('a', () => locks.request('a', () => {})).catch(keep)
        const stolen = locks.request('a', () => gate().opened)
        await settle()
        await Promise.all([stolen.catch(keep), locks.request('a', { steal: true }, () => {})])
        granted = await locks.request('o', async () => {
          const inner = await locks.acquire('a')
          void settle().then(() => inner.release())
          return await locks.request('a', () => 'granted')
        })
      } finally {
        if (was) Object.defineProperty(Error, name, was)
        else delete (Error as { prepareStackTrace?: unknown }).prepareStackTrace
      }
      assert.deepEqual(
        errors.map((error) => (error as Error).name),
        [
          'LockNotAvailableError',
          'LockTimeoutError',
          'LockUsageError',
          'DeadlockError',
          'AbortError',
        ],
      )
      assert.equal(granted, 'granted')
    })
  }

  it('escapes and abbreviates text from users', async () => {
    const locks = new LockManager()
    const end = gate()
    const name = `\u001b${'n'.repeat(5000)}`
    const holder = locks.request(name, { label: `\n${'l'.repeat(5000)}` }, () => end.opened)
    const message = await messageOf(locks.request(name, { timeoutMs: 1 }, () => {}))
    assert.doesNotMatch(message, /[\u0000-\u001f]/)
    assert.ok(message.length < 1500)
    end.open()
    await holder
  })

  itIfProved(
    'of a deadlock carries for each lock the label, mode and age of the request that took it',
    async () => {
      const locks = new LockManager({ deadlockAfterMs: 0 })
      const deadlock = locks.request('auth', { label: 'SIGN-IN' }, async () => {
        await settle()
        await locks.request('auth', { label: 'GET-SESSION' }, () => {})
      })
      const error = await deadlock.catch((error: unknown) => error)
      assert.ok(error instanceof DeadlockError)
      assert.match(error.message, /GET-SESSION asks for 'auth', .*\(SIGN-IN, exclusively for/)
      const [held] = error.report.cycle[0]?.holds ?? []
      assert.deepEqual(
        [held?.name, held?.label, held?.mode, held?.units],
        ['auth', 'SIGN-IN', 'exclusive', 1],
      )
      assert.match(held?.callSite ?? '', /refusals\.test/)
      assert.ok(held?.sinceMs && held.sinceMs > 0 && (held.heldMs ?? -1) >= 0)
    },
  )
})

it('a refusal names call sites where Error.prepareStackTrace cannot be replaced', () => {
  const { stdout } = runAlone(`
    Object.defineProperty(Error, 'prepareStackTrace', { value: undefined })
    const locks = new lockwise.LockManager({ callSites: 'always' })
    const guard = await locks.acquire('a')
    const late = locks.request('a', { timeoutMs: 1 }, () => {})
    console.log(await late.catch(({ message }) => message))
    guard.release()`)
  assert.match(stdout, /'a' is held by request 1 \(exclusively for \d+ ms, requested at /)
})
