/** The Web Locks specification of `request()` and `query()`, section by section. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Lock, LockManager } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { holder, no, state } from './tools.ts'

const free = { held: [], pending: [] }

describe('Web Locks', { timeout: 60_000 }, () => {
  it('calls back with the lock, and settles as the callback does', async () => {
    const locks = new LockManager()
    const got = await locks.request('a', (lock) => [lock.name, lock.mode, String(lock)])
    assert.deepEqual(got, ['a', 'exclusive', '[object Lock]'])
    assert.equal(await locks.request('a', { mode: 'shared' }, ({ mode }) => mode), 'shared')
    await assert.rejects(
      locks.request('a', () => Promise.reject(new RangeError('no'))),
      RangeError,
    )
    assert.deepEqual(await state(locks), free)
  })

  it('has the shape that Web IDL gives it', () => {
    const locks = new LockManager()
    assert.equal(String(locks), '[object LockManager]')
    for (const [prototype, names] of [
      [LockManager.prototype, ['request', 'query']],
      [Lock.prototype, ['name', 'mode']],
    ] as const) {
      for (const name of names) {
        assert.ok(Object.getOwnPropertyDescriptor(prototype, name)?.enumerable, name)
      }
      const tag = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag)
      const { writable, enumerable, configurable } = tag ?? {}
      assert.deepEqual([writable, enumerable, configurable], [false, false, true])
    }
    assert.deepEqual([locks.request.length, locks.query.length], [2, 0])
    const get = Object.getOwnPropertyDescriptor(Lock.prototype, 'name')?.get
    assert.throws(() => get?.call({}), TypeError)
    assert.throws(() => Reflect.construct(Lock, []), /Illegal constructor/)
  })

  it('never calls back inside of request()', async () => {
    const locks = new LockManager()
    const steps: string[] = []
    const done = locks.request('a', () => steps.push('callback'))
    const none = locks.request('a', { ifAvailable: true }, (lock) => steps.push(`null: ${lock}`))
    steps.push('after')
    await Promise.all([done, none])
    assert.deepEqual(steps, ['after', 'callback', 'null: null'])
  })

  it('releases the lock after a synchronous throw', async () => {
    const locks = new LockManager()
    await assert.rejects(
      locks.request('a', () => {
        throw new SyntaxError('at once')
      }),
      SyntaxError,
    )
    assert.equal(await locks.request('a', () => 'free'), 'free')
  })

  it('holds until a thenable settles', async () => {
    const locks = new LockManager()
    const end = gate()
    const then = (resolve: (value: string) => void): void => {
      void end.opened.then(() => resolve('x'))
    }
    const thenable = Object.defineProperty({}, 'then', { value: then }) as PromiseLike<string>
    const done = locks.request('a', () => thenable)
    await settle()
    assert.deepEqual((await state(locks)).held, ['a'])
    end.open()
    assert.equal(await done, 'x')
    assert.deepEqual(await state(locks), free)
  })

  it('holds until a promise settles, whatever stands on that promise, and releases when it cannot be waited for', async () => {
    const locks = new LockManager()
    const end = gate()
    const opened = end.opened.then(() => 'x')
    const replaced = Object.defineProperty(opened, 'then', {
      value: () => {
        throw new Error('not to be called')
      },
    })
    const done = locks.request('a', () => replaced)
    await settle()
    assert.deepEqual((await state(locks)).held, ['a'])
    end.open()
    assert.equal(await done, 'x')
    const hostile = Object.defineProperty(Promise.resolve(), 'constructor', {
      get: () => {
        throw new Error('no constructor')
      },
    })
    await assert.rejects(
      locks.request('a', () => hostile),
      /no constructor/,
    )
    assert.deepEqual(await state(locks), free)
  })

  it('settles before the requests that its end grants', async () => {
    const locks = new LockManager()
    const end = gate()
    const steps: string[] = []
    const first = locks.request('a', () => end.opened).then(() => steps.push('first'))
    const second = locks.request('a', () => {}).then(() => steps.push('second'))
    await settle()
    end.open()
    await Promise.all([first, second])
    assert.deepEqual(steps, ['first', 'second'])
  })

  it('grants in the order of the requests, shared ones together, none past an exclusive one', async () => {
    const locks = new LockManager()
    const steps: string[] = []
    const ends = new Map<string, () => void>()
    const ask = (label: string, mode: 'exclusive' | 'shared'): Promise<void> =>
      locks.request('a', { mode }, async () => {
        steps.push(label)
        const end = gate()
        ends.set(label, end.open)
        await end.opened
      })
    const all = [
      ask('r1', 'shared'),
      ask('r2', 'shared'),
      ask('w', 'exclusive'),
      ask('r3', 'shared'),
    ]
    await settle()
    assert.deepEqual(steps, ['r1', 'r2'])
    assert.equal(
      await locks.request('a', { mode: 'shared', ifAvailable: true }, (lock) => lock),
      null,
    )
    ends.get('r1')?.()
    ends.get('r2')?.()
    await settle()
    assert.deepEqual(steps, ['r1', 'r2', 'w'])
    ends.get('w')?.()
    await settle()
    assert.deepEqual(steps, ['r1', 'r2', 'w', 'r3'])
    ends.get('r3')?.()
    await Promise.all(all)
  })

  it('gives null to ifAvailable where it would wait, and the lock where it would not', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'a')
    assert.equal(await locks.request('a', { ifAvailable: true }, (lock) => lock), null)
    await end()
    const names = await locks.request('a', { ifAvailable: true }, (lock) => lock?.names)
    assert.deepEqual(names, ['a'])
    const { end: endReading } = await holder(locks, 'a', { mode: 'shared' })
    const writer = locks.request('a', () => 'wrote')
    const options = { mode: 'shared', ifAvailable: true } as const
    assert.equal(await locks.request('a', options, (lock) => lock), null)
    await endReading()
    assert.equal(await writer, 'wrote')
  })

  it('an abort right after request() wins, with its own reason', async () => {
    const locks = new LockManager()
    const controller = new AbortController()
    const done = locks.request('a', { signal: controller.signal }, () => 'never')
    controller.abort('changed my mind')
    await assert.rejects(done, (reason) => reason === 'changed my mind')
    assert.deepEqual(await state(locks), free)
    const again = locks.request('a', { signal: controller.signal }, () => 'never')
    await assert.rejects(again, (reason) => reason === 'changed my mind')
    const plain = AbortSignal.abort()
    await assert.rejects(
      locks.request('a', { signal: plain }, () => 'never'),
      { name: 'AbortError' },
    )
  })

  it('an aborted exclusive request lets the shared ones behind it through', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, 'a', { mode: 'shared' })
    const controller = new AbortController()
    const aborted = locks.request('a', { signal: controller.signal }, () => 'never')
    const reader = locks.request('a', { mode: 'shared' }, () => 'read')
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError' })
    assert.equal(await reader, 'read')
    await end()
  })

  it('an abort after the grant changes nothing', async () => {
    const locks = new LockManager()
    const controller = new AbortController()
    const value = await locks.request('a', { signal: controller.signal }, async () => {
      controller.abort()
      await settle()
      return (await state(locks)).held
    })
    assert.deepEqual(value, ['a'])
  })

  it('a stolen holder rejects with AbortError, and its late end releases nothing', async () => {
    const locks = new LockManager()
    const [held, end, thiefEnd] = [gate(), gate(), gate()]
    const victim = locks.request('a', async () => {
      held.open()
      await end.opened
      return 'late'
    })
    await held.opened
    const waiter = locks.request('a', () => 'waiter')
    const thief = locks.request('a', { steal: true }, () => thiefEnd.opened)
    await assert.rejects(victim, { constructor: DOMException, name: 'AbortError' })
    end.open()
    await settle()
    assert.deepEqual(await state(locks), { held: ['a'], pending: ['a'] })
    thiefEnd.open()
    await thief
    assert.equal(await waiter, 'waiter')
  })

  it('a holder whose lock is stolen before its callback has returned rejects with AbortError', async () => {
    const locks = new LockManager({ trackOrder: false })
    const rob = (): void => void locks.request('a', { steal: true }, () => {})
    const ends: readonly (() => unknown)[] = [
      () => 'a value',
      () => Promise.resolve('a promise'),
      () => Promise.reject(new Error('nobody hears of this')),
      () =>
        Object.defineProperty(Promise.resolve(), 'constructor', {
          get: () => assert.fail('nobody hears of this either'),
        }),
      () => {
        throw new Error('nor of this')
      },
    ]
    for (const end of ends) {
      const victim = locks.request('a', () => {
        rob()
        return end()
      })
      await assert.rejects(victim, { constructor: DOMException, name: 'AbortError' })
      assert.equal(await locks.request('a', () => 'free again'), 'free again')
    }
  })

  it('answers with a promise like any other, nested or not', async () => {
    const locks = new LockManager({ trackOrder: false })
    const outer = locks.request('a', async () => {
      for (const options of [{}, { ifAvailable: true }]) {
        const nested = locks.request('b', options, () => 1)
        assert.equal(Promise.resolve(nested), nested)
        assert.equal(nested.constructor, Promise)
        assert.equal(Object.prototype.toString.call(nested), '[object Promise]')
        assert.equal(await nested, 1)
      }
    })
    assert.equal(Promise.resolve(outer), outer)
    await outer
  })

  it('rejects what cannot be asked for, with the exceptions of the specification', async () => {
    const locks = new LockManager()
    const { signal } = new AbortController()
    const request = locks.request.bind(locks) as (...args: unknown[]) => Promise<unknown>
    for (const args of [
      [],
      ['a'],
      ['a', 1],
      ['a', {}],
      ['a', { mode: 'x' }, no],
      ['a', { mode: null }, no],
      ['a', 7, no],
      ['a', { signal: {} }, no],
      ['a', { signal: null }, no],
      [Symbol('a'), no],
    ]) {
      await assert.rejects(request(...args), { constructor: TypeError, code: 'LOCK_USAGE' })
    }
    for (const args of [
      ['-a', no],
      [['a', '-b'], no],
      ['a', { steal: true, ifAvailable: true }, no],
      ['a', { steal: true, mode: 'shared' }, no],
      ['a', { steal: true, signal }, no],
      ['a', { ifAvailable: true, signal }, no],
    ]) {
      await assert.rejects(request(...args), {
        constructor: DOMException,
        name: 'NotSupportedError',
      })
    }
    assert.deepEqual(await state(locks), free)
  })

  it('converts a single name to a string, and takes any string', async () => {
    const locks = new LockManager()
    const request = locks.request.bind(locks) as (...args: unknown[]) => Promise<unknown>
    const nameOf = (lock: { readonly name: string }): string => lock.name
    assert.equal(await request(7, nameOf), '7')
    assert.equal(await request(null, nameOf), 'null')
    assert.equal(await request(undefined, undefined, nameOf), 'undefined')
    assert.equal(await request({ toString: () => 'x' }, null, nameOf), 'x')
    for (const name of ['', '\0', 'constructor', '__proto__', 'then', '\ud800', '\udc00', 'é']) {
      const { end } = await holder(locks, name)
      assert.deepEqual(await state(locks), { held: [name], pending: [] })
      await end()
    }
    assert.deepEqual(await state(locks), free)
  })

  it('takes options that do not say which there are', async () => {
    const locks = new LockManager()
    const throws = (): never => assert.fail('asked for the names of all options')
    const options = new Proxy({ mode: 'shared' } as const, {
      ownKeys: throws,
      getPrototypeOf: throws,
      getOwnPropertyDescriptor: throws,
    })
    // The manager examines only a sample of many requests.
    for (let i = 0; i < 64; i++) {
      assert.equal(await locks.request('a', options, (lock) => lock?.mode), 'shared')
    }
  })

  it('query() lists the holders and the waiters, in order', async () => {
    const locks = new LockManager()
    const { end } = await holder(locks, ['b', 'a'])
    const waiting = locks.request('b', { mode: 'shared', label: 'reader' }, () => {})
    const { held, pending } = await locks.query()
    assert.deepEqual(
      held.map(({ name, mode }) => [name, mode]),
      [
        ['b', 'exclusive'],
        ['a', 'exclusive'],
      ].reverse(),
    )
    const [reader] = pending
    assert.deepEqual(
      [reader?.name, reader?.mode, reader?.label, reader?.blockedBy],
      ['b', 'shared', 'reader', ['request 1']],
    )
    assert.equal(typeof reader?.clientId, 'string')
    assert.equal(reader?.clientId, held[0]?.clientId)
    await end()
    await waiting
  })

  it('a request whose lock is stolen before its callback began is called back, and rejects', async () => {
    const locks = new LockManager()
    const steps: string[] = []
    const stolen = locks.request('a', ({ name }) => {
      steps.push(`called back for ${name}`)
      throw new Error('nobody hears of this')
    })
    const thief = locks.request('a', { steal: true }, () => steps.push('thief'))
    await assert.rejects(stolen, { name: 'AbortError' })
    await thief
    assert.deepEqual(steps, ['called back for a', 'thief'])
  })

  it('a program written for navigator.locks runs unchanged', async () => {
    const program = async (navigator: { readonly locks: Pick<LockManager, 'request'> }) => {
      const log: string[] = []
      await Promise.all([
        navigator.locks.request('res', async (lock) => {
          log.push(`${lock.name} ${lock.mode}`)
          await settle()
          log.push('end')
        }),
        navigator.locks.request('res', { mode: 'shared' }, async () => log.push('reader 1')),
        navigator.locks.request('res', { mode: 'shared' }, async () => log.push('reader 2')),
      ])
      return log
    }
    const expected = ['res exclusive', 'end', 'reader 1', 'reader 2']
    assert.deepEqual(await program({ locks: new LockManager() }), expected)
    // If the runtime has Web Locks of its own, they give the same result.
    const { navigator } = globalThis as unknown as {
      navigator?: { locks?: Pick<LockManager, 'request'> }
    }
    if (navigator?.locks) assert.deepEqual(await program({ locks: navigator.locks }), expected)
  })
})
