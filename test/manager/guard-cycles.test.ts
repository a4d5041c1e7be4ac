/** Guards without an owner that could form a cycle, in reports of long waits. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { slowText } from '../../src/explain/index.ts'
import { type Guard, LockManager, type SlowReport } from '../../src/index.ts'
import { runAlone } from './child.ts'
import { withFakeClock } from './fake-clock.ts'
import { holding } from './tools.ts'

/** The first report of a long wait after some work, with the guards to release. */
async function reportAfter(
  work: (locks: LockManager, tick: (ms: number) => Promise<void>) => Promise<Guard[]>,
): Promise<SlowReport> {
  const reports: SlowReport[] = []
  await withFakeClock(async (tick) => {
    const locks = new LockManager({ longWaitMs: 1000, places: 'always' })
    locks.on('slow', (report) => reports.push(report))
    const guards = await work(locks, tick)
    await tick(1100)
    for (const guard of guards) guard.release()
  })
  const [report] = reports
  assert.ok(report)
  return report
}

/** Does nothing when its guard comes but release it. */
async function passThrough(locks: LockManager, name: string, label: string): Promise<void> {
  const guard = await locks.acquire(name, { label })
  guard.release()
}

describe('guards without an owner', { timeout: 20_000 }, () => {
  it('taken in opposite orders by two tasks are a suspected cycle, with both sides', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a', { label: 'first a' })
      const b = await locks.acquire('b', { label: 'second b' })
      await tick(20)
      void passThrough(locks, 'b', 'first b')
      void passThrough(locks, 'a', 'second a')
      return [a, b]
    })
    const sides = report.guardCycle?.map(({ label, waitsFor, mayHold }) => [
      label,
      waitsFor,
      mayHold.label,
    ])
    assert.deepEqual(
      sides?.sort(),
      [
        ['first b', 'b', 'first a'],
        ['second a', 'a', 'second b'],
      ].sort(),
    )
    const text = slowText(report)
    assert.match(text, /\nSuspected deadlock: /)
    assert.match(
      text,
      /first b has waited for 'b' for \d+ ms, asked for at passThrough .*; its task may be first a \(holds 'a' exclusively for/,
    )
    assert.match(
      text,
      /What to write instead: one acquire\(\['a', 'b'\]\).*acquire\(names, \{ owner \}\)/,
    )
  })

  it('of three tasks in a ring are one too', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const names = ['a', 'b', 'c']
      const guards = await Promise.all(names.map((name) => locks.acquire(name)))
      await tick(20)
      for (const name of ['b', 'c', 'a']) void passThrough(locks, name, name)
      return guards
    })
    assert.ok(report.guardCycle && report.guardCycle.length >= 2)
  })

  it('are none where all wait for one guard', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a')
      await tick(20)
      for (let i = 0; i < 5; i++) void passThrough(locks, 'a', `w${i}`)
      return [a]
    })
    assert.equal(report.guardCycle, undefined)
  })

  it('are none where a guard was granted after the other task had asked', async () => {
    const report = await reportAfter(async (locks, tick) => {
      const a = await locks.acquire('a')
      void passThrough(locks, 'a', 'early')
      await tick(20)
      const b = await locks.acquire('b')
      await tick(20)
      void passThrough(locks, 'b', 'late')
      return [a, b]
    })
    assert.equal(report.guardCycle, undefined)
  })

  it('are none where the holders are callbacks', async () => {
    const ends: (() => Promise<void>)[] = []
    const report = await reportAfter(async (locks, tick) => {
      ends.push(await holding(locks, 'a'), await holding(locks, 'b'))
      await tick(20)
      void passThrough(locks, 'a', 'w')
      void passThrough(locks, 'b', 'v')
      return []
    })
    for (const end of ends) await end()
    assert.equal(report.guardCycle, undefined)
  })

  it('are named too when the event loop runs empty', () => {
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
    assert.match(stderr, /Suspected deadlock[\s\S]*its task may be[\s\S]*its task may be/)
    assert.match(stderr, /one acquire\(\['a', 'b'\]\)/)
  })
})
