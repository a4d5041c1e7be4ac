/** Hundreds of requests in one callback: the detector's work grows with their number, not with its square. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { LockManager } from '../../src/index.ts'
import { gate, rounds, settle } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { watched } from './tools.ts'

const COUNT = 200

/** Starts work COUNT times, side by side. */
function sideBySide(work: (i: number) => unknown): Promise<unknown[]> {
  return Promise.all(Array.from({ length: COUNT }, (_, i) => work(i)))
}

/** The number of stacks read during `work`. */
async function readingsOf(work: () => Promise<unknown>): Promise<number> {
  let readings = 0
  let prepare: unknown
  Object.defineProperty(Error, 'prepareStackTrace', {
    configurable: true,
    get: () => prepare,
    set: (value) => {
      if (value !== undefined) readings++
      prepare = value
    },
  })
  try {
    await work()
  } finally {
    Reflect.deleteProperty(Error, 'prepareStackTrace')
  }
  return readings
}

/** The number of iteration steps through sets during `work`. */
async function stepsOf(work: () => Promise<unknown>): Promise<number> {
  const iterators = Object.getPrototypeOf(new Set().values()) as { next: () => unknown }
  const { next } = iterators
  let steps = 0
  iterators.next = function (this: unknown): unknown {
    steps++
    return next.call(this)
  }
  try {
    await work()
  } finally {
    iterators.next = next
  }
  return steps
}

/** Takes a lock by a guard, and keeps it until the promise settles. */
async function guarded(
  locks: LockManager,
  owner: object | undefined,
  kept: () => unknown,
): Promise<void> {
  const guard = await locks.acquire('k', owner && { owner })
  await kept()
  guard.release()
}

/** Programs in which COUNT branches take one lock in turn. */
const BRANCHES: Readonly<Record<string, (locks: LockManager) => Promise<unknown>>> = {
  'by a guard': (locks) =>
    locks.request('root', () => sideBySide(() => guarded(locks, undefined, () => null))),
  'by a guard that one of them keeps for long': (locks) =>
    locks.request('root', () =>
      sideBySide((i) => guarded(locks, undefined, i === 0 ? rounds : () => null)),
    ),
  'by a guard that each keeps for a turn': (locks) =>
    locks.request('root', () => sideBySide(() => guarded(locks, undefined, () => setImmediate()))),
  'by a guard that is there at once, or later': (locks) =>
    locks.request('root', () =>
      sideBySide(async () => {
        const guard = locks.tryAcquire('k') ?? (await locks.acquire('k'))
        await setImmediate()
        guard.release()
      }),
    ),
  'by guards of one owner': (locks) => {
    const owner = {}
    return sideBySide(() => guarded(locks, owner, () => null))
  },
}

describe('many requests in one callback', { timeout: 60_000 }, () => {
  for (const [form, run] of Object.entries(BRANCHES)) {
    it(`reads few await chains where branches take one lock ${form}`, async () => {
      const { locks, kinds } = watched({ deadlockAfterMs: 1000 })
      const readings = await readingsOf(() => run(locks))
      assert.ok(readings < 10 * COUNT, `${readings} readings`)
      assert.ok(kinds.length <= COUNT && !kinds.includes('deadlock'), `${kinds.length} reports`)
    })
  }

  it('reads few await chains if no code awaits those that wait for the callback’s own lock', async () => {
    const { locks, kinds } = watched({ deadlockAfterMs: 1000 })
    let done = 0
    const steps = await stepsOf(async () => {
      await locks.request('report', async () => {
        for (let i = 0; i < COUNT; i++) void locks.request('report', () => done++).then(() => {})
        await settle()
      })
      while (done < COUNT) await settle()
    })
    assert.equal(kinds.length, COUNT)
    assert.ok(steps < 50 * COUNT, `${steps} steps`)
  })

  it('reads few await chains if the callback awaits all that wait for its own lock', async () => {
    const { locks, kinds } = watched()
    const steps = await stepsOf(() =>
      locks.request('report', () =>
        sideBySide(() => locks.request('report', () => {}).catch(() => {})),
      ),
    )
    assert.equal(kinds.length, COUNT)
    assert.ok(steps < 50 * COUNT, `${steps} steps`)
  })

  it('reports another branch that waits for a guard after the reported one has given up', async () => {
    const { locks, reports } = watched({ deadlockAfterMs: 1000 })
    const controllers = [new AbortController(), new AbortController()]
    const over = gate()
    const root = locks.request('root', () => {
      const holds = guarded(locks, undefined, () => over.opened)
      const waits = controllers.map(async ({ signal }, i) => {
        await locks.acquire('k', { signal, label: `branch ${i}` })
      })
      return Promise.allSettled([holds, ...waits])
    })
    await settle()
    const labels = (): string[] => reports.map(({ cycle }) => String(cycle[0]?.waiter.label))
    assert.deepEqual(labels(), ['branch 0'])
    controllers[0]?.abort()
    await settle()
    assert.deepEqual(labels(), ['branch 0', 'branch 1'])
    controllers[1]?.abort()
    over.open()
    await root
  })
})

describe('requests that waited for a guard of a branch', { timeout: 60_000 }, () => {
  for (const keeps of ['for a turn', 'for less than a turn'] as const) {
    it(`overtake one for the callback’s own lock, when the guard was kept ${keeps}`, async () => {
      const { locks } = watched()
      const done: number[] = []
      const root = locks.request('root', () => {
        const holds = guarded(locks, undefined, keeps === 'for a turn' ? settle : () => null)
        void locks.request(['k', 'root'], () => done.push(0)).then(() => {})
        const rest = [1, 2, 3].map(async (i) => await locks.request('k', () => done.push(i)))
        return Promise.all([holds, ...rest])
      })
      await rounds()
      assert.deepEqual(done, [1, 2, 3, 0])
      await root
    })
  }
})

describe('deeply nested requests', { timeout: 120_000 }, () => {
  itIfProved('are proved to wait at any depth', async () => {
    const { locks, kinds } = watched()
    const depth = 3600
    const go = async (i: number): Promise<unknown> => {
      if (i === depth) return await locks.request('0', () => {})
      return await locks.request(`${i}`, async () => {
        return await go(i + 1)
      })
    }
    await assert.rejects(go(0), { name: 'DeadlockError' })
    assert.deepEqual(kinds, ['deadlock'])
  })
})
