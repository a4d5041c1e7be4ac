/** Nested requests that wait for each other: found, reported, and resolved by one victim. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { deadlockText } from '../../src/explain/index.ts'
import {
  DeadlockError,
  type DeadlockReport,
  LockManager,
  type Scope,
  shared,
} from '../../src/index.ts'
import { gate, meeting, rounds, settle } from '../waiting.ts'
import { withFakeClock } from './fake-clock.ts'
import { itIfProved } from './if-proved.ts'
import { holder, locksInTheWay, state, watched } from './tools.ts'

/**
 * Two tasks that nest two locks in opposite order. Each requests its second lock after both hold their first.
 */
function opposite(locks: LockManager): Promise<PromiseSettledResult<string>[]> {
  const meet = meeting(2)
  const task = (label: string, first: string, second: string) =>
    locks.request(first, { label }, async () => {
      await meet()
      return locks.request(second, () => `${label} done`)
    })
  return Promise.allSettled([
    task('transfer 1', 'account:a', 'account:b'),
    task('transfer 2', 'account:b', 'account:a'),
  ])
}

describe('a deadlock of nested requests', { timeout: 60_000 }, () => {
  for (const deadlockAfterMs of [0, undefined]) {
    itIfProved(
      `has one victim, whose report names all members (deadlockAfterMs: ${deadlockAfterMs})`,
      async () => {
        const locks = new LockManager({ deadlockAfterMs, trackOrder: false })
        const reports: DeadlockReport[] = []
        locks.on('deadlock', (report) => reports.push(report))
        let results: PromiseSettledResult<string>[] = []
        await withFakeClock(async (tick) => {
          const both = opposite(locks).then((all) => {
            results = all
          })
          await settle()
          assert.equal(reports.length, 1, 'it is reported at once')
          if (deadlockAfterMs !== 0) {
            await tick(980)
            assert.deepEqual(results, [], 'it has no victim before deadlockAfterMs')
          }
          await tick(30)
          await both
        })
        assert.deepEqual(results[0], { status: 'fulfilled', value: 'transfer 1 done' })
        const error = results[1]?.status === 'rejected' ? results[1].reason : undefined
        assert.ok(error instanceof DeadlockError)
        assert.match(error.stack ?? '', /deadlock\.test/)
        const { cycle, between } = error.report
        assert.equal(reports.length, 1)
        assert.equal(between, 'tasks')
        assert.deepEqual(
          cycle.map(({ waiter, holds, waitsFor }) => [
            waiter.label,
            holds.map(({ name }) => name),
            waitsFor.name,
          ]),
          [
            ['transfer 2', ['account:b'], 'account:a'],
            ['transfer 1', ['account:a'], 'account:b'],
          ],
        )
        for (const [i, { heldAt = '' }] of locksInTheWay(cycle).entries()) {
          const { waitsAt = '' } = cycle[i] ?? {}
          assert.match(waitsAt, /deadlock\.test/)
          assert.match(heldAt, /deadlock\.test/)
          assert.notEqual(waitsAt, heldAt)
          assert.doesNotMatch(waitsAt, /lock-manager/)
        }
        const text = deadlockText(error.report)
        assert.match(text, /^Deadlock: 2 tasks wait for each other/)
        assert.match(text, /take them in one request: request\(\['account:a', 'account:b'\], …\)/)
        assert.deepEqual(await state(locks), { held: [], pending: [] })
      },
    )
  }

  it('is found when a task requests its own lock', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const result = locks.request('a', { label: 'me' }, () => locks.request('a', () => 'never'))
    await assert.rejects(result, (error) => {
      assert.ok(error instanceof DeadlockError)
      assert.match(error.message, /me asks for 'a', which it holds itself/)
      return true
    })
    const deep = locks.request('a', () =>
      locks.request('b', () => locks.request(['c', 'a'], () => 'never')),
    )
    await assert.rejects(deep, DeadlockError)
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved('is found through the callback’s second parameter too', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    let scope: Scope | undefined
    const inside = gate()
    const outer = locks.request('a', async (_lock, given) => {
      scope = given
      await inside.opened
      return given.request('b', () => 'outer')
    })
    await settle()
    const other = locks.request('b', async (_lock, given) => {
      inside.open()
      await settle()
      return given.request('a', () => 'other')
    })
    const results = await Promise.allSettled([outer, other])
    assert.ok(scope)
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  itIfProved('is found through shared holders', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const meet = meeting(2)
    const upgrade = (): Promise<string> =>
      locks.request('a', { mode: 'shared' }, async () => {
        await meet()
        return locks.request('a', () => 'upgraded')
      })
    const results = await Promise.allSettled([upgrade(), upgrade()])
    assert.ok(results.some(({ status }) => status === 'rejected'))
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved('is found in a cycle of five, and the other four go on', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const meet = meeting(5)
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, (_, i) =>
        locks.request(`${i}`, async () => {
          await meet()
          return locks.request(`${(i + 1) % 5}`, () => i)
        }),
      ),
    )
    assert.equal(results.filter(({ status }) => status === 'rejected').length, 1)
  })

  itIfProved('is found in a cycle of five thousand', async () => {
    const { locks, reports } = watched()
    const count = 5000
    const results = await Promise.allSettled(
      Array.from({ length: count }, (_, i) =>
        locks.request(`${i}`, async () => {
          await settle()
          return locks.request(`${(i + 1) % count}`, () => i)
        }),
      ),
    )
    assert.equal(results.filter(({ status }) => status === 'rejected').length, 1)
    assert.deepEqual(
      reports.map(({ cycle }) => cycle.length),
      [count],
    )
    const error = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    assert.match(
      error.reason.message,
      /^deadlock of 5000: request .*; and 4990 more\. What to change: take/,
    )
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved(
    'is reported with the calls of the requesting code, and no internal ones',
    async () => {
      const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
      class Service {
        start(): Promise<unknown> {
          return this.#start()
        }
        async #start(): Promise<unknown> {
          return await locks.request('a', () => {})
        }
      }
      const callSites: string[] = []
      locks.on('deadlock', ({ cycle }) => {
        for (const [i, { heldAt = '' }] of locksInTheWay(cycle).entries()) {
          callSites.push(cycle[i]?.waitsAt ?? '', heldAt)
        }
      })
      const service = new Service()
      await assert.rejects(
        locks.request('a', async () => await service.start()),
        DeadlockError,
      )
      const { end } = await holder(locks, 'a')
      const later = locks.request('a', async () => await service.start())
      await Promise.all([end(), assert.rejects(later, DeadlockError)])
      assert.equal(callSites.length, 4)
      for (const callSite of callSites) assert.doesNotMatch(callSite, /src.manager|node:internal/)
      assert.match(callSites[0] ?? '', /#start/)
      assert.match(callSites[2] ?? '', /#start/)
    },
  )

  it('is reported with the user’s own calls, whatever their files are called', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const code = '(locks) => function start() { return locks.request("a", () => start()) }'
    // biome-ignore lint/security/noGlobalEval: only eval can name a source file that does not exist
    const make = globalThis.eval(`${code}\n//# sourceURL=/game/manager/engine.js`)
    const report = new Promise<DeadlockReport>((resolve) => locks.on('deadlock', resolve))
    await assert.rejects(make(locks)(), DeadlockError)
    const [member] = (await report).cycle
    assert.match(member?.waitsAt ?? '', /start\W+game.manager.engine/)
  })

  itIfProved('is reported with the call site of another lock if its own was not kept', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    // The manager does not keep all call stacks of this many requests within one tick of the clock.
    for (let i = 0; i < 40; i++) await locks.request('account:c', () => {})
    const report = new Promise<DeadlockReport>((resolve) => locks.on('deadlock', resolve))
    await opposite(locks)
    const { cycle } = await report
    for (const { waitsAt = '' } of cycle) assert.match(waitsAt, /deadlock\.test/)
    for (const { heldAt, similarHeldAt } of locksInTheWay(cycle)) {
      assert.equal(heldAt, undefined)
      assert.match(similarHeldAt ?? '', /deadlock\.test/)
    }
    assert.match(deadlockText(await report), /holds \(call stack not kept; perhaps like this one\)/)
  })

  it('is not reported if no code awaits the nested request, or it is detached', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    locks.on('deadlock', () => assert.fail('no deadlock'))
    const steps: string[] = []
    let detached: Promise<unknown> | undefined
    await locks.request('a', async () => {
      void locks.request('a', () => steps.push('nobody waited'))
      const caught = locks.request('a', () => steps.push('only caught')).catch(() => {})
      // Inspecting a promise is not waiting for it.
      assert.match(inspect(caught), /pending/)
      detached = locks.request('a', { detached: true }, () => steps.push('detached'))
      void detached.then(() => steps.push('detached settled'))
      await rounds()
      steps.push('holder')
    })
    await detached
    await settle()
    assert.deepEqual(steps, [
      'holder',
      'nobody waited',
      'only caught',
      'detached',
      'detached settled',
    ])
  })

  itIfProved('ends when a waiter leaves, and no request is rejected', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 50 })
      const controller = new AbortController()
      const [one, two] = [gate(), gate()]
      const first = locks.request('a', async () => {
        one.open()
        await two.opened
        return locks.request('b', () => 'first')
      })
      const second = locks.request('b', async () => {
        two.open()
        await one.opened
        const nested = locks.request('a', { signal: controller.signal }, () => 'never')
        await nested.catch(() => {})
        return 'second'
      })
      await settle()
      controller.abort()
      assert.deepEqual(await Promise.all([first, second]), ['first', 'second'])
      await tick(80)
      assert.deepEqual(kinds, ['deadlock'])
    }),
  )

  it('is not reported between branches that run side by side', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    locks.on('deadlock', () => assert.fail('no deadlock'))
    const done = await locks.request('outer', () =>
      Promise.all([1, 2, 3].map((i) => locks.request('inner', () => settle().then(() => i)))),
    )
    assert.deepEqual(done, [1, 2, 3])
  })

  it('is only suspected if a guard and a wait for it share a context', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const suspected: DeadlockReport[] = []
    const reported = gate()
    locks.on('suspected', (report) => {
      suspected.push(report)
      reported.open()
    })
    await locks.request('outer', async () => {
      const guard = await locks.acquire('a')
      const branch = locks.request('a', () => 'went on')
      void reported.opened.then(() => guard.release())
      assert.equal(await branch, 'went on')
    })
    assert.equal(suspected.length, 1)
    assert.equal(suspected[0]?.confidence, 'suspected')
    assert.match(deadlockText(suspected[0] as DeadlockReport), /Nothing was rejected/)
  })

  itIfProved('rearranges the wait queue once it is no longer suspected', async () => {
    const locks = new LockManager({ deadlockAfterMs: Number.POSITIVE_INFINITY, trackOrder: false })
    const reported = gate()
    locks.on('suspected', reported.open)
    const steps: string[] = []
    let both: Promise<unknown> | undefined
    await locks.request('a', async () => {
      const guard = await locks.acquire('b')
      both = locks.request(['a', 'b'], { detached: true }, () => steps.push('both'))
      void reported.opened.then(() => guard.release())
      await locks.request('b', () => steps.push('nested'))
    })
    await both
    assert.deepEqual(steps, ['nested', 'both'])
  })

  itIfProved('lets waiters overtake once any event has opened it', async () => {
    const locks = new LockManager({ deadlockAfterMs: Number.POSITIVE_INFINITY, trackOrder: false })
    const [reported, ask] = [gate(), gate()]
    locks.on('deadlock', () => reported.open())
    const controller = new AbortController()
    const steps: string[] = []
    const left = locks.request('a', async () => {
      await ask.opened
      await locks.request('b', { signal: controller.signal }, () => {}).catch(() => {})
    })
    const right = locks.request('b', async () => {
      await ask.opened
      await locks.request('a', () => steps.push('nested'))
    })
    await settle()
    const waiter = locks.request(['a', 'b'], () => steps.push('both'))
    ask.open()
    await reported.opened
    controller.abort()
    await Promise.all([left, right, waiter])
    assert.deepEqual(steps, ['nested', 'both'])
  })

  itIfProved('is reported outside of all holders', async () => {
    const locks = new LockManager({ deadlockAfterMs: 20 })
    locks.on('possible', () => {})
    const events: string[] = []
    locks.on('deadlock', ({ cycle }) => {
      const name = `${cycle[0]?.waitsFor.name}`
      events.push(name)
      void locks.request(name, () => events.push('listener')).then(() => {})
    })
    await opposite(locks)
    await settle()
    assert.deepEqual(events, ['account:a', 'listener'])
  })

  itIfProved('is found if tasks hold guards', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const meet = meeting(2)
    const task = (own: string, first: string, second: string): Promise<string> =>
      locks.request(own, async () => {
        using _one = await locks.acquire(first)
        await meet()
        using _two = await locks.acquire(second)
        return own
      })
    const results = await Promise.allSettled([task('t1', 'a', 'b'), task('t2', 'b', 'a')])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  itIfProved(
    'is found through a guard that a callback has left to the code around it',
    async () => {
      const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
      const [held, left] = [gate(), gate()]
      const other = locks.request('b', async () => {
        held.open()
        await left.opened
        return locks.request('a', () => 'other')
      })
      await held.opened
      const outer = locks.request('outer', async () => {
        using _guard = await locks.request('inner', () => locks.acquire('a'))
        left.open()
        await settle()
        return await locks.request('b', () => 'outer')
      })
      const results = await Promise.allSettled([other, outer])
      const reasons = results.map((one) => (one.status === 'rejected' ? one.reason : one.value))
      assert.equal(reasons.filter((reason) => reason instanceof DeadlockError).length, 1)
    },
  )

  itIfProved('is found through a guard when earlier branches are over', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const [asked, held] = [gate(), gate()]
    const one = locks.request('one', async () => {
      await Promise.all([locks.request('log', () => {}), locks.request('log', () => {})])
      using _guard = await locks.acquire('a')
      held.open()
      await asked.opened
      return await locks.request('b', () => 'one')
    })
    const two = locks.request('b', async () => {
      await held.opened
      asked.open()
      return locks.request('a', () => 'two')
    })
    const results = await Promise.allSettled([one, two])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  it('is only suspected if one branch of a context holds a guard and another one waits', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const suspected: DeadlockReport[] = []
    const reported = gate()
    locks.on('suspected', (report) => {
      suspected.push(report)
      reported.open()
    })
    locks.on('deadlock', () => assert.fail('no deadlock'))
    const [held, left] = [gate(), gate()]
    const other = locks.request('b', { label: 'other' }, async () => {
      held.open()
      await left.opened
      return locks.request('a', () => 'other')
    })
    await held.opened
    const outer = locks.request('outer', { label: 'outer' }, async () => {
      const holds = locks.request('inner', async () => {
        const guard = await locks.acquire('a')
        left.open()
        await settle()
        return guard
      })
      const waits = locks.request('b', () => 'outer')
      return Promise.all([
        holds.then((guard) => void reported.opened.then(() => guard.release())),
        waits,
      ])
    })
    assert.equal(await other, 'other')
    assert.equal((await outer)[1], 'outer')
    assert.deepEqual(
      suspected.map(({ cycle }) => cycle.map(({ waiter }) => waiter.label).sort()),
      [['other', 'outer']],
    )
  })

  it('has no victim if branches have started since it was reported', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 60, deadlockVictims: 'likely' })
      const b = await holder(locks, 'b')
      const end = gate()
      const outer = locks.request('c', async (_lock, inside) => {
        const guard = await inside.acquire('a')
        const waits = inside.request('b', () => 'b')
        void waits.then(() => {})
        const crosses = b.inside.request('a', () => 'a')
        void crosses.then(b.end)
        await settle()
        const branch = inside.request('d', () => end.opened)
        void branch.then(() => guard.release())
        assert.deepEqual(await Promise.all([waits, crosses]), ['b', 'a'])
      })
      await settle()
      await settle()
      assert.deepEqual(kinds, ['deadlock'])
      await tick(70)
      assert.deepEqual(kinds, ['deadlock', 'suspected'])
      end.open()
      await outer
      await b.done
      assert.deepEqual(kinds, ['deadlock', 'suspected'])
    }))

  it('is over when the waiting code ends', () =>
    withFakeClock(async (tick) => {
      const { locks, kinds } = watched({ deadlockAfterMs: 60, deadlockVictims: 'likely' })
      const b = await holder(locks, 'b')
      const end = gate()
      let crosses: Promise<string> | undefined
      const outermost = locks.request('outer', async (_lock, outer) => {
        const guard = await outer.request('inner', async (_inner, inside) => {
          const held = await inside.acquire('a')
          // Awaited, but not by the callback.
          void inside.request('b', () => {}).then(() => {})
          crosses = b.inside.request('a', () => 'a')
          void crosses.then(b.end)
          await settle()
          return held
        })
        await end.opened
        guard.release()
      })
      await settle()
      assert.deepEqual(kinds, ['deadlock'])
      await settle()
      await tick(120)
      end.open()
      await outermost
      assert.equal(await crosses, 'a')
      await b.done
      assert.equal(kinds.filter((kind) => kind === 'deadlock').length, 1)
    }))

  it('is not seen through a detached guard, which any code may release', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    locks.on('deadlock', () => assert.fail('no deadlock'))
    locks.on('suspected', () => assert.fail('not suspected'))
    const steps: string[] = []
    await locks.request('a', async () => {
      const guard = await locks.acquire('b', { detached: true })
      void rounds().then(() => guard.release())
      await locks.request('b', () => steps.push('released elsewhere'))
    })
    assert.deepEqual(steps, ['released elsewhere'])
  })

  it('does not arise from nesting: a nested request overtakes those that wait for its holder', async () => {
    const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
    const steps: string[] = []
    let other: Promise<unknown> | undefined
    await locks.request('a', async () => {
      other = locks.request(['a', 'b'], { detached: true }, () => steps.push('both'))
      await settle()
      await locks.request('b', () => steps.push('nested'))
      await locks.request(shared('b'), () => steps.push('nested, shared'))
    })
    await other
    assert.deepEqual(steps, ['nested', 'nested, shared', 'both'])
    // But no request overtakes one that waits for another holder.
    const { end } = await holder(locks, 'c')
    const first = locks.request(['c', 'd'], () => steps.push('first'))
    const second = locks.request('e', () => locks.request('d', () => steps.push('second')))
    await settle()
    await end()
    await Promise.all([first, second])
    assert.deepEqual(steps.slice(3), ['first', 'second'])
  })
})
