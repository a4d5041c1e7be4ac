/** The report of a deadlock between requests: its members, their locks and their blockers. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DeadlockReport } from '../../src/index.ts'
import { mustBePlain } from '../core/reports.ts'
import { gate, settle } from '../waiting.ts'
import { watched } from './tools.ts'

describe('the report of a deadlock between requests', { timeout: 20_000 }, () => {
  /** Two holders that each request another lock of the other, and a third one that shares the first lock. */
  async function crossed(): Promise<DeadlockReport> {
    const { locks, reports } = watched({ deadlockVictims: 'likely', callSites: 'always' })
    const [end, shared] = [gate(), gate()]
    const reader = locks.request('a', { mode: 'shared', label: 'reader' }, async () => {
      shared.open()
      await end.opened
    })
    await shared.opened
    const nest = (one: string, other: string): Promise<unknown> =>
      locks.request([one, `${one}:own`], { mode: 'shared', label: `holds ${one}` }, async () => {
        await settle()
        await locks.request(other, { label: `wants ${other}` }, () => {})
      })
    const results = Promise.allSettled([nest('a', 'b'), nest('b', 'a')])
    while (reports.length === 0) await settle()
    end.open()
    await Promise.all([reader, results])
    return reports[0] as DeadlockReport
  }

  it('lists each held lock with its mode, its holder, its age and its call site', async () => {
    const { cycle } = await crossed()
    const locks = cycle.map(({ holds }) =>
      holds.map(({ name, mode, units, label }) => [name, mode, units, label]),
    )
    const both = (name: string): unknown[] => [
      [name, 'shared', 1, `holds ${name}`],
      [`${name}:own`, 'shared', 1, `holds ${name}`],
    ]
    assert.deepEqual(locks, [both('b'), both('a')])
    for (const { sinceMs = 0, heldMs = -1, callSite = '' } of cycle.flatMap(({ holds }) => holds)) {
      assert.ok(sinceMs > 0 && heldMs >= 0)
      assert.match(callSite, /deadlock-report\.test/)
    }
  })

  it('has the call stack of the lock that the previous member waits for, and of no other', async () => {
    const { cycle } = await crossed()
    const stacks = cycle.map(({ holds }) => holds.map(({ heldAt }) => heldAt !== undefined))
    assert.deepEqual(stacks, [
      [true, false],
      [true, false],
    ])
  })

  it('names the holders of the lock that a member waits for, the next member first', async () => {
    const report = await crossed()
    mustBePlain(report)
    const [victim, other] = report.cycle
    assert.deepEqual(
      [victim?.waiter.label, victim?.waitsFor],
      ['wants a', { name: 'a', mode: 'exclusive', units: 1 }],
    )
    assert.equal(report.victim, victim?.waiter.id)
    // The reader was the manager's first request.
    assert.deepEqual(victim?.blockers, [other?.waiter.id, 1])
    assert.deepEqual(other?.blockers, [victim?.waiter.id])
  })
})
