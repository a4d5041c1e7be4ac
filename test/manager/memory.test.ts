/** The manager uses no more memory after any kind of work than before. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Guard, type Lock, LockManager } from '../../src/index.ts'
import { afterTimers, gate, settle } from '../waiting.ts'
import { collectGarbage } from './garbage.ts'
import { startOneAnother } from './tools.ts'

/**
 * Bytes in use after all garbage was collected. The minimum of several readings, because compilers also
 * allocate.
 */
async function heapUsed(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 6; i++) {
    await settle()
    collectGarbage()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}

function newManager(): LockManager {
  const locks = new LockManager()
  locks.on('possible', () => {})
  return locks
}

/** Runs `work` in a separate call, because a running function keeps its temporaries alive. */
async function elsewhere(work: (locks: LockManager) => Promise<unknown>): Promise<void> {
  await work(newManager())
}

describe('memory', { timeout: 300_000 }, () => {
  const works: Record<string, (locks: LockManager) => Promise<unknown>> = {
    'a million names, all held at once': async (locks) => {
      const guards: Guard[] = []
      for (let i = 0; i < 1_000_000; i++) guards.push(locks.tryAcquire(`account:${i}`) as Guard)
      for (const guard of guards) guard.release()
    },
    'a million names, one after the other, nested': async (locks) => {
      for (let i = 0; i < 500_000; i++) {
        await locks.request(`customer:${i}`, () => locks.request(`account:${i}`, () => {}))
      }
    },
    'a thousand names, as long as they may be': async (locks) => {
      for (let i = 0; i < 1000; i++) {
        const name = `${i}`.padEnd(65_536)
        await locks.request(name, () => locks.request(`${name.slice(0, -1)}:`, () => {}))
      }
    },
    'ten thousand managers, in each of which a request has waited': async () => {
      for (let i = 0; i < 10_000; i++) {
        const locks = newManager()
        const first = locks.request('a', () => {})
        await locks.request('a', () => {})
        await first
      }
      // A manager in which a request has waited is kept until its first looks, a second later.
      await afterTimers(1000)
    },
    'a hundred thousand waiters': async (locks) => {
      const end = gate()
      const all = Array.from({ length: 100_000 }, () => locks.request('a', () => end.opened))
      end.open()
      await Promise.all(all)
    },
    'a hundred thousand aborted and late waiters': async (locks) => {
      const end = gate()
      const holder = locks.request('a', () => end.opened)
      const controller = new AbortController()
      const { signal } = controller
      const all: Promise<unknown>[] = []
      for (let i = 0; i < 50_000; i++) {
        all.push(locks.request([`b:${i}`, 'a'], { signal }, () => {}))
        all.push(locks.request('a', { timeoutMs: 1 }, () => {}))
      }
      controller.abort()
      const results = await Promise.allSettled(all)
      assert.ok(results.every(({ status }) => status === 'rejected'))
      end.open()
      await holder
    },
    'two hundred thousand waits for one signal that others listened to before': async (locks) => {
      const { signal } = new AbortController()
      signal.addEventListener('abort', () => {})
      for (let i = 0; i < 200_000; i++) {
        const first = locks.request('a', { signal }, () => {})
        await Promise.all([first, locks.request('a', { signal }, () => {})])
      }
    },
    'ten thousand signals that others listened to before': async (locks) => {
      for (let i = 0; i < 10_000; i++) {
        const { signal } = new AbortController()
        signal.addEventListener('abort', () => {})
        const first = locks.request('a', { signal }, () => {})
        await Promise.all([first, locks.request('a', { signal }, () => {})])
        // Signals that follow others are cleared away only between turns.
        if (i % 100 === 0) await settle()
      }
    },
    'ten thousand steals from holders that listen to their signal': async (locks) => {
      const stolen: Promise<unknown>[] = []
      for (let i = 0; i < 10_000; i++) {
        const begun = gate()
        const hold = (lock: Lock): Promise<never> => {
          lock.signal.addEventListener('abort', () => {})
          begun.open()
          return new Promise(() => {})
        }
        stolen.push(locks.request('a', { steal: true }, hold))
        await begun.opened
      }
      const last = locks.request('a', { steal: true }, () => {})
      await Promise.allSettled(stolen)
      await last
    },
    'fifty thousand steals': async (locks) => {
      const stolen: Promise<unknown>[] = []
      for (let i = 0; i < 50_000; i++) {
        stolen.push(locks.request('a', { steal: true }, () => new Promise(() => {})))
      }
      const last = locks.request('a', { steal: true }, () => {})
      await Promise.allSettled(stolen)
      await last
    },
    'a chain of requests, each of which starts the next': (locks) =>
      startOneAnother(locks, 100_000, ['job']),
    'a chain of requests for two locks, each of which starts the next': (locks) =>
      startOneAnother(locks, 100_000, ['a', 'b']),
  }

  for (const [what, work] of Object.entries(works)) {
    it(`returns to its former size after ${what}`, async () => {
      // A first run elsewhere creates what is created only once: compiled code, the strings of names.
      await elsewhere(work)
      const before = await heapUsed()
      const locks = newManager()
      await work(locks)
      const after = await heapUsed()
      assert.ok(after < before * 1.05, `${before} bytes before, ${after} after`)
      assert.deepEqual(await locks.query(), { held: [], pending: [] })
    })
  }

  it('does not grow if each request starts the next later and all call stacks are kept', async () => {
    const locks = new LockManager({ callSites: 'always' })
    const used: number[] = []
    let done = gate()
    let left = 0
    const next = (on: Pick<LockManager, 'request'>): void => {
      void on.request('job', (_lock, inside) => {
        if (--left > 0) setImmediate(next, inside)
        else done.open()
      })
    }
    // The first run creates what is created only once.
    for (const length of [20_000, 10, 20_000]) {
      done = gate()
      left = length
      next(locks)
      await done.opened
      used.push(await heapUsed())
    }
    const [, before = 0, after = 0] = used
    assert.ok(after < before * 1.05, `${before} bytes, then ${after}`)
  })
})
