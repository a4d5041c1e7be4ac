/** Long waits: which are reported, how often, and what the report says. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { slowText } from '../../src/explain/index.ts'
import { LockManager, type LockManagerOptions, type SlowWaitReport } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { withFakeClock } from './fake-clock.ts'
import { holder } from './tools.ts'

/** A manager, the reports of its waits, and the names in them. */
function observeWaits(options: LockManagerOptions = {}): {
  readonly locks: LockManager
  readonly reports: SlowWaitReport[]
  readonly seen: () => string[]
} {
  const locks = new LockManager({ trackOrder: false, ...options })
  const reports: SlowWaitReport[] = []
  locks.on('slow', (report) => {
    if (report.state === 'waiting') reports.push(report)
  })
  const seen = (): string[] =>
    reports.splice(0).map(({ lock, label, waiters, holders }) => {
      const blockers = holders.map((holder) => holder.label)
      return `${lock}: ${label} of ${waiters}, ${blockers}`
    })
  return { locks, reports, seen }
}

describe('a long wait', { timeout: 20_000 }, () => {
  it('is reported after 10 seconds, and then each time it has lasted twice as long', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits()
      const { end } = await holder(locks, 'a', { label: 'H' })
      const waits = locks.request('a', { label: 'w' }, () => {})
      await tick(9_989)
      assert.deepEqual(seen(), [])
      await tick(11)
      assert.deepEqual(seen(), ['a: w of 1, H'])
      await tick(9_950)
      assert.deepEqual(seen(), [])
      await tick(60)
      assert.deepEqual(seen(), ['a: w of 1, H'])
      await tick(19_900)
      assert.deepEqual(seen(), [])
      await tick(150)
      assert.deepEqual(seen(), ['a: w of 1, H'])
      await end()
      await waits
      await tick(1_000_000)
      assert.deepEqual(seen(), [])
    }))

  it('is reported once for a lock, however many requests wait, and for whatever other locks', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: 1000 })
      const { end } = await holder(locks, 'a', { label: 'H' })
      const all = [locks.request('a', { label: 'first' }, () => {})]
      for (let i = 0; i < 500; i++) all.push(locks.request(['a', `b:${i}`], () => {}))
      // These wait behind a request that waits for 'a'.
      for (let i = 0; i < 500; i++) all.push(locks.request(`b:${i}`, () => {}))
      await tick(1100)
      assert.deepEqual(seen(), ['a: first of 501, H'])
      await end()
      await Promise.all(all)
    }))

  it('is reported once for locks that have one holder and one oldest waiter, each time', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: 1000 })
      const names = Array.from({ length: 200 }, (_, i) => `b:${i}`)
      const { end } = await holder(locks, ['a', ...names], { label: 'H' })
      const all = [locks.request(names, { label: 'w' }, () => {})]
      await tick(1100)
      assert.deepEqual(seen(), ['b:0: w of 1, H'])
      // Younger waiters change nothing; a different oldest waiter does.
      all.push(locks.request(names.slice(100), { label: 'younger' }, () => {}))
      all.push(locks.request('a', { label: 'other' }, () => {}))
      await tick(800)
      assert.deepEqual(seen(), [])
      await tick(400)
      assert.deepEqual(seen().sort(), ['a: other of 1, H', 'b:0: w of 1, H'])
      await end()
      await Promise.all(all)
      await tick(10_000)
      assert.deepEqual(seen(), [])
    }))

  it('is reported for each lock of one waiter that has other holders', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: 1000 })
      const both = { mode: 'shared' } as const
      const end = gate()
      const all = [
        locks.request(['a', 'b', 'c', 'd'], { label: 'H', ...both }, () => end.opened),
        locks.request(['c', 'd'], { label: 'I', ...both }, () => end.opened),
        locks.request('e', { label: 'J' }, () => end.opened),
        locks.request(['a', 'b', 'c', 'd', 'e'], { label: 'w' }, () => {}),
      ]
      await tick(1100)
      assert.deepEqual(seen(), ['a: w of 1, H', 'c: w of 1, H,I', 'e: w of 1, J'])
      end.open()
      await Promise.all(all)
    }))

  it('is reported for each stuck lock, and again when another holder is as long in the way', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: 1000 })
      const [a, b] = [
        await holder(locks, 'a', { label: 'H' }),
        await holder(locks, 'b', { label: 'I' }),
      ]
      const next = gate()
      const all = [
        locks.request('a', { label: 'next' }, () => next.opened),
        locks.request('a', { label: 'w' }, () => {}),
        locks.request('b', { label: 'v' }, () => {}),
      ]
      await tick(1100)
      assert.deepEqual(seen().sort(), ['a: next of 2, H', 'b: v of 1, I'])
      await a.end()
      await b.end()
      await tick(500)
      assert.deepEqual(seen(), [])
      await tick(600)
      assert.deepEqual(seen(), ['a: w of 1, next'])
      next.open()
      await Promise.all(all)
    }))

  it('is reported in time, however long another lock has been stuck', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: 100 })
      const [a, b] = [
        await holder(locks, 'a', { label: 'H' }),
        await holder(locks, 'b', { label: 'I' }),
      ]
      const all = [locks.request('a', { label: 'w' }, () => {})]
      for (let ms = 0; ms < 3_700; ms += 20) await tick(20)
      assert.equal(seen().length, 6)
      all.push(locks.request('b', { label: 'v' }, () => {}))
      await tick(90)
      assert.deepEqual(seen(), [])
      await tick(30)
      assert.deepEqual(seen(), ['b: v of 1, I'])
      await a.end()
      await b.end()
      await Promise.all(all)
    }))

  it('is not reported with longWaitMs: Infinity, but after its own warnAfterMs, once', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ longWaitMs: Number.POSITIVE_INFINITY })
      const { end } = await holder(locks, 'a', { label: 'H' })
      const all = [locks.request('a', { label: 'w' }, () => {})]
      await tick(1_000_000)
      assert.deepEqual(seen(), [])
      all.push(locks.request('a', { label: 'v', warnAfterMs: 5 }, () => {}))
      all.push(locks.request('a', { label: 'u', warnAfterMs: 7 }, () => {}))
      await tick(20)
      assert.deepEqual(seen(), ['a: w of 3, H'])
      await tick(1_000_000)
      assert.deepEqual(seen(), [])
      await end()
      await Promise.all(all)
    }))

  it('with a short warnAfterMs is reported after that, and then at longWaitMs', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits()
      const { end } = await holder(locks, 'a', { label: 'H' })
      const all = [
        locks.request('a', { label: 'w' }, () => {}),
        locks.request('a', { label: 'v', warnAfterMs: 500 }, () => {}),
      ]
      await tick(520)
      assert.deepEqual(seen(), ['a: w of 2, H'])
      await tick(9_000)
      assert.deepEqual(seen(), [])
      await tick(600)
      assert.deepEqual(seen(), ['a: w of 2, H'])
      await end()
      await Promise.all(all)
    }))

  it('names the locks that the holder itself waits for, and gives the call sites', () =>
    withFakeClock(async (tick) => {
      const { locks, reports } = observeWaits({ longWaitMs: 1000 })
      const { end } = await holder(locks, 'b', { label: 'I' })
      const outer = locks.request('a', { label: 'H' }, () =>
        locks.request('b', { label: 'nested' }, () => {}),
      )
      await settle()
      const waits = locks.request('a', { label: 'w' }, () => {})
      await tick(1100)
      const report = reports.find(({ lock }) => lock === 'a') as SlowWaitReport
      const [root] = report.holders
      assert.deepEqual(
        [root?.label, root?.name, root?.mode, root?.waiters, root?.holders],
        ['H', 'a', 'exclusive', 1, 1],
      )
      assert.ok(root && root.heldMs >= 1000 && root.heldMs < 5000)
      assert.match(root.callSite ?? '', /long-waits\.test/)
      assert.match(report.callSite ?? '', /long-waits\.test/)
      assert.deepEqual([root.nested?.waitsFor.name, root.nested?.behind], ['b', ['I']])
      const text = slowText(report)
      assert.match(
        text,
        /^w has waited for 'a' for 1\d\d\d ms \(requested at .*\): 'a' is held by H \(exclusively for/,
      )
      assert.match(
        text,
        /1 request waits for it; a request inside it has waited for 'b' for 1\d\d\d ms, requested at .*, blocked by I\)/,
      )
      await end()
      await Promise.all([outer, waits])
    }))

  it('of a holder that requests an upgrade is reported with advice', () =>
    withFakeClock(async (tick) => {
      const { locks, reports } = observeWaits({ longWaitMs: 1000, deadlockAfterMs: 5000 })
      locks.on('deadlock', () => {})
      const upgrade = locks.request('a', { mode: 'shared', label: 'H' }, () =>
        locks.request('a', () => {}),
      )
      const rejected = assert.rejects(
        upgrade,
        /What to change: ask for 'a' in mode 'exclusive' from the start/,
      )
      await settle()
      await tick(1100)
      assert.match(
        slowText(reports[0] as SlowWaitReport),
        /What to change: ask for 'a' in mode 'exclusive' from the start/,
      )
      await tick(5000)
      await rejected
    }))
})

