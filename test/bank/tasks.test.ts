/** The bank on tasks: the outcome of each strategy on one event loop. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  allocateOrders,
  DONE,
  LECTURE_BALANCES,
  REFUSED,
  runBank,
  runBankOnTasks,
  type TaskRunOptions,
} from '../../src/bank/index.ts'

const lecture: Omit<TaskRunOptions, 'strategy'> = {
  balances: LECTURE_BALANCES,
  threads: 5,
  generate: { seed: 7, transfers: 400 },
  auditEvery: 1,
}

describe('runBankOnTasks', { timeout: 60_000 }, () => {
  it('loses or makes money without locks', async () => {
    const run = await runBankOnTasks({ ...lecture, strategy: 'unlocked' })
    assert.equal(run.outcome, 'inconsistent')
    assert.ok(run.failedAudits > 0)
  })

  for (const strategy of ['global', 'ordered', 'striped'] as const) {
    it(`keeps its total under ${strategy}`, async () => {
      const run = await runBankOnTasks({ ...lecture, strategy })
      const { outcome, transfers, audits, failedAudits, totalAfter, complete } = run
      assert.deepEqual(
        { outcome, transfers, audits, failedAudits, totalAfter, complete },
        {
          outcome: 'consistent',
          transfers: 2000,
          audits: 2000,
          failedAudits: 0,
          totalAfter: 44_500,
          complete: true,
        },
      )
      assert.ok(run.sleeps > 0, 'somebody waited')
    })
  }

  it('deadlocks under unordered, and reports how', async () => {
    const run = await runBankOnTasks({ ...lecture, strategy: 'unordered' })
    assert.equal(run.outcome, 'deadlock')
    assert.ok(run.transfers < 2000)
    const [report] = run.deadlocks
    assert.equal(report?.between, 'tasks')
    for (const { waiter, holds, waitsFor, waitsAt = '' } of report?.cycle ?? []) {
      assert.match(waiter.label, /^task [1-5]$/)
      assert.match(`${holds.map(({ name }) => name)}${waitsFor.name}`, /^account \daccount \d$/)
      assert.match(waitsAt, /tasks\./)
    }
  })

  it('ends consistent under unordered when victims try again', async () => {
    const run = await runBankOnTasks({ ...lecture, strategy: 'unordered', onDeadlock: 'retry' })
    assert.deepEqual([run.outcome, run.transfers, run.complete], ['consistent', 2000, true])
    assert.ok(run.deadlocksBroken > 0)
  })

  it('carries out each order once, and the same transfers as threads do', async () => {
    const orders = allocateOrders(3)
    orders.from.set([0, 1, 2])
    orders.to.set([1, 2, 0])
    orders.amounts.set([50, 5, 1])
    const run = await runBankOnTasks({
      strategy: 'ordered',
      balances: [10, 10, 10],
      threads: 2,
      orders,
    })
    assert.deepEqual([...orders.outcomes], [REFUSED, DONE, DONE])
    assert.deepEqual([...run.balances], [11, 5, 14])

    const rich = {
      ...lecture,
      balances: LECTURE_BALANCES.map(() => 1_000_000),
      strategy: 'ordered',
    } as const
    const [tasks, threads] = [await runBankOnTasks(rich), await runBank(rich)]
    assert.deepEqual([...tasks.balances], [...threads.balances])
  })

  it('audits more accounts than one request can take', async () => {
    const balances = Array.from({ length: 3000 }, () => 1000)
    const generate = { seed: 1, transfers: 100 }
    for (const strategy of ['ordered', 'unordered'] as const) {
      const run = await runBankOnTasks({ strategy, balances, threads: 4, generate, auditEvery: 5 })
      assert.deepEqual([run.outcome, run.audits, run.failedAudits], ['consistent', 80, 0])
    }
  })

  it('traces which task takes which lock, and stops when its signal aborts', async () => {
    const traced = await runBankOnTasks({
      ...lecture,
      strategy: 'ordered',
      generate: { seed: 1, transfers: 2 },
      auditEvery: 0,
      trace: true,
    })
    const trace = [...traced.trace]
    assert.equal(trace.length, 20)
    for (let i = 0; i < trace.length; i += 2) {
      const [first, second] = trace.slice(i, i + 2)
      assert.deepEqual([first?.position, second?.position], [1, 2])
      assert.equal(first?.teller, second?.teller)
      assert.ok((first?.lock ?? 0) < (second?.lock ?? 0))
    }
    const signal = AbortSignal.abort()
    const ended = await runBankOnTasks({ ...lecture, strategy: 'ordered', signal })
    assert.deepEqual([ended.transfers, ended.complete], [0, false])
    // Refused transfers wait for nothing, so they do not let other work run either.
    const controller = new AbortController()
    setImmediate(() => controller.abort())
    const count = 1_000_000
    const orders = {
      from: new Int32Array(count),
      to: new Int32Array(count).fill(1),
      amounts: new Float64Array(count).fill(1),
      outcomes: new Uint8Array(count),
    }
    const stopped = await runBankOnTasks({
      strategy: 'ordered',
      balances: [0, 0],
      threads: 2,
      orders,
      signal: controller.signal,
    })
    assert.ok(stopped.transfers < count)
    assert.equal(stopped.complete, false)
    await assert.rejects(runBankOnTasks({ ...lecture, strategy: 'ordered', threads: 0 }), {
      code: 'LOCK_USAGE',
    })
  })
})
