/** Owners that run out, nested holders that outlive those around them, and calls that end in an error. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DeadlockError,
  type LockOrder,
  SharedLocks,
  type SharedLocksOptions,
  shared,
} from '../../../src/backends/threads/index.ts'
import { runNode } from '../../spawn.ts'
import { gate } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { busyLocks, endHolding, flagIsSet, newFlags, startThread, untilWaiting } from './threads.ts'

const usage = { name: 'LockUsageError', code: 'LOCK_USAGE' }

type Create = (options?: Partial<SharedLocksOptions>) => SharedLocks

for (const memory of ['wasm', 'buffer'] as const) {
  const create: Create = (options = {}) =>
    SharedLocks.create({ count: 8, memory, label: 'main', ...options })

  describe(`nested holdings that are not awaited (${memory})`, { timeout: 60_000 }, () => {
    for (const order of ['ascending', 'free'] as const) describeNested(create, order)
  })
  describe(`a table without free owners (${memory})`, { timeout: 60_000 }, () =>
    describeFull(create),
  )
  describe(`calls that end in an error (${memory})`, { timeout: 60_000 }, () => {
    describeErrors(create)
  })
}

function describeNested(create: Create, order: LockOrder): void {
  it(`keep the locks that they rely on (${order})`, async () => {
    const locks = create({ reentrant: true, order })
    const { opened, open } = gate()
    const begun = gate()
    let nested: Promise<number[]> | undefined
    await locks.holdAsync([0, shared(2), 3], async () => {
      nested = locks.holdAsync([0, shared(2), 5], async () => {
        begun.open()
        await opened
        return busyLocks(locks)
      })
      await begun.opened
    })
    assert.deepEqual(busyLocks(locks), [0, 2, 3, 5])
    open()
    assert.deepEqual(await nested, [0, 2, 3, 5])
    assert.deepEqual(busyLocks(locks), [])
    locks.close()
  })

  it(`keep them through holdings in between, and lend them to their own nested ones (${order})`, async () => {
    const locks = create({ reentrant: true, order })
    const { opened, open } = gate()
    const begun = gate()
    let between: Promise<void> | undefined
    let innermost: Promise<string> | undefined
    await locks.holdAsync([1], async () => {
      between = locks.holdAsync([4], async () => {
        innermost = locks.holdAsync([1], async () => {
          begun.open()
          await opened
          return await locks.holdAsync([1], () => locks.holdAsync([6], () => 'held'))
        })
        await begun.opened
      })
      await begun.opened
    })
    await between
    assert.ok(busyLocks(locks).includes(1))
    open()
    assert.equal(await innermost, 'held')
    assert.deepEqual(busyLocks(locks), [])
  })

  it(`are not joined by requests made after the holding around them has ended (${order})`, async () => {
    const locks = create({ reentrant: true, order })
    const [begun, inner, late] = [gate(), gate(), gate()]
    let nested: Promise<void> | undefined
    let after: Promise<boolean> | undefined
    let isInside = false
    await locks.holdAsync([0], async () => {
      nested = locks.holdAsync([0], async () => {
        isInside = true
        begun.open()
        await inner.opened
        isInside = false
      })
      after = late.opened.then(() => locks.holdAsync([0], () => isInside))
      await begun.opened
    })
    late.open()
    await untilWaiting(locks, 0)
    inner.open()
    assert.equal(await after, false)
    await nested
  })

  it(`need nothing of the holding around them, and keep nothing (${order})`, async () => {
    const locks = create({ reentrant: true, order })
    const { opened, open } = gate()
    const begun = gate()
    let nested: Promise<void> | undefined
    await locks.holdAsync([0], async () => {
      nested = locks.holdAsync([5], () => {
        begun.open()
        return opened
      })
      await begun.opened
    })
    assert.deepEqual(busyLocks(locks), [5])
    open()
    await nested
  })

  if (order === 'ascending') {
    it('follow the order of all locks that they keep', async () => {
      const locks = create({ reentrant: true })
      const { opened, open } = gate()
      const begun = gate()
      let nested: Promise<unknown> | undefined
      await locks.holdAsync([1, 4], async () => {
        nested = locks.holdAsync([1], async () => {
          begun.open()
          await opened
          await assert.rejects(locks.holdAsync([3], assert.fail), { code: 'LOCK_ORDER' })
        })
        await begun.opened
      })
      open()
      await nested
    })
    return
  }

  it('detect a deadlock through a holding whose locks they keep', async () => {
    const locks = create({ reentrant: true, order })
    const { opened, open } = gate()
    const begun = gate()
    let nested: Promise<unknown> | undefined
    await locks.holdAsync([0], async () => {
      nested = locks.holdAsync([0], async () => {
        begun.open()
        await opened
        return await locks.holdAsync([1], () => 'held')
      })
      await begun.opened
    })
    const other = locks.holdAsync([1], async () => {
      open()
      await untilWaiting(locks, 1)
      return await locks.holdAsync([0], () => 'held')
    })
    const ends = await Promise.allSettled([nested, other])
    const [refused, ...more] = ends.filter((end) => end.status === 'rejected')
    assert.ok(refused?.reason instanceof DeadlockError && more.length === 0)
    assert.deepEqual(busyLocks(locks), [])
  })
}

function describeFull(create: Create): void {
  it('refuses holdAsync, and names the dead thread that keeps an owner', async () => {
    const locks = create({ owners: 2 })
    await endHolding(locks, 3, 5)
    const message = /the dead one ended while it held locks 3 and 5.*recover\(3\).*onOwnerDied/
    for (const lock of [1, 3]) {
      await assert.rejects(locks.holdAsync([lock], assert.fail), { ...usage, message })
    }
    assert.throws(() => SharedLocks.open(locks.handle), { ...usage, message })
    locks.recover(3)
    assert.equal(await locks.holdAsync([3], () => 'held'), 'held')
  })

  it('gives open() the owners of threads that have ended unnoticed', () => {
    const { stdout, stderr } = runNode(['--input-type=module', '--eval', unnoticed()])
    assert.equal(stderr, '')
    assert.equal(stdout, 'opened\n'.repeat(4))
  })

  it('gives a nested holdAsync the owners of threads that have ended unnoticed', () => {
    const { stdout, stderr } = runNode(['--input-type=module', '--eval', unnoticedWhileNested()])
    assert.equal(stderr, '')
    assert.equal(stdout, 'held\n')
  })
}

const index = new URL('../../../src/backends/threads/index.js', import.meta.url).href

/**
 * A nested holdAsync while an ended thread has the last owner. That thread's parent does not load lockwise.
 */
