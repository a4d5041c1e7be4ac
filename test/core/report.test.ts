/** Reports of each kind, as managers and tables of locks make them: plain data of one shape. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type LongWaitReport, SharedLocks } from '../../src/backends/threads/index.ts'
import {
  DeadlockError,
  LockManager,
  type Report,
  type SlowReport,
  type SlowWaitReport,
} from '../../src/index.ts'
import { holder, watched } from '../manager/tools.ts'
import { gate, rounds, settle, until } from '../waiting.ts'
import { mustBePlain } from './reports.ts'

describe('a report of plain data with its kind and version', { timeout: 20_000 }, () => {
  for (const callSites of ['always', 'never'] as const) {
    it(`describes a deadlock of tasks, with rejection and without (callSites: ${callSites})`, async () => {
      const { locks, reports } = watched({ callSites })
      const nest = (one: string, other: string): Promise<unknown> =>
        locks.request(one, { mode: 'shared' }, async () => {
          await settle()
          await locks.request(other, () => {})
        })
      const results = await Promise.allSettled([nest('a', 'b'), nest('b', 'a')])
      const controller = new AbortController()
      const own = locks.request('c', async () => {
        void locks.request('c', { signal: controller.signal }, () => {}).catch(() => {})
        await rounds()
        controller.abort()
      })
      await own
      const reasons = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
      assert.ok(reasons.every((reason) => reason instanceof DeadlockError))
      const all = [...reports, ...reasons.map(({ report }) => report)]
      assert.ok(all.length >= 2)
      for (const report of all) {
        mustBePlain(report)
        assert.deepEqual([report.kind, report.between], ['deadlock', 'tasks'])
        for (const { waiter, isProved } of report.cycle) {
          assert.deepEqual([waiter.kind, typeof isProved], ['request', 'boolean'])
        }
        const isProved = report.cycle.every((member) => member.isProved)
        assert.equal(report.confidence, isProved ? 'proved' : 'suspected')
      }
    })
  }

  for (const order of ['ascending', 'free'] as const) {
    it(`describes a thread or task that waits for itself (order: ${order})`, async () => {
      const locks = SharedLocks.create({ count: 4, order, label: 'me' })
      const reports: Report[] = []
      const note = ({ report }: DeadlockError): unknown => reports.push(report)
      const again = (): unknown => locks.hold([1], () => locks.hold([1], assert.fail))
      assert.throws(again, (error: DeadlockError) => Boolean(note(error)))
      await locks.holdAsync([1], () => locks.holdAsync([1], assert.fail)).catch(note)
      assert.equal(reports.length, 2)
      for (const report of reports) {
        mustBePlain(report)
        assert.equal(report.kind, 'deadlock')
        assert.deepEqual(
          report.kind === 'deadlock' && [report.between, report.confidence, report.hasVictim],
          ['threads', 'proved', true],
        )
      }
    })
  }

  it('describes orders that contradict each other', async () => {
    for (const callSites of ['always', 'never'] as const) {
      const locks = new LockManager({ callSites })
      const reports: Report[] = []
      locks.on('possible', (report) => reports.push(report))
      await locks.request('a', () => locks.request('b', () => {}))
      await locks.request('b', () => locks.request('a', () => {}))
      await settle()
      assert.equal(reports.length, 1)
      for (const report of reports) {
        mustBePlain(report)
        assert.deepEqual(
          report.kind === 'possible-deadlock' && [report.cycle.length, report.similar],
          [2, 0],
        )
      }
    }
  })

  it('describes a holding and a wait that last too long', async () => {
    const locks = new LockManager({ longWaitMs: 5, trackOrder: false })
    const reports: SlowReport[] = []
    const isAnyWait = (is: (report: SlowWaitReport) => boolean): boolean =>
      reports.some((one) => one.state === 'waiting' && is(one))
    locks.on('slow', (report) => reports.push(report))
    const { end } = await holder(locks, 'b')
    const outer = locks.request('a', { warnAfterMs: 5 }, () => locks.request('b', () => {}))
    const guard = await locks.acquire('c', { label: 'task' })
    const waits = [
      locks.request('a', () => {}),
      locks.acquire('c', { label: 'task' }).then((second) => second.release()),
    ]
    await until(() => reports.some(({ state }) => state === 'holding'))
    await until(() => isAnyWait(({ guardCycle }) => guardCycle.length > 0))
    await until(() => isAnyWait(({ holders: [first] }) => !!first?.nested))
    guard.release()
    await end()
    await Promise.all([outer, ...waits])
    assert.deepEqual([...new Set(reports.map(({ kind }) => kind))], ['slow'])
    for (const report of reports) mustBePlain(report)
  })

  it('describes a wait for a lock in shared memory, and one for an owner', async () => {
    const reports: LongWaitReport[] = []
    const onLongWait = (report: LongWaitReport): unknown => reports.push(report)
    const locks = SharedLocks.create({
      count: 4,
      owners: 3,
      order: 'free',
      longWaitMs: 5,
      onLongWait,
    })
    const end = gate()
    const all = [
      locks.holdAsync([1], () => end.opened),
      locks.holdAsync([1], () => {}),
      locks.holdAsync([2], () => {}),
    ]
    await until(() => new Set(reports.map(({ resource }) => resource)).size === 2)
    end.open()
    await Promise.all(all)
    for (const report of reports) mustBePlain(report)
    assert.deepEqual([...new Set(reports.map(({ kind }) => kind))], ['long-wait'])
  })
})
