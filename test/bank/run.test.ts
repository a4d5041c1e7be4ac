/** The bank on threads: the outcome of each strategy, exactly once, under audits and deadlocks. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  allocateOrders,
  DONE,
  LECTURE_BALANCES,
  lectureBalances,
  lockName,
  REFUSED,
  type RunOptions,
  runBank,
} from '../../src/bank/index.ts'

const lecture = { balances: LECTURE_BALANCES, threads: 5, auditEvery: 1 } as const
const timeout = 60_000

describe('runBank', { timeout }, () => {
  for (const strategy of ['global', 'ordered', 'striped'] as const) {
    it(`is consistent under ${strategy}, with an audit after every transfer`, async () => {
      const generate = { seed: 3, transfers: 4000 }
      const result = await runBank({ ...lecture, strategy, generate, stripes: 4 })
      assert.equal(result.outcome, 'consistent')
      assert.equal(result.transfers, 20_000)
      assert.equal(result.audits, 20_000)
      assert.equal(result.failedAudits, 0)
      assert.equal(result.totalAfter, 44_500)
      assert.equal(result.deadlocksBroken, 0)
    })
  }

  it('loses or makes money under unlocked, and its audits find it', async () => {
    const generate = { seed: 3, transfers: 2000 }
    const options = { ...lecture, generate, slowTransfers: 2000 }
    const result = await runBank({ ...options, strategy: 'unlocked' })
    assert.equal(result.outcome, 'inconsistent')
    assert.ok(result.failedAudits > 0)
    assert.equal(result.transfers, 10_000)
  })

  it('deadlocks under unordered, and reports the threads, locks and call sites', async () => {
    const generate = { seed: 3, transfers: 10_000 }
    const options: RunOptions = {
      ...lecture,
      generate,
      slowTransfers: 10_000,
      strategy: 'unordered',
    }
    const result = await runBank(options)
    assert.equal(result.outcome, 'deadlock')
    assert.equal(result.totalAfter, 44_500)
    const [report] = result.deadlocks
    assert.ok(report && report.cycle.length >= 2)
    for (const [i, member] of report.cycle.entries()) {
      assert.match(member.waiter.label, /^teller \d$/)
      assert.equal(member.holds.length, 1)
      assert.match(String(member.waitsFor.name), /^account [0-5]$/)
      const names: unknown = report.cycle[(i + 1) % report.cycle.length]?.holds.map(
        ({ name }) => name,
      )
      assert.deepEqual(names, [member.waitsFor.name])
      assert.match(member.waitsAt ?? '', /Bank\.transfer/)
      assert.ok(member.waitedMs >= 0)
    }
  })

  it('ends consistent under unordered when victims try again', async () => {
    const generate = { seed: 3, transfers: 3000 }
    const result = await runBank({
      ...lecture,
      generate,
      strategy: 'unordered',
      slowTransfers: 3000,
      onDeadlock: 'retry',
    })
    assert.equal(result.outcome, 'consistent')
    assert.equal(result.transfers, 15_000)
    assert.ok(result.deadlocksBroken > 0)
  })

  for (const gently of [false, true]) {
    it(`audits many accounts ${gently ? 'gently' : 'without rest'} beside transfers`, async () => {
      await runUntilAudited({ strategy: 'ordered', threads: 3, gently })
    })
  }

  it('finds every total in audits that end and begin all the time', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const result = await runBank({
        strategy: 'ordered',
        balances: lectureBalances(66),
        threads: 2,
        auditors: 2,
        generate: { seed, transfers: 300_000 },
      })
      assert.equal(result.outcome, 'consistent')
    }
  })

  it('makes whole audits gentle too', async () => {
    await runUntilAudited({ strategy: 'striped', threads: 2, gently: true })
  })

  it('carries out every order exactly once', async () => {
    const orders = allocateOrders(30_000)
    const expected = lectureBalances(50)
    for (let i = 0; i < 30_000; i++) {
      const from = (i * 7) % 50
      const to = (from + 1 + (i % 49)) % 50
      orders.from[i] = from
      orders.to[i] = to
      orders.amounts[i] = i % 3
      expected[from] = (expected[from] as number) - (i % 3)
      expected[to] = (expected[to] as number) + (i % 3)
    }
    const balances = lectureBalances(50)
    const result = await runBank({ strategy: 'ordered', balances, threads: 4, orders })
    assert.ok(orders.outcomes.every((outcome) => outcome === DONE || outcome === REFUSED))
    assert.equal(result.refused, 0)
    assert.deepEqual([...result.balances], expected)
  })

  it('gives each thread the same transfers for the same seed', async () => {
    const options = { ...lecture, threads: 1, generate: { seed: 7, transfers: 10_000 } }
    const [a, b] = [
      await runBank({ ...options, strategy: 'ordered' }),
      await runBank({ ...options, strategy: 'global' }),
    ]
    assert.deepEqual([...a.balances], [...b.balances])
    assert.deepEqual([...a.balances], [8033, 6903, 6554, 3463, 4911, 14636])
  })

  it('traces locks in the order in which they are taken', async () => {
    const generate = { seed: 1, transfers: 100 }
    const options = { ...lecture, auditEvery: 0, generate, trace: true }
    for (const strategy of ['ordered', 'unordered', 'global'] as const) {
      const result = await runBank({ ...options, strategy })
      const events = [...result.trace]
      const perTransfer = strategy === 'global' ? 1 : 2
      if (strategy !== 'unordered') assert.equal(events.length, perTransfer * 500)
      const name = lockName(strategy, events[0]?.lock as number)
      assert.match(name, strategy === 'global' ? /^the global lock$/ : /^account \d$/)
    }
  })

  it('stops when its signal aborts, and reports how far it came', async () => {
    const stop = new AbortController()
    const result = await runBank({
      ...lecture,
      strategy: 'ordered',
      generate: { seed: 1, transfers: 1_000_000_000 },
      signal: stop.signal,
      onProgress: (done) => done > 1000 && stop.abort(),
    })
    assert.equal(result.complete, false)
    assert.ok(result.transfers > 1000)
    assert.equal(result.totalAfter, 44_500)
  })
})

/** Runs with an auditor until it makes an audit: on a busy machine, a run can be over before it begins. */
async function runUntilAudited(
  options: Pick<RunOptions, 'strategy' | 'threads' | 'gently'>,
): Promise<void> {
  let audits = 0
  for (let runs = 0; audits === 0; runs++) {
    assert.ok(runs < 50)
    const result = await runBank({
      ...options,
      balances: lectureBalances(3000),
      auditors: 1,
      generate: { seed: 5, transfers: 100_000 },
    })
    assert.equal(result.outcome, 'consistent')
    audits = result.audits
  }
}