function unnoticedWhileNested(): string {
  const guest = `
    import(${JSON.stringify(index)}).then(({ SharedLocks }) => {
      SharedLocks.open(require('node:worker_threads').workerData)
    })`
  const keeper = `
    import(${JSON.stringify(index)}).then(async ({ SharedLocks }) => {
      const locks = SharedLocks.create({ count: 4, owners: 3 })
      const { parentPort } = require('node:worker_threads')
      await locks.holdAsync([0], async () => {
        parentPort.postMessage(locks.handle)
        await new Promise((resolve) => parentPort.once('message', resolve))
        console.log(await locks.holdAsync([1], () => 'held'))
      })
    })`
  return `
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    const keeper = new Worker(${JSON.stringify(keeper)}, { eval: true, execArgv: [] })
    const [workerData] = await once(keeper, 'message')
    await once(new Worker(${JSON.stringify(guest)}, { eval: true, execArgv: [], workerData }), 'exit')
    keeper.postMessage('')
    await once(keeper, 'exit')`
}

/** Threads that open a table one after the other and never close it. Their parent does not load lockwise. */
function unnoticed(): string {
  const keeper = `
    import(${JSON.stringify(index)}).then(({ SharedLocks }) => {
      const locks = SharedLocks.create({ count: 4, owners: 2 })
      const { parentPort } = require('node:worker_threads')
      parentPort.postMessage(locks.handle)
      parentPort.on('message', () => {})
    })`
  const guest = `
    import(${JSON.stringify(index)}).then(({ SharedLocks, shared }) => {
      const locks = SharedLocks.open(require('node:worker_threads').workerData)
      locks.lockShared(1)
      console.log('opened')
    })`
  return `
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    const keeper = new Worker(${JSON.stringify(keeper)}, { eval: true, execArgv: [] })
    const [workerData] = await once(keeper, 'message')
    for (let i = 0; i < 4; i++) {
      await once(new Worker(${JSON.stringify(guest)}, { eval: true, execArgv: [], workerData }), 'exit')
    }
    await keeper.terminate()`
}

