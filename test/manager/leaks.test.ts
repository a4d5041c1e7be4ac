/** Guards that were garbage-collected without `release()`. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { leakedText } from '../../src/explain/index.ts'
import { type Guard, type LeakedReport, LockManager } from '../../src/index.ts'
import { mustBePlain } from '../core/reports.ts'
import { settle } from '../waiting.ts'
import { collectGarbage, collectUntil } from './garbage.ts'
import { warningsOf } from './tools.ts'

/** Acquires guards and drops all references to them. */
async function leak(locks: LockManager, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await locks.acquire([`a:${i}`, `b:${i}`], { label: `leaker ${i}` })
}

describe('a guard that is garbage-collected', { timeout: 60_000 }, () => {
  it('is reported if it was not released, with label, names, age and call site', async () => {
    const locks = new LockManager({ callSites: 'always' })
    const reports: LeakedReport[] = []
    locks.on('leaked', (report) => reports.push(report))
    await leak(locks, 1)
    void locks.request('b:0', { timeoutMs: 20_000 }, () => {})
    await collectUntil(() => reports.length > 0)
    const [report] = reports as [LeakedReport]
    mustBePlain(report)
    assert.deepEqual(
      [report.kind, report.label, report.names, report.waiters],
      ['leaked', 'leaker 0', ['a:0', 'b:0'], 1],
    )
    assert.ok(report.heldMs >= 0 && report.sinceMs > 0)
    assert.match(report.callSite ?? '', /^leak \(.*leaks\.test/)
    assert.match(
      leakedText(report),
      /^leaker 0: a guard of 'a:0', 'b:0' was garbage-collected without release\(\)/,
    )
    await locks.request(['a:0', 'b:0'], { steal: true }, () => {})
  })

  it('is reported for each of many that were made in one turn', async () => {
    const locks = new LockManager()
    const labels = new Set<string>()
    locks.on('leaked', ({ label }) => labels.add(label))
    await leak(locks, 500)
    await collectUntil(() => labels.size === 500)
  })

  it('causes few warnings if many come from one line, and listeners get each', async () => {
    for (const cls of ['a:', 'a']) {
      const locks = new LockManager({ callSites: 'always' })
      let heard = 0
      const stop = locks.on('leaked', () => heard++)
      const leakMany = async (): Promise<void> => {
        for (let i = 0; i < 120; i++) await locks.acquire(`${cls}${i} ${heard}`)
      }
      await leakMany()
      await collectUntil(() => heard === 120)
      stop()
      const warnings = await warningsOf(async () => {
        let isReported = false
        const hear = ({ message }: Error): void => {
          if (/There were 100 such reports/.test(message)) isReported = true
        }
        process.on('warning', hear)
        await leakMany()
        await collectUntil(() => isReported)
        collectGarbage()
        process.off('warning', hear)
      })
      assert.equal(warnings.length, cls === 'a:' ? 3 : 6)
      assert.match(warnings[0] ?? '', /was garbage-collected without release/)
    }
  })

  it('is not reported if it was released or stolen, and no referenced guard is', async () => {
    const locks = new LockManager()
    const reports: LeakedReport[] = []
    locks.on('leaked', (report) => reports.push(report))
    const kept: Guard[] = []
    for (let i = 0; i < 200; i++) {
      ;(await locks.acquire('a')).release()
      kept.push(await locks.acquire(`kept:${i}`))
      await locks.acquire('stolen').catch(() => {})
      await locks.request('stolen', { steal: true }, () => {})
    }
    await leak(locks, 1)
    await collectUntil(() => reports.length > 0)
    collectGarbage()
    await settle()
    assert.deepEqual(
      reports.map(({ label }) => label),
      ['leaker 0'],
    )
    for (const guard of kept) {
      assert.ok(guard.held)
      guard.release()
    }
  })
})
