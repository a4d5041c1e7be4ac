/** Deadlocks have a victim if they are proved, and only then. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DeadlockError, LockManager } from '../../src/index.ts'
import { gate, rounds, settle } from '../waiting.ts'
import { withFakeClock } from './fake-clock.ts'
import { crossing, state, watched } from './tools.ts'

/** Holds a guard of `a` until `release` resolves. */
async function holdsA(locks: LockManager, held: () => void, release: Promise<void>): Promise<void> {
  const guard = await locks.acquire('a')
  held()
  await release
  guard.release()
}

describe('a request in a cycle', { timeout: 30_000 }, () => {
  it('is granted when its holder ends, if a timer of the holder made it', async () => {
    const { locks, kinds } = watched()
    let flushed: Promise<string> | undefined
    const end = gate()
    const holder = locks.request('db', async () => {
      setTimeout(() => {
        flushed = (async () => await locks.request('db', () => 'flushed'))()
      }, 1)
      await end.opened
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    end.open()
    await holder
    assert.equal(await flushed, 'flushed')
  })

  it('is granted when its holder ends, if a queue that the holder started makes it', async () => {
    const { locks } = watched()
    const end = gate()
    const jobs: (() => Promise<unknown>)[] = []
    const done: unknown[] = []
    const work = async (): Promise<void> => {
      for (let job = jobs.shift(); job; job = jobs.shift()) done.push(await job())
    }
    const report = locks.request('report', async () => {
      jobs.push(() => locks.request('report', () => 'mail sent'))
      void work()
      await end.opened
    })
    await rounds()
    end.open()
    await report
    await rounds()
    assert.deepEqual(done, ['mail sent'])
  })

  it('is not rejected if V8 cannot follow its promise, which has two reactions', async () => {
    const { locks, kinds } = watched()
    const later = gate()
    const result = locks.request('a', async () => {
      await settle()
      const started = (async () => await locks.request('a', () => 'never'))()
      started.catch(() => {})
      await later.opened
      return await started.finally()
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    later.open()
    const outcome = await Promise.race([result.catch((error) => error), rounds()])
    assert.equal(outcome, undefined)
  })

  it('is rejected when a later check proves a suspected wait', async () => {
    const { locks, kinds } = watched()
    const later = gate()
    const result = locks.request('a', async () => {
      await settle()
      const started = (async () => await locks.request('a', () => 'never'))()
      await later.opened
      return await started
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    later.open()
    // The detector's later checks do not keep the process alive.
    const alive = setInterval(() => {}, 1000)
    await assert.rejects(result, DeadlockError)
    clearInterval(alive)
    assert.deepEqual(kinds, ['suspected', 'deadlock'])
  })

  it('is not rejected if its holder has stopped waiting before the victim is due', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 50 })
      const [lost, end] = [gate(), gate()]
      let nested: Promise<string> | undefined
      const holder = locks.request('a', async () => {
        nested = locks.request('a', () => 'granted')
        await Promise.race([nested, lost.opened])
        await end.opened
      })
      await settle()
      assert.deepEqual(kinds, ['deadlock'])
      lost.open()
      await tick(60)
      assert.deepEqual(kinds, ['deadlock', 'suspected'])
      end.open()
      await holder
      assert.equal(await nested, 'granted')
    }))

  it('is rejected if its holder returned its promise, whatever else waits for the promise', async () => {
    const { locks } = watched()
    const result = locks.request('a', () => {
      const nested = locks.request('a', () => 'never')
      nested.then(
        () => {},
        () => {},
      )
      return nested
    })
    await assert.rejects(result, DeadlockError)
  })

  it('is rejected if a callback around its holder waits for work that its holder started', async () => {
    const { locks, kinds } = watched()
    const outer = locks.request('a', async () => {
      let flushed: Promise<void> | undefined
      await locks.request('b', async () => {
        flushed = (async () => await locks.request('a', () => {}))()
      })
      await flushed
    })
    await assert.rejects(outer, DeadlockError)
    assert.equal(kinds.at(-1), 'deadlock')
  })

  it('is granted if no code waits for the work that its holder started and left', async () => {
    const { locks } = watched()
    let flushed: Promise<string> | undefined
    const end = gate()
    const outer = locks.request('a', async () => {
      await locks.request('b', async () => {
        flushed = (async () => await locks.request('a', () => 'flushed'))()
      })
      await end.opened
    })
    await rounds()
    end.open()
    await outer
    assert.equal(await flushed, 'flushed')
  })

  it("is rejected with deadlockVictims: 'likely' if its wait is only likely", async () => {
    const { locks, reports, kinds } = watched({ deadlockVictims: 'likely' })
    const [end, asked] = [gate(), gate()]
    const errors: unknown[] = []
    const holder = locks.request('a', async () => {
      setTimeout(() => {
        const nested = (async () => await locks.request('a', () => {}))()
        nested.catch((error) => errors.push(error))
        asked.open()
      }, 1)
      await end.opened
    })
    await asked.opened
    await rounds()
    assert.ok(errors[0] instanceof DeadlockError)
    assert.deepEqual(kinds, ['deadlock'])
    assert.equal(reports[0]?.confidence, 'suspected')
    end.open()
    await holder
  })

  it('has the functions that wait for it in its report, from the request to the callback', async () => {
    const { locks, reports } = watched()
    const deep = async (): Promise<void> => await locks.request('a', () => {})
    async function middle(): Promise<void> {
      await settle()
      await deep()
    }
    const result = locks.request('a', { label: 'job' }, async () => await middle())
    await assert.rejects(result, DeadlockError)
    const [member] = reports[0]?.cycle ?? []
    assert.equal(member?.isProved, true)
    const chain = member?.awaitChain?.split('\n') ?? []
    assert.match(chain[0] ?? '', /deep .*certainty\.test/)
    assert.match(chain[1] ?? '', /middle .*certainty\.test/)
    assert.equal(chain.at(-1), 'the callback of job')
    assert.ok(chain.every((call) => !/await-chain|engine\./.test(call)))
  })

  it('is rejected whatever call stack settings the program has', async () => {
    const { stackTraceLimit, prepareStackTrace } = Error
    try {
      for (const [limit, hook] of [
        [0, undefined],
        [
          1,
          () => {
            throw new Error('a hook that throws')
          },
        ],
        [10, () => 'no stack'],
      ] as const) {
        Error.stackTraceLimit = limit
        Object.assign(Error, { prepareStackTrace: hook })
        const { locks } = watched({ callSites: 'never' })
        const result = locks.request('a', async () => await locks.request('a', () => {}))
        const error = await result.catch((reason: unknown) => reason)
        assert.ok(error instanceof DeadlockError)
        assert.equal(Error.stackTraceLimit, limit)
        assert.equal(Error.prepareStackTrace, hook)
      }
    } finally {
      Object.assign(Error, { stackTraceLimit, prepareStackTrace })
    }
  })

  it('is proved through holders whose own await chains were read while they waited', async () => {
    const { locks, kinds } = watched({ deadlockAfterMs: 20 })
    const [inB, end] = [gate(), gate()]
    const suspect = locks.request('b', async () => {
      await settle()
      // No code awaits this request. So the cycle is only suspected, and all in it read their await chains.
      void (async () => await locks.request('a', () => {}))()
      inB.open()
      await end.opened
    })
    const result = locks.request('a', async () => {
      await inB.opened
      await locks.request('b', async () => {
        const guard = await locks.acquire('c')
        await locks.request('a', () => {}).finally(() => guard.release())
      })
    })
    await inB.opened
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    end.open()
    await suspect
    await assert.rejects(result, DeadlockError)
    assert.deepEqual(kinds, ['suspected', 'deadlock'])
  })

  it('is proved through nested requests of another manager', async () => {
    const { locks, kinds } = watched()
    const other = new LockManager()
    const [inA, inB] = [gate(), gate()]
    const one = locks.request('a', async () => {
      inA.open()
      await inB.opened
      return await other.request('p', () =>
        other.request('q', async () => await locks.request('b', () => 'one')),
      )
    })
    const two = locks.request('b', async () => {
      inB.open()
      await inA.opened
      return await locks.request('a', () => 'two')
    })
    const results = await Promise.allSettled([one, two])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(kinds, ['deadlock'])
  })

  it('is only suspected if call stacks cannot be read', async () => {
    const { locks, kinds } = watched({ callSites: 'never' })
    const limit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit') as PropertyDescriptor
    const controller = new AbortController()
    try {
      Object.defineProperty(Error, 'stackTraceLimit', {
        configurable: true,
        get: () => {
          throw new Error('a getter that throws')
        },
      })
      const result = locks.request(
        'a',
        async () => await locks.request('a', { signal: controller.signal }, () => {}),
      )
      const ended = result.catch((error: unknown) => error)
      await rounds()
      controller.abort('over')
      const reason = await ended
      Object.defineProperty(Error, 'stackTraceLimit', limit)
      assert.equal(reason, 'over')
      assert.deepEqual(kinds, ['suspected'])
    } finally {
      Object.defineProperty(Error, 'stackTraceLimit', limit)
    }
  })

  it('is suspected, not rejected, if a combinator’s branch holds the guard that closes it', async () => {
    const { locks, kinds } = watched()
    const release = gate()
    const other = crossing(locks, 'b', 'a')
    const task = locks.request('task', async () => {
      const waits = async (): Promise<string> => await locks.request('b', () => 'task')
      const [, value] = await Promise.all([holdsA(locks, other.ask, release.opened), waits()])
      return value
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    release.open()
    assert.deepEqual(await Promise.all([other.done, task]), ['crossed', 'task'])
  })

  it('is suspected, not rejected, if code that no code awaits holds the guard that closes it', async () => {
    const { locks, kinds } = watched()
    const [held, release] = [gate(), gate()]
    const other = crossing(locks, 'b', 'a')
    const task = locks.request('task', async () => {
      await settle()
      void holdsA(locks, held.open, release.opened)
      await held.opened
      await other.ask()
      return await locks.request('b', () => 'task')
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    release.open()
    assert.deepEqual(await Promise.all([other.done, task]), ['crossed', 'task'])
  })
})

describe('a wait queue', { timeout: 30_000 }, () => {
  for (const [how, isProved] of [
    ['at once where the holder is proved to wait', true],
    ['after deadlockAfterMs where it is not', false],
  ] as const) {
    it(`is rearranged ${how}`, () =>
      withFakeClock(async (tick) => {
        const { locks } = watched({ deadlockAfterMs: 100 })
        const steps: string[] = []
        const end = gate()
        let both: Promise<unknown> | undefined
        const nest = async (): Promise<unknown> =>
          await locks.request('b', () => steps.push('nested'))
        const holder = locks.request('a', async () => {
          both = locks.request(['a', 'b'], { detached: true }, () => steps.push('both'))
          await settle()
          if (isProved) await nest()
          else void nest()
          await end.opened
        })
        for (let i = 0; i < 4; i++) await settle()
        assert.deepEqual(steps, isProved ? ['nested'] : [])
        await tick(110)
        assert.deepEqual(steps, ['nested'])
        end.open()
        await Promise.all([holder, both])
      }))
  }

  it('is rearranged with deadlockAfterMs: Infinity too', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: Number.POSITIVE_INFINITY })
      const [queued, end] = [gate(), gate()]
      const holder = locks.request('a', { mode: 'shared' }, async () => {
        await queued.opened
        const nested = locks.request('a', { mode: 'shared' }, () => {})
        // Two reactions hide whether the holder waits for it.
        nested.catch(() => {})
        void nested.then(() => {})
        await nested
        await end.opened
      })
      await settle()
      const writer = locks.request('a', () => 'written')
      queued.open()
      await settle()
      assert.deepEqual(await state(locks), { held: ['a'], pending: ['a', 'a'] })
      await tick(1010)
      assert.deepEqual(await state(locks), { held: ['a'], pending: ['a'] })
      assert.equal((await locks.query()).held.length, 1)
      end.open()
      assert.deepEqual(await Promise.all([holder, writer]), [undefined, 'written'])
      assert.deepEqual(kinds, [])
    }))
})
