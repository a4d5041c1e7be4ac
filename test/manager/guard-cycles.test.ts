/** Guards without an owner that could form a cycle, in reports of long waits. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { guardCycleText } from '../../src/core/report-text.ts'
import { slowText } from '../../src/explain/index.ts'
import { type Guard, LockManager, type SlowWaitReport } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { runAlone } from './child.ts'
import { withFakeClock } from './fake-clock.ts'
import { holder, waitIn } from './tools.ts'

/** The first report of a long wait after `work`, which returns the guards to release. */
async function reportAfter(
  work: (locks: LockManager, tick: (ms: number) => Promise<void>) => Promise<Guard[]>,
): Promise<SlowWaitReport> {
  const [report] = await reportsAfter(work)
  assert.ok(report)
  return report
}

/** A task's work: it takes the first lock, waits in `meet` for the other task, and then takes the second. */
type Work = (
  locks: LockManager,
  [first, second]: readonly [string, string],
  meet: (guard: Guard) => Promise<void>,
) => Promise<unknown>

/** The report of two tasks that take two locks in opposite orders. */
async function reportOfTwo(work: Work): Promise<SlowWaitReport> {
  return await reportAfter(async (locks, tick) => {
    const [guards, both] = [[] as Guard[], gate()]
    const meet = async (guard: Guard): Promise<void> => {
      guards.push(guard)
      await both.opened
    }
    void work(locks, ['a', 'b'], meet)
    void work(locks, ['b', 'a'], meet)
    await tick(20)
    both.open()
    await settle()
    return guards
  })
}

/** All reports of long waits after `work` and some time. */
async function reportsAfter(
  work: (locks: LockManager, tick: (ms: number) => Promise<void>) => Promise<Guard[]>,
  wait: (tick: (ms: number) => Promise<void>) => Promise<void> = async (tick) => {
    await tick(1100)
    await tick(100)
  },
): Promise<SlowWaitReport[]> {
  const reports: SlowWaitReport[] = []
  await withFakeClock(async (tick) => {
    const locks = new LockManager({ longWaitMs: 1000, callSites: 'always' })
    locks.on('slow', (report) => reports.push(waitIn(report)))
    const guards = await work(locks, tick)
    await wait(tick)
    for (const guard of guards) guard.release()
    await settle()
  })
  return reports
}

/** Acquires a guard and releases it at once. */
async function passThrough(locks: LockManager, name: string, label: string): Promise<void> {
  const guard = await locks.acquire(name, { label })
  guard.release()
}