function describeErrors(create: Create): void {
  it('give the error of the callback, even where unlocking fails', () => {
    const locks = create()
    const fault = new Error('mine')
    const fn = (): never => {
      locks.unlock(1)
      throw fault
    }
    assert.throws(() => locks.hold([0, 1], fn), fault)
    assert.throws(() => locks.tryHold([0, 1], fn), fault)
    assert.throws(() => locks.holdPair(0, 1, fn), fault)
    assert.throws(() => locks.holdAll(fn), fault)
    assert.deepEqual(busyLocks(locks), [])
  })

  for (const reentrant of [false, true]) {
    it(`say which locks were released inside holdAll (re-entrant: ${reentrant})`, () => {
      const locks = create({ reentrant, label: 'me' })
      const message = /holdAll: me does not hold locks 0, 2 and 7 any more/
      const fn = (): void => {
        for (const lock of [2, 7, 0]) locks.unlock(lock)
      }
      assert.throws(() => locks.holdAll(fn), { ...usage, message })
      assert.deepEqual(busyLocks(locks), [])
      assert.equal(
        locks.holdAll(() => 'held'),
        'held',
      )
    })
  }

  it('release all locks and wake the waiters, even where holdAll releases out of turn', async () => {
    const locks = create({ order: 'free' })
    const flags = newFlags()
    const { answer } = startThread(locks, 'askFor', { flags, indices: [4] })
    await flagIsSet(flags, 0)
    locks.holdAll(() => {
      // Lock 2 stays held, but out of the order in which holdAll took it.
      locks.unlock(2)
      locks.lock(2)
    })
    assert.equal(await answer, 'held')
    assert.deepEqual(busyLocks(locks), [])
  })

  it('refuse close() in onLongWait, and go on waiting', async () => {
    const errors: string[] = []
    const flags = newFlags()
    const locks = create({
      longWaitMs: 20,
      onLongWait: () => {
        try {
          locks.close()
        } catch (error) {
          errors.push(String(error))
        }
        setFlag(flags, 1, 1)
      },
    })
    const { answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [3] })
    await flagIsSet(flags, 0)
    assert.equal(
      locks.hold([3], () => 'held'),
      'held',
    )
    assert.match(errors[0] ?? '', /LockUsageError: close: main waits for lock 3; .*onLongWait/)
    await answer
    locks.close()
  })

  it('say how to make a table, for the constructor', () => {
    const Constructor = SharedLocks as unknown as new (...given: unknown[]) => SharedLocks
    const { handle } = create()
    for (const given of [[], [{ count: 4 }], [handle, {}], [null, {}]]) {
      const message = /SharedLocks\.create\(options\).*SharedLocks\.open\(handle\)/
      assert.throws(() => new Constructor(...given), { ...usage, message })
    }
  })

  it('show a bigint as one', () => {
    assert.throws(() => create().lock(3n as never), { ...usage, message: /not 3n$/ })
  })
}

describe('the memory of a table', { timeout: 60_000 }, () => {
  const program = (call: string): string => `
    import { SharedLocks } from ${JSON.stringify(index)}
    try { console.log(${call}) } catch ({ code, message }) { console.log(code + ': ' + message) }`

  it('in a buffer that cannot be allocated is refused as in WebAssembly', () => {
    const original = globalThis.SharedArrayBuffer
    globalThis.SharedArrayBuffer = class {
      constructor() {
        throw new RangeError('Array buffer allocation failed')
      }
    } as never
    try {
      assert.throws(() => SharedLocks.create({ count: 2, memory: 'buffer' }), {
        ...usage,
        message: /no shared memory left for a table of \d+ bytes/,
      })
    } finally {
      globalThis.SharedArrayBuffer = original
    }
  })

  it("must be 'buffer' where there is no WebAssembly", () => {
    const run = (call: string): string =>
      runNode(['--jitless', '--input-type=module', '--eval', program(call)]).stdout
    assert.match(
      run('SharedLocks.create({ count: 2 })'),
      /^LOCK_USAGE: there is no WebAssembly here .*memory: 'buffer'/,
    )
    const create = "SharedLocks.create({ count: 2, memory: 'buffer' })"
    assert.equal(run(`SharedLocks.open(${create}.handle).hold([1], () => 3)`), '3\n')
    assert.match(run("SharedLocks.open({ kind: 'lockwise/threads', memory: {} })"), /^LOCK_USAGE/)
  })

  it('is refused by open where its length is not that of a table', () => {
    const { handle } = SharedLocks.create({ count: 2, memory: 'buffer' })
    const bytes = new Uint8Array(handle.memory as SharedArrayBuffer)
    for (const more of [1, 4, 12]) {
      const memory = new SharedArrayBuffer(bytes.length + more)
      new Uint8Array(memory).set(bytes)
      assert.throws(() => SharedLocks.open({ ...handle, memory }), {
        ...usage,
        message: /no lock table/,
      })
    }
  })
})
