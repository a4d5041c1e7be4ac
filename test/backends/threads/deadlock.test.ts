/** Deadlocks between threads: each is found, has one victim, is reported exactly, and none is invented. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type DeadlockReport, SharedLocks } from '../../../src/backends/threads/index.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, untilWaiting } from './threads.ts'

for (const memory of ['wasm', 'buffer'] as const) {
  describe(`deadlocks between threads (${memory})`, { timeout: 120_000 }, () => {
    for (const members of [2, 3, 5]) {
      it(`are found in every cycle of ${members}, with one victim`, async () => {
        const rounds = 300
        const locks = SharedLocks.create({ count: members, order: 'free', memory })
        const flags = newFlags()
        const results = await Promise.all(
          Array.from({ length: members }, (_, member) =>
            inThread(
              locks,
              'ring',
              { flags, member, members, rounds, meets: true },
              `member ${member}`,
            ),
          ),
        )
        const reports = results.flatMap((result) => result.reports)
        assert.equal(reports.length, rounds)
        const completed = results.reduce((sum, result) => sum + result.completed, 0)
        assert.equal(completed, rounds * (members - 1))
        for (const report of reports) checkRing(report, members)
      })
    }

    it('never stop two threads that take two locks in opposite orders', async () => {
      const rounds = 20_000
      const locks = SharedLocks.create({ count: 2, order: 'free', memory })
      const flags = newFlags()
      const results = await Promise.all(
        [0, 1].map((member) =>
          inThread(locks, 'ring', { flags, member, members: 2, rounds, meets: false }),
        ),
      )
      for (const { reports, completed } of results) {
        assert.equal(reports.length + completed, rounds)
        for (const report of reports) checkRing(report, 2)
      }
    })

    it('are never reported where threads keep an order, though any order is allowed', async () => {
      const locks = SharedLocks.create({ count: 5, order: 'free', memory })
      const results = await Promise.all(
        [1, 2, 3, 4].map((seed) => inThread(locks, 'nestAscending', { seed, rounds: 30_000 })),
      )
      assert.deepEqual(results, [30_000, 30_000, 30_000, 30_000])
    })

    it('are not reported for a long chain of waiters', async () => {
      const locks = SharedLocks.create({ count: 6, order: 'free', memory })
      const end = newFlags()
      const last = inThread(locks, 'holdUntilFlag', { flags: end, indices: [5] })
      await flagIsSet(end, 0)
      const chain: Promise<unknown>[] = [last]
      for (let first = 4; first >= 0; first--) {
        chain.push(inThread(locks, 'askFor', { flags: newFlags(), indices: [first, first + 1] }))
        await untilWaiting(locks, first + 1)
      }
      setFlag(end, 1, 1)
      await Promise.all(chain)
    })
  })
}

/** Checks that a report is consistent and shows where the threads wait. */
function checkRing(report: DeadlockReport, members: number): void {
  const { cycle } = report
  assert.equal(report.kind, 'deadlock')
  assert.equal(cycle.length, members)
  assert.equal(cycle[0]?.waiter.id, report.victim)
  assert.equal(new Set(cycle.map(({ waiter }) => waiter.id)).size, members)
  for (const [i, member] of cycle.entries()) {
    const next = cycle[(i + 1) % members]
    const { label } = member.waiter
    const [held] = member.holds
    assert.deepEqual(member.holds, [{ name: held?.name, mode: 'exclusive', units: 1, label }])
    assert.deepEqual(next?.holds[0], { ...member.waitsFor, label: next?.waiter.label })
    assert.deepEqual(member.blockers, [next?.waiter.id])
    assert.equal(member.waitsFor.name, (Number(held?.name) + 1) % members)
    assert.match(member.waitsAt ?? '', /programs/)
    assert.ok(member.waitedMs >= 0 && member.waitedMs < 60_000)
  }
  assert.ok(Math.abs(report.detectedAtMs - Date.now()) < 120_000)
}