describe('guards without an owner', { timeout: 20_000 }, () => {
  it('taken in opposite orders by two tasks are a suspected cycle, with both sides', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a', { label: 'first' })
      const b = await locks.acquire('b', { label: 'second' })
      await tick(20)
      void passThrough(locks, 'b', 'first')
      void passThrough(locks, 'a', 'second')
      return [a, b]
    })
    const sides = report.guardCycle.map(({ label, waitsFor, mayHold }) => [
      label,
      waitsFor.name,
      mayHold.label,
    ])
    assert.deepEqual(
      sides.sort(),
      [
        ['first', 'b', 'first'],
        ['second', 'a', 'second'],
      ].sort(),
    )
    const text = slowText(report)
    assert.match(text, /\nSuspected deadlock: /)
    assert.match(
      text,
      /first has waited for 'b' for \d+ ms \(requested at passThrough .*\); its task may hold 'a' \(guard of first, exclusively for/,
    )
    assert.match(
      text,
      /What to change: take the locks in one acquire\(\['a', 'b'\]\).*acquire\(names, \{ owner \}\)/,
    )
  })

  it('of three tasks in a cycle are suspected too', async () => {
    const report = await reportAfter(async (locks) => {
      const [guards, all] = [[] as Guard[], gate()]
      const tasks = [['a', 'b'] as const, ['b', 'c'] as const, ['c', 'a'] as const].map(
        ([first, second]) =>
          async () => {
            guards.push(await locks.acquire(first))
            await all.opened
            await passThrough(locks, second, second)
          },
      )
      for (const task of tasks) void task()
      await settle()
      all.open()
      await settle()
      return guards
    })
    assert.equal(report.guardCycle.length, 3)
  })

  it('of three tasks in a cycle are all reported, by labels, functions, or their order only', async () => {
    const ring = async (
      start: (locks: LockManager, tick: (ms: number) => Promise<void>) => Promise<Guard[]>,
    ): Promise<void> => {
      const { guardCycle } = await reportAfter(start)
      const sides = guardCycle.map(({ waitsFor, mayHold }) => `${mayHold.name}>${waitsFor.name}`)
      assert.deepEqual(sides.sort(), ['a>b', 'b>c', 'c>a'])
      assert.match(guardCycleText(guardCycle), /one acquire\(\['a', 'b', 'c'\]\)/)
    }
    const steps = [
      ['one', 'a', 'b'],
      ['two', 'b', 'c'],
      ['three', 'c', 'a'],
    ] as const
    for (const hasLabels of [true, false]) {
      await ring(async (locks, tick) => {
        const options = (label: string): object => (hasLabels ? { label } : {})
        const guards = []
        for (const [label, held] of steps) guards.push(await locks.acquire(held, options(label)))
        await tick(20)
        for (const [label, , wanted] of steps) {
          void locks.acquire(wanted, options(label)).then((guard) => guard.release())
        }
        return guards
      })
    }
    await ring(async (locks, tick) => {
      const guards: Guard[] = []
      const go = gate()
      const one = async (): Promise<void> => {
        guards.push(await locks.acquire('a'))
        await go.opened
        ;(await locks.acquire('b')).release()
      }
      const two = async (): Promise<void> => {
        guards.push(await locks.acquire('b'))
        await go.opened
        ;(await locks.acquire('c')).release()
      }
      const three = async (): Promise<void> => {
        guards.push(await locks.acquire('c'))
        await go.opened
        ;(await locks.acquire('a')).release()
      }
      void three()
      void one()
      void two()
      await tick(20)
      go.open()
      await settle()
      return guards
    })
  })

  it('are not suspected for a slow job: labels, or functions, differ', async () => {
    for (const hasLabels of [true, false]) {
      const reports = await reportsAfter(async (locks, tick) => {
        const options = (label: string): object => (hasLabels ? { label } : {})
        const guards: Guard[] = []
        const slowJob = async (): Promise<void> => {
          guards.push(await locks.acquire('db', options('slowJob')))
        }
        const page = async (): Promise<void> => {
          const cache = await locks.acquire('cache', options('page'))
          await settle()
          ;(await locks.acquire('db', options('page'))).release()
          cache.release()
        }
        const other = async (): Promise<void> => {
          ;(await locks.acquire('cache', options('other'))).release()
        }
        await slowJob()
        await tick(20)
        void page()
        await settle()
        await tick(20)
        void other()
        return guards
      })
      assert.ok(reports.length >= 1)
      for (const report of reports) {
        assert.deepEqual(report.guardCycle, [])
        assert.equal(report.guardCycleReportedFor, null)
      }
    }
  })

  it('are not suspected if tasks that take one lock each compete for two locks', async () => {
    const one = async (locks: LockManager, name: string, options?: object): Promise<Guard> =>
      await locks.acquire(name, options)
    const other = async (locks: LockManager, name: string, options?: object): Promise<Guard> =>
      await locks.acquire(name, options)
    for (const second of [one, other]) {
      for (const options of [{}, { label: 'transfer' }]) {
        for (const apartMs of [0, 20]) {
          const reports = await reportsAfter(async (locks, tick) => {
            const guards: Guard[] = []
            // Starts each as an event: code after an `await` could belong to one continuing task.
            const start = (work: typeof one, name: string): void => {
              setImmediate(() => {
                void work(locks, name, options).then((guard) => guards.push(guard))
              })
            }
            for (const [work, name] of [
              [one, 'a'],
              [one, 'b'],
              [second, 'a'],
              [second, 'b'],
            ] as const) {
              start(work, name)
              if (apartMs > 0) await tick(apartMs)
            }
            await settle()
            return guards
          })
          assert.ok(reports.length >= 2)
          for (const report of reports) assert.deepEqual(report.guardCycle, [])
        }
      }
    }
  })

  it('are not suspected among unnamed functions in one file, where each takes one lock', async () => {
    const reports = await reportsAfter(async (locks, tick) => {
      const guards: Guard[] = []
      const handlers = [
        async () => guards.push(await locks.acquire('a')),
        async () => guards.push(await locks.acquire('b')),
        async () => guards.push(await locks.acquire('a')),
        async () => guards.push(await locks.acquire('b')),
      ]
      for (const handler of handlers) {
        void handler()
        await tick(20)
      }
      return guards
    })
    assert.ok(reports.length >= 2)
    for (const report of reports) assert.deepEqual(report.guardCycle, [])
  })

  it('are suspected in loops, and in unnamed functions', async () => {
    const loop: Work = async (locks, names, meet) => {
      for (const name of names) await meet(await locks.acquire(name))
    }
    const [nameless] = [
      (async (locks, [first, second], meet) => {
        await meet(await locks.acquire(first))
        await meet(await locks.acquire(second))
      }) satisfies Work,
    ]
    for (const work of [loop, nameless]) {
      assert.equal((await reportOfTwo(work)).guardCycle.length, 2)
    }
  })

  it('are reported once in a round, and again in the next one', async () => {
    const reports = await reportsAfter(
      async (locks, tick) => {
        const a = await locks.acquire('a', { label: 'first' })
        const b = await locks.acquire('b', { label: 'second' })
        await tick(20)
        void passThrough(locks, 'b', 'first')
        await tick(5)
        void passThrough(locks, 'a', 'second')
        return [a, b]
      },
      async (tick) => {
        await tick(1100)
        await tick(100)
        await tick(1200)
        await tick(100)
      },
    )
    const seen = reports.map(({ lock, guardCycle, guardCycleReportedFor }) => [
      lock,
      guardCycle.length,
      guardCycleReportedFor,
    ])
    assert.deepEqual(seen, [
      ['a', 2, null],
      ['b', 0, 'a'],
      ['a', 2, null],
      ['b', 0, 'a'],
    ])
    assert.match(
      slowText(reports[1] as SlowWaitReport),
      /\nSuspected deadlock: see the report for 'a'\.$/,
    )
  })

  it('of an owner are suspected if the waits lack the owner, with advice', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const [first, second] = [{}, {}]
      const a = await locks.acquire('a', { owner: first, label: 'first' })
      const b = await locks.acquire('b', { owner: second, label: 'second' })
      await tick(20)
      void passThrough(locks, 'b', 'first')
      void passThrough(locks, 'a', 'second')
      return [a, b]
    })
    assert.deepEqual(
      report.guardCycle.map(({ withOwner }) => withOwner),
      ['guard', 'guard'],
    )
    assert.match(slowText(report), /that guard has an owner: pass the owner to this request too/)
  })

  it('of an owner form a cycle with those of a task that has none', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const owner = {}
      const a = await locks.acquire('a', { owner, label: 'first' })
      const b = await locks.acquire('b', { label: 'second' })
      await tick(20)
      void locks.acquire('b', { owner, label: 'first' }).then((guard) => guard.release())
      void passThrough(locks, 'a', 'second')
      return [a, b]
    })
    const links = report.guardCycle.map(({ label, isCertain }) => [label, isCertain])
    assert.deepEqual(links.sort(), [
      ['first', true],
      ['second', false],
    ])
    assert.match(slowText(report), /; its task holds 'a' \(guard of first, /)
  })

  it('and requests in callbacks form a cycle too', async () => {
    let request: Promise<unknown> | undefined
    const report = await reportAfter(async (locks, tick) => {
      const b = await locks.acquire('b', { label: 'task' })
      await tick(20)
      request = locks.request('a', { label: 'callback' }, async () => {
        await locks.request('b', () => {})
      })
      await settle()
      void passThrough(locks, 'a', 'task')
      return [b]
    })
    await request
    const sides = report.guardCycle.map(({ label, mayHold }) => [label, mayHold.name])
    assert.deepEqual(sides.sort(), [
      ['callback', 'a'],
      ['task', 'b'],
    ])
  })

  it('may belong to the waiting task itself: one label or function, at two call sites', async () => {
    const twice = async (locks: LockManager, label?: string): Promise<Guard> => {
      const options = label === undefined ? {} : { label }
      const guard = await locks.acquire('a', options)
      void locks.acquire('a', options).then((second) => second.release())
      return guard
    }
    for (const label of ['task', undefined]) {
      const report = await reportAfter(async (locks) => [await twice(locks, label)])
      assert.equal(report.guardCycle.length, 1)
      const text = slowText(report)
      assert.match(text, /\nSuspected deadlock: .* may wait for a guard of its own task:\n/)
      assert.match(text, /locks are not re-entrant/)
    }
  })

  it('that are shared, and requested exclusively, get the advice against an upgrade', async () => {
    const report = await reportAfter(async (locks) => {
      const label = 'task'
      const guard = await locks.acquire('a', { mode: 'shared', label })
      void locks.acquire('a', { label }).then((second) => second.release())
      return [guard]
    })
    assert.match(slowText(report), /ask for 'a' in mode 'exclusive' from the start/)
  })

  it('have an owner that the next request in the same callback, or further inside, lacks', async () => {
    for (const isInside of [false, true]) {
      const task: Work = (locks, [first, second], meet) =>
        locks.request(`task ${first}`, async () => {
          await meet(await locks.acquire(first, { owner: {} }))
          const ask = async (): Promise<unknown> => await locks.request(second, () => {})
          await (isInside ? locks.request(`inside ${first}`, ask) : ask())
        })
      const report = await reportOfTwo(task)
      const sides = report.guardCycle.map(({ waitsFor, mayHold, withOwner }) => [
        mayHold.name,
        waitsFor.name,
        withOwner,
      ])
      assert.deepEqual(sides.sort(), [
        ['a', 'b', 'guard'],
        ['b', 'a', 'guard'],
      ])
      assert.match(slowText(report), /that guard has an owner: pass the owner to this request too/)
    }
  })

  it('have an owner that a request of the same callback for the same lock lacks', async () => {
    const report = await reportAfter(async (locks) => {
      const guards: Guard[] = []
      void locks.request('root', async () => {
        guards.push(await locks.acquire('c', { owner: {} }))
        await locks.request('c', () => {})
      })
      await settle()
      return guards
    })
    assert.equal(report.guardCycle.length, 1)
    assert.match(slowText(report), /its own task[\s\S]*pass the owner to this request too/)
  })

  it('outside of a callback may belong to a task that waits in the callback of its next request', async () => {
    const handler: Work = async (locks, [first, second], meet) => {
      await meet(await locks.acquire(first))
      await locks.request(`inside ${first}`, () => locks.request(second, () => {}))
    }
    const report = await reportOfTwo(handler)
    assert.equal(report.guardCycle.length, 2)
  })

  it('are not suspected if tasks with owners of their own are in one callback, or in others', async () => {
    for (const [isOne, hasOwner] of [
      [true, true],
      [false, false],
    ]) {
      const reports = await reportsAfter(async (locks, tick) => {
        const guards: Guard[] = []
        const slow = async (): Promise<void> => {
          guards.push(await locks.acquire('a', { owner: {} }))
        }
        const waits = async (): Promise<void> => {
          guards.push(await locks.acquire('b', { owner: {} }))
          await locks.request('a', hasOwner ? { owner: {} } : {}, () => {})
        }
        if (isOne) void locks.request('root', () => Promise.all([slow(), waits()]))
        else {
          void locks.request('one', slow)
          await tick(20)
          void locks.request('other', waits)
        }
        await tick(20)
        return guards
      })
      assert.ok(reports.length > 0)
      assert.ok(reports.every(({ guardCycle }) => guardCycle.length === 0))
    }
  })

  it('do not belong to the waiting task if tasks of one function compete for a lock', async () => {
    const compete = async (locks: LockManager): Promise<Guard> =>
      await locks.acquire('a', { label: 'pay' })
    const others = (locks: LockManager): void => {
      for (let i = 0; i < 3; i++) void compete(locks).then((guard) => guard.release())
    }
    const report = await reportAfter(async (locks) => {
      const guards = [await compete(locks)]
      others(locks)
      return guards
    })
    assert.deepEqual(report.guardCycle, [])
  })

  it('are not suspected if all tasks wait for one guard', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a')
      await tick(20)
      for (let i = 0; i < 5; i++) void passThrough(locks, 'a', `w${i}`)
      return [a]
    })
    assert.deepEqual(report.guardCycle, [])
  })

  it('are not suspected if a guard was granted after the other task’s request', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a')
      void passThrough(locks, 'a', 'early')
      await tick(20)
      const b = await locks.acquire('b')
      await tick(20)
      void passThrough(locks, 'b', 'late')
      return [a, b]
    })
    assert.deepEqual(report.guardCycle, [])
  })

  it('are not suspected if the holders are callbacks', async () => {
    const ends: (() => Promise<void>)[] = []
    const report = await reportAfter(async (locks, tick) => {
      ends.push((await holder(locks, 'a')).end, (await holder(locks, 'b')).end)
      await tick(20)
      void passThrough(locks, 'a', 'w')
      void passThrough(locks, 'b', 'v')
      return []
    })
    for (const end of ends) await end()
    assert.deepEqual(report.guardCycle, [])
  })

  it('are also named when the event loop runs empty', () => {
    const { stderr } = runAlone(`
      const { locks } = lockwise
      const handler = async (one, other) => {
        await locks.acquire(one)
        await null
        await locks.acquire(other)
      }
      handler('a', 'b')
      handler('b', 'a')`)
    assert.match(stderr, /2 requests wait for locks/)
    assert.match(stderr, /Suspected deadlock[\s\S]*its task may hold[\s\S]*its task may hold/)
    assert.match(stderr, /one acquire\(\['a', 'b'\]\)/)
  })

  it('that were reported before are not reported again when the event loop runs empty', () => {
    const { stdout, stderr } = runAlone(`
      const locks = new lockwise.LockManager({ longWaitMs: 20 })
      const handler = async (one, other) => {
        await locks.acquire(one)
        await null
        await locks.acquire(other)
      }
      handler('a', 'b')
      handler('b', 'a')
      const alive = setInterval(() => {}, 1000)
      let reports = 0
      locks.on('slow', ({ guardCycle }) => {
        if (guardCycle.length > 0) console.log('reported')
        if (++reports === 2) clearInterval(alive)
      })`)
    assert.match(stdout, /^reported\n/)
    assert.match(stderr, /2 requests wait for locks/)
    assert.doesNotMatch(stderr, /Suspected/)
  })
})