describe('the manager’s defaults', { timeout: 20_000 }, () => {
  it('apply to requests without options of their own', () =>
    withFakeClock(async (tick) => {
      const { locks, seen } = observeWaits({ timeoutMs: 1000, warnAfterMs: 100 })
      const { end } = await holder(locks, 'a', { label: 'H' })
      const late = locks.request('a', { label: 'late' }, () => {})
      const own = locks.request('a', { timeoutMs: Number.POSITIVE_INFINITY }, () => 'own')
      await tick(150)
      assert.deepEqual(seen(), ['a: late of 2, H'])
      await Promise.all([assert.rejects(late, /within 1000 ms/), tick(1000)])
      await end()
      assert.equal(await own, 'own')
    }))

  it('do not report a request with warnAfterMs: Infinity', () =>
    withFakeClock(async (tick) => {
      const { locks } = observeWaits({ warnAfterMs: 100, longWaitMs: Number.POSITIVE_INFINITY })
      const states: string[] = []
      locks.on('slow', ({ state, label }) => states.push(`${state} ${label}`))
      const warnAfterMs = Number.POSITIVE_INFINITY
      const end = gate()
      const all = [
        locks.request('a', { label: 'quiet', warnAfterMs }, () => end.opened),
        locks.request('a', { label: 'quiet', warnAfterMs }, () => {}),
        locks.request('b', { label: 'loud' }, () => end.opened),
      ]
      await settle()
      await tick(500)
      assert.deepEqual(states, ['holding loud'])
      end.open()
      await Promise.all(all)
    }))
})
