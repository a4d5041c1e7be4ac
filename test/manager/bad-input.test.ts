/** Bad input causes one clear error, and takes no lock. */

import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { type AcquireOptions, Guard, LockManager, LockUsageError } from '../../src/index.ts'
import { afterTimers, gate, rounds, settle, until } from '../waiting.ts'
import { holder, no, state } from './tools.ts'

const locks = new LockManager()
const request = locks.request.bind(locks) as (...args: unknown[]) => Promise<unknown>
const acquire = locks.acquire.bind(locks) as (...args: unknown[]) => Promise<unknown>

/** A proxy that throws on every access. */
function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}

describe('bad input', { timeout: 60_000 }, () => {
  afterEach(async () => {
    await settle()
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  const cases: [what: string, args: unknown[], message: RegExp][] = [
    ['an empty list', [[], no], /list of names is empty/],
    ['an element that is not a string', [['a', 7], no], /not 7 \(element 1\)/],
    ['a hole in the list', [['a', undefined, 'b'], no], /not undefined \(element 1\)/],
    ['a nested list', [['a', ['b']], no], /not an array \(element 1\)/],
    [
      '1,025 names',
      [Array.from({ length: 1025 }, (_, i) => `${i}`), no],
      /at most 1024 locks, not 1025/,
    ],
    [
      'a name of a megabyte',
      ['x'.repeat(2 ** 20), no],
      /at most 65536 code units, not 1048576 \('x{40}…'\)/,
    ],
    ['a name of a megabyte in a list', [['a', 'x'.repeat(2 ** 20)], no], /at most 65536/],
    ['a mode without a name', [{ mode: 'shared', name: 3 }, no], /must be a string, not 3/],
    [
      'a negative timeout',
      ['a', { timeoutMs: -1 }, no],
      /timeoutMs must be a number of milliseconds, 0 or more, not -1/,
    ],
    ['a timeout of NaN', ['a', { timeoutMs: Number.NaN }, no], /timeoutMs .* not NaN/],
    ['a timeout in words', ['a', { timeoutMs: '5' }, no], /timeoutMs .* not '5'/],
    ['a negative warnAfterMs', ['a', { warnAfterMs: -5 }, no], /warnAfterMs .* not -5/],
    ['an invalid label', ['a', { label: 3 }, no], /label must be a string, not 3/],
    ['an invalid owner', ['a', { owner: 'me' }, no], /owner must be an object or a fun.*'me'/],
    ['an owner of null', ['a', { owner: null }, no], /owner must be .* not null/],
    [
      'an owner of a detached request',
      ['a', { owner: {}, detached: true }, no],
      /owner and detached exclude each other/,
    ],
    ['a revoked proxy as label', ['a', { label: revoked() }, no], /label .* not an object/],
  ]
  for (const [what, args, message] of cases) {
    it(`such as ${what} is refused`, async () => {
      await assert.rejects(request(...args), (error) => {
        assert.ok(error instanceof LockUsageError)
        assert.match(error.message, message)
        return true
      })
      await assert.rejects(acquire(args[0], args.length > 2 ? args[1] : {}), LockUsageError)
    })
  }

  it('is reported in an error that names the call and advises what to write', async () => {
    const tryAcquire = (...args: unknown[]): unknown =>
      Reflect.apply(locks.tryAcquire as () => unknown, locks, args)
    const refuses = async (args: unknown[], message: RegExp): Promise<void> => {
      const expected = { name: 'LockUsageError', code: 'LOCK_USAGE', message }
      await assert.rejects(acquire(...args), expected)
      assert.throws(() => tryAcquire(...args), expected)
      await locks.request('outer', async (_lock, inside) => {
        await assert.rejects(Reflect.apply(inside.acquire as () => never, inside, args), expected)
        assert.throws(() => Reflect.apply(inside.tryAcquire as () => never, inside, args), expected)
      })
    }
    await refuses(['a', no], /cquire: takes no callback .* did you mean request\(\)\?/)
    await refuses(['a', {}, no], /did you mean request\(\)\?/)
    await refuses(['a', { labels: 5 }], /there is no option 'labels': did you mean 'label'\?/)
    await refuses(['a', { bogus: true }], /no option 'bogus': use one of mode, .*, owner$/)
    await refuses(['a', { steal: true }], /only request\(\) can steal/)
    for (const [names, shown] of [
      [7, '7'],
      [undefined, 'undefined'],
      [null, 'null'],
      [{}, 'an object'],
      [no, 'a function'],
      [Symbol('a'), 'Symbol\\(a\\)'],
      [{ name: 'a', mode: 'neither' }, 'an object'],
    ] as const) {
      await refuses([names], new RegExp(`expected a name, .* or an array of them, not ${shown}`))
    }
  })

  it('such as an unknown option is answered with options that the call takes', async () => {
    const textFor = async (call: 'acquire' | 'tryAcquire', options: object): Promise<string> => {
      try {
        await locks[call]('a', options as AcquireOptions)
      } catch (error) {
        return (error as Error).message
      }
      return 'not refused'
    }
    for (const [unknown, known] of [
      ['timout', 'timeoutMs'],
      ['ifAvailble', 'ifAvailable'],
      ['singal', 'signal'],
    ] as const) {
      const options = { [unknown]: undefined }
      assert.equal(
        await textFor('acquire', options),
        `acquire: there is no option '${unknown}': did you mean '${known}'?`,
      )
      assert.equal(
        await textFor('tryAcquire', options),
        `tryAcquire: there is no option '${unknown}': use one of mode, warnAfterMs, label, detached, owner`,
      )
    }
    assert.equal(
      await textFor('acquire', { stael: true }),
      "acquire: there is no option 'stael': use one of mode, ifAvailable, signal, timeoutMs, warnAfterMs, label, " +
        'detached, owner',
    )
  })

  it('such as a set, or another iterable, as names gets advice to spread it', async () => {
    const generator = (function* () {})()
    const later = (async function* () {})()
    const every = 'to take every name in it, write'
    const bytes =
      'a name is a string: to take one lock for these bytes, write them as text, such as ' +
      "Buffer.from(bytes).toString('hex'); to take one for each number, Array.from(numbers, String)"
    for (const [names, shown, advice] of [
      [new Set(['a', 'b']), 'a Set', `${every} [...set]`],
      [new Map(), 'a Map', 'to take every key in it, write [...map.keys()]'],
      [new Uint8Array(2), 'a Uint8Array', bytes],
      [new Float64Array(2), 'a Float64Array', bytes],
      [generator, 'a generator', `${every} [...generator]`],
      [later, 'an async generator', `${every} await Array.fromAsync(names)`],
      [new Map().keys(), 'an object', `${every} [...names]`],
      [
        { [Symbol.asyncIterator]: () => later },
        'an object',
        `${every} await Array.fromAsync(names)`,
      ],
    ] as const) {
      const message = `not ${shown}: ${advice}`
      const expected = {
        name: 'TypeError',
        code: 'LOCK_USAGE',
        message: `request: expected a name or an array of names, ${message}`,
      }
      await assert.rejects(request(names, no), expected)
      await assert.rejects(acquire(names), { name: 'TypeError', code: 'LOCK_USAGE' })
    }
    assert.equal(await request(new String('x'), (lock: { name: string }) => lock.name), 'x')
  })

  it('such as a second name instead of the options gets advice to pass a list of names', async () => {
    const expected = (message: string): object => ({
      name: 'TypeError',
      code: 'LOCK_USAGE',
      message,
    })
    const refused =
      "request: expected an object with options, not 'b': to take several locks at once, write "
    await assert.rejects(request('a', 'b', no), expected(`${refused}request(['a', 'b'], callback)`))
    await assert.rejects(
      request(['a', 'x'], 'b', no),
      expected(`${refused}request([…, 'b'], callback)`),
    )
    await assert.rejects(
      acquire('a', 'b'),
      expected(
        "acquire: expected an object with options, not 'b': to take several locks at once, write acquire(['a', 'b'])",
      ),
    )
    await assert.rejects(
      request('a', 5, no),
      expected('request: expected an object with options, not 5'),
    )
  })

  it('such as an unknown mode of a lock in a list is refused', async () => {
    await assert.rejects(request([{ name: 'a', mode: 'read' }], no), {
      code: 'LOCK_USAGE',
      message:
        "a lock in the list needs a name and the mode 'exclusive' or 'shared', not mode 'read' (element 0)",
    })
  })

  it('such as an AbortController as signal gets advice to pass its signal', async () => {
    const expected = {
      name: 'TypeError',
      message: 'signal must be an AbortSignal, not an AbortController: write controller.signal',
    }
    const signal = new AbortController()
    await assert.rejects(request('a', { signal }, no), expected)
    await assert.rejects(acquire('a', { signal }), expected)
  })

  it('such as a missing or misplaced callback gets the order of the arguments', async () => {
    for (const [args, shown] of [
      [['a'], 'undefined'],
      [['a', {}], 'an object'],
      [['a', no, {}], 'an object'],
    ] as const) {
      await assert.rejects(request(...args), {
        name: 'TypeError',
        message: `request: expected a function to call with the lock, not ${shown}: the callback goes last: request(names, options, callback)`,
      })
    }
  })

  it('such as a call of a lock’s constructor throws with code LOCK_USAGE', async () => {
    const make = await request('a', (lock: object) => lock.constructor as new () => unknown)
    assert.throws(() => new (make as new () => unknown)(), {
      name: 'TypeError',
      code: 'LOCK_USAGE',
      message: /Illegal constructor/,
    })
  })

  it('such as a call of a guard’s constructor throws', () => {
    assert.throws(() => new (Guard as unknown as new () => unknown)(), /Illegal constructor/)
  })

  it('such as a generator function as callback is refused', async () => {
    const generators: ((...args: never[]) => unknown)[] = [
      function* () {
        yield no()
      },
      async function* () {
        yield no()
      },
    ]
    for (const callback of generators) {
      for (const one of [callback, callback.bind(null), new Proxy(callback, {})]) {
        await assert.rejects(request('a', one), {
          name: 'LockUsageError',
          message: /callback is a generator function: the lock would be released before/,
        })
      }
    }
  })

  it('such as a list that changes while it is read is refused', async () => {
    const list: unknown[] = [
      {
        name: 'a',
        get mode() {
          list.length = 1
          return 'exclusive'
        },
      },
      'b',
    ]
    await assert.rejects(request(list, no), { message: /not undefined \(element 1\)/ })
  })

  it('such as a lock with getters is read once', async () => {
    const reads: string[] = []
    const one = {
      get name() {
        reads.push('name')
        return reads.length > 2 ? 7 : 'a'
      },
      get mode() {
        reads.push('mode')
        return reads.length > 2 ? 'no mode' : 'shared'
      },
    }
    const mode = await request(one, (lock: { mode: string }) => lock.mode)
    assert.deepEqual([mode, reads], ['shared', ['name', 'mode']])
  })

  it('such as a getter that throws for a stack or a reason does no harm', async () => {
    const { prepareStackTrace } = Error
    const manager = new LockManager({ deadlockAfterMs: 0 })
    const holder = manager.tryAcquire('a')
    try {
      Error.prepareStackTrace = () => {
        throw new Error('from the hook')
      }
      await assert.rejects(manager.request('a', { timeoutMs: 0 }, no))
      await assert.rejects(manager.request('a', { timeoutMs: 1 }, no))
      await assert.rejects(manager.request('b', (_lock, inside) => inside.request('b', no)))
      await assert.rejects(manager.request([], no))
    } finally {
      Error.prepareStackTrace = prepareStackTrace
    }
    const controller = new AbortController()
    const { signal } = controller
    Object.defineProperty(signal, 'reason', {
      get: () => {
        throw new Error('no reason')
      },
    })
    const aborted = manager.request('a', { signal }, no)
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError' })
    await assert.rejects(manager.request('a', { signal }, no), { name: 'AbortError' })
    holder?.release()
    assert.deepEqual(await state(manager), { held: [], pending: [] })
  })

  it('such as a `clearTimeout` that throws does no harm', async () => {
    const deadlockAfterMs = 5
    const manager = new LockManager({ deadlockAfterMs, trackOrder: false })
    const { clearTimeout } = globalThis
    const [one, two] = [new AbortController(), new AbortController()]
    const { end } = await holder(manager, 'a')
    const late = manager.request('a', { timeoutMs: 5000, signal: one.signal }, no)
    const opposite = manager.request('b', async (_lock, inB) => {
      const inC = manager.request('c', async (_c, inside) => {
        await settle()
        await inside.request('b', { signal: two.signal }, no).catch(() => {})
        // The timer of the deadlock that was, if it was not cancelled.
        await afterTimers(deadlockAfterMs)
      })
      await inB.request('c', () => 'victim of none')
      await inC
    })
    await settle()
    await settle()
    try {
      globalThis.clearTimeout = () => {
        throw new Error('not one of ours')
      }
      one.abort()
      two.abort()
    } finally {
      globalThis.clearTimeout = clearTimeout
    }
    await assert.rejects(late, { name: 'AbortError' })
    await opposite
    await end()
    assert.deepEqual(await state(manager), { held: [], pending: [] })
  })

  it('such as a promise’s `constructor` that steals, and throws the second time, does no harm', async () => {
    const manager = new LockManager()
    let reads = 0
    const hostile = Object.defineProperty(Promise.resolve(), 'constructor', {
      get: () => {
        if (reads++ > 0) throw new Error('no constructor')
        return Promise
      },
    })
    let thief: Promise<unknown> | undefined
    const stolen = manager.request('a', () => {
      thief = manager.request('a', { steal: true }, () => 'stolen')
      return hostile
    })
    await assert.rejects(stolen, { name: 'AbortError' })
    assert.equal(await thief, 'stolen')
    await settle()
    assert.deepEqual(await state(manager), { held: [], pending: [] })
  })

  it('such as a `then` of all promises that throws does no harm', async () => {
    const manager = new LockManager()
    const { prototype } = Promise
    const { then } = prototype
    const promises: Promise<unknown>[] = []
    try {
      // biome-ignore lint/suspicious/noThenProperty: this is what the test is for
      prototype.then = () => assert.fail('not ours to call')
      promises.push(
        manager.request('a', () => 'first'),
        manager.request('a', () => 'second'),
        manager.request('a', { ifAvailable: true }, () => 'null'),
      )
    } finally {
      // biome-ignore lint/suspicious/noThenProperty: as before
      prototype.then = then
    }
    assert.deepEqual(await Promise.all(promises), ['first', 'second', 'null'])
    assert.deepEqual(await state(manager), { held: [], pending: [] })
  })

  it('such as a replaced global Promise does no harm', async () => {
    const manager = new LockManager()
    const Original = globalThis.Promise
    const { end } = await holder(manager, 'a')
    const requests: Promise<unknown>[] = []
    try {
      globalThis.Promise = class Other<Value> extends Original<Value> {}
      requests.push(
        manager.request('a', () => 'waited'),
        manager.request('b', async () => 'b'),
      )
      // The callback has returned a promise by then.
      await settle()
    } finally {
      globalThis.Promise = Original
    }
    await end()
    assert.deepEqual(await Promise.all(requests), ['waited', 'b'])
    const { prototype } = Promise
    const before = Object.getOwnPropertyDescriptor(prototype, 'constructor') ?? {}
    let broken: Promise<unknown> | undefined
    try {
      const get = (): never => {
        throw new Error('no constructor')
      }
      Object.defineProperty(prototype, 'constructor', { configurable: true, get })
      broken = manager.request('a', no)
    } finally {
      delete (prototype as { constructor?: unknown }).constructor
      Object.defineProperty(prototype, 'constructor', before)
    }
    await assert.rejects(broken, /no constructor/)
    assert.deepEqual(await state(manager), { held: [], pending: [] })
  })

  it('such as an infinite timeoutMs means no time limit', async () => {
    const manager = new LockManager()
    for (const timeoutMs of [Number.POSITIVE_INFINITY, 2 ** 31]) {
      const guard = manager.tryAcquire('a')
      const waiting = manager.request('a', { timeoutMs }, () => 'granted')
      await rounds()
      guard?.release()
      assert.equal(await waiting, 'granted')
    }
  })

  it('is reported with a stack that begins at the call', async () => {
    const firstCall = (error: unknown): true => {
      assert.ok(error instanceof LockUsageError)
      // On Bun, the caller has left the stack by then.
      const begin =
        'Bun' in globalThis ? /bad-input\.test/ : /^LockUsageError: .*\n.*bad-input\.test/
      assert.match(error.stack ?? '', begin)
      return true
    }
    const bank = new LockManager({ order: ['customer', 'account'] })
    for (const manager of [locks, bank]) {
      await assert.rejects(
        async () => await manager.request(['a', 'b'], { label: 7 as never }, no),
        firstCall,
      )
      await assert.rejects(async () => await manager.acquire([]), firstCall)
      assert.throws(() => manager.tryAcquire([]), firstCall)
    }
    await assert.rejects(async () => await bank.request(['nobody:1', 'account:1'], no), firstCall)
  })

  it('is shown with characters that could forge a line or control a terminal escaped', async () => {
    const evil = 'a\n\u001b[31mb'
    const shown = /a\\u000a\\u001b\[31mb/
    const bank = new LockManager({ order: ['x'], deadlockAfterMs: 0 })
    await assert.rejects(bank.request(evil, no), shown)
    await assert.rejects(request('x', { mode: evil }, no), shown)
    const plain = new LockManager({ deadlockAfterMs: 0 })
    const nested = plain.request(evil, { label: evil }, (_lock, inside) => inside.request(evil, no))
    await assert.rejects(nested, shown)
    const stolen = plain.request(evil, () => new Promise(() => {}))
    const thief = plain.request(evil, { steal: true }, () => {})
    await Promise.all([assert.rejects(stolen, shown), thief])
    const end = plain.tryAcquire(evil)
    await assert.rejects(plain.request(evil, { timeoutMs: 0 }, no), shown)
    end?.release()
    const long = plain.tryAcquire('x'.repeat(5000))
    await assert.rejects(plain.acquire('x'.repeat(5000), { ifAvailable: true }), /'x{100}…'/)
    long?.release()
  })

  it('such as a wrong option of the manager is refused', () => {
    for (const options of [
      { deadlockAfterMs: -1 },
      { deadlockAfterMs: Number.NaN },
      { deadlockAfterMs: '1' },
      { deadlockAfterMs: Object.create(null) },
      { longWaitMs: -1 },
      { timeoutMs: '5' },
      { warnAfterMs: Number.NaN },
      { callSites: 'some' },
      { callSites: Object.create(null) },
      { order: [] },
      { order: null },
      { order: 'abc' },
      { order: {} },
      { deadlockAfter: 5 },
      { callSites: 'always', trackorder: true },
      null,
      5,
    ]) {
      assert.throws(() => new LockManager(options as object), LockUsageError)
    }
    assert.throws(
      () => new LockManager({ deadlockAfter: 5 } as object),
      /LockManager: there is no option 'deadlockAfter': did you mean 'deadlockAfterMs'/,
    )
    for (const name of ['deadlockAfterMs', 'longWaitMs', 'timeoutMs', 'warnAfterMs']) {
      assert.throws(() => new LockManager({ [name]: -1 }), {
        message: `${name} must be a number of milliseconds, 0 or more, not -1`,
      })
    }
    assert.throws(() => locks.on('slow', 3 as never), LockUsageError)
    assert.throws(
      () => locks.on('bogus' as 'slow', () => {}),
      /no event 'bogus': use one of deadlock/,
    )
  })

  it('such as a callback that never settles delays no abort and no steal', async () => {
    const own = new LockManager()
    const forever = own.request('a', () => new Promise(() => {}))
    const controller = new AbortController()
    const waiting = own.request('a', { signal: controller.signal }, no)
    await settle()
    controller.abort()
    await assert.rejects(waiting, { name: 'AbortError' })
    assert.deepEqual(await state(own), { held: ['a'], pending: [] })
    const thief = own.request('a', { steal: true }, () => 'stolen')
    await assert.rejects(forever, { name: 'AbortError' })
    assert.equal(await thief, 'stolen')
  })

  it('converts its arguments in the order in which Web IDL does', async () => {
    const read: string[] = []
    const name = { toString: () => `${read.push('name')}` }
    const options = Object.defineProperties(
      {},
      Object.fromEntries(
        ['mode', 'steal', 'signal', 'ifAvailable'].map((key) => [
          key,
          { get: () => void read.push(key) },
        ]),
      ),
    )
    await request(name, options, () => {})
    assert.deepEqual(read, ['name', 'ifAvailable', 'mode', 'signal', 'steal'])
    const fails = { toString: () => assert.fail('the name first') }
    await assert.rejects(request(fails, 5, no), /the name first/)
  })

  it('methods that were taken off their manager answer with a rejected promise', async () => {
    const { request: loose, acquire: looser } = LockManager.prototype
    await assert.rejects(Reflect.apply(loose, undefined, ['a', no]), TypeError)
    await assert.rejects(Reflect.apply(looser, {}, ['a']), TypeError)
    await assert.rejects(new Proxy(locks, {}).request('a', no), /was not called on a LockManager/)
    await assert.rejects(Object.create(locks).acquire('a'), /was not called on a LockManager/)
  })

  it('a signal that is none', async () => {
    const { signal } = new AbortController()
    for (const forged of [
      Object.create(AbortSignal.prototype),
      Object.create(signal),
      new Proxy(signal, {}),
      new EventTarget(),
      { aborted: false, reason: undefined, addEventListener: no, removeEventListener: no },
    ]) {
      const expected = { constructor: TypeError, message: /must be an AbortSignal, not an object/ }
      await assert.rejects(request('a', { signal: forged }, no), expected)
      await assert.rejects(acquire('a', { signal: forged }), expected)
    }
    assert.equal(await request('a', { signal: AbortSignal.any([signal]) }, () => 'held'), 'held')
    assert.equal(await request('a', { signal: AbortSignal.timeout(9e6) }, () => 'held'), 'held')
  })

  it('such as a modified signal keeps no lock and calls nothing', async () => {
    const broken = new AbortController()
    broken.signal.addEventListener = () => assert.fail('its own')
    assert.equal(await request('a', { signal: broken.signal }, () => 'held'), 'held')

    const stopped = new AbortController()
    stopped.signal.addEventListener('abort', (event) => event.stopImmediatePropagation())
    const first = request('a', () => settle())
    const second = request('a', { signal: stopped.signal }, no)
    stopped.abort()
    // At once: it does not wait for its turn.
    await assert.rejects(second, { name: 'AbortError' })
    assert.deepEqual(await state(locks), { held: ['a'], pending: [] })
    await first

    for (const answers of [0, 1, 2, 3, 4, 5, 8, 12]) {
      let left = answers
      const counts = new Proxy(new AbortController().signal, {
        get: (target, key) =>
          left-- > 0 ? Reflect.get(target, key, target) : assert.fail('no more'),
      })
      const held = request('a', () => settle())
      await request('a', { signal: counts }, () => {}).catch(() => {})
      await request('b', { signal: counts }, () => {}).catch(() => {})
      await held
      await settle()
      assert.deepEqual(await state(locks), { held: [], pending: [] })
    }

    const forged = new AbortController()
    const holding = request('a', () => settle())
    const waiting = request('a', { signal: forged.signal }, () => 'not aborted')
    forged.signal.dispatchEvent(new Event('abort'))
    await holding
    assert.equal(await waiting, 'not aborted')
  })

  it('such as a slow callback is reported and changes nothing else', async () => {
    const own = new LockManager()
    own.on('slow', () => {})
    const steps: string[] = []
    const stop = own.on('slow', ({ state: how, names }) => steps.push(`${how} ${names}`))
    const over = gate()
    const end = own.request('a', { warnAfterMs: 5 }, () => over.opened)
    const waits = own.request('a', { warnAfterMs: 5 }, () => 'done')
    await until(() => steps.length === 2)
    over.open()
    assert.equal(await waits, 'done')
    await end
    stop()
    assert.deepEqual(steps.sort(), ['holding a', 'waiting a'])
  })
})
