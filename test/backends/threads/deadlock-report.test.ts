/** The report of a deadlock in shared memory: the waiters, and what is known of the locks they hold. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { DeadlockError, SharedLocks, shared } from '../../../src/backends/threads/index.ts'
import { mustBePlain } from '../../core/reports.ts'
import { meeting } from '../../waiting.ts'

/** The report of two asynchronous holders that each request the other's lock inside. */
async function crossed(wanted: readonly [number, number]): Promise<DeadlockError['report']> {
  const locks = SharedLocks.create({ count: 4, order: 'free', label: 'main' })
  const meet = meeting(2)
  const nest = (first: number, second: number): Promise<unknown> =>
    locks.holdAsync([shared(first)], async () => {
      await meet()
      return await locks.holdAsync([second], () => 'held')
    })
  const [a, b] = wanted
  const results = await Promise.allSettled([nest(a, b), nest(b, a)])
  const [error] = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  assert.ok(error instanceof DeadlockError)
  return error.report
}

it('a deadlock of asynchronous holdings names each by its own number and its thread', async () => {
  const { cycle, victim, between } = await crossed([1, 2])
  assert.equal(between, 'threads')
  assert.equal(cycle[0]?.waiter.id, victim)
  const ids = cycle.map(({ waiter }) => {
    assert.equal(waiter.kind, 'task')
    assert.equal(waiter.kind === 'task' && waiter.thread, 1)
    assert.match(waiter.label, /^main \(task \d\)$/)
    return waiter.id
  })
  assert.equal(new Set([1, ...ids]).size, 3)
  assert.deepEqual(
    cycle.map(({ blockers }) => blockers),
    [[ids[1]], [ids[0]]],
  )
})

it('a deadlock report has the age and call stack of a lock of an enclosing holding', async () => {
  const report = await crossed([1, 2])
  mustBePlain(report)
  for (const [i, { waiter, holds, waitedMs, waitsAt = '' }] of report.cycle.entries()) {
    const [held, ...others] = holds
    assert.deepEqual(others, [])
    assert.deepEqual(
      [held?.name, held?.mode, held?.units],
      [report.cycle.at(i - 1)?.waitsFor.name, 'shared', 1],
    )
    assert.notEqual(held?.label, waiter.label)
    assert.match(held?.label ?? '', /^main \(task \d\)$/)
    assert.ok((held?.heldMs ?? -1) >= waitedMs && (held?.sinceMs ?? 0) > 0)
    assert.match(held?.heldAt ?? '', /deadlock-report\.test/)
    assert.match(held?.callSite ?? '', /^nest .*deadlock-report\.test/)
    assert.match(waitsAt, /deadlock-report\.test/)
    assert.notEqual(waitsAt, held?.heldAt)
  }
})
