/** All durations of one report refer to one moment, even if the clock advances while the report is made. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { type Guard, LockManager, LockTimeoutError, type SlowReport } from '../../src/index.ts'
import { runtime } from '../../src/manager/clock.ts'
import { gate, settle } from '../waiting.ts'
import { forgetTime } from './fake-clock.ts'
import { waitIn, watched } from './tools.ts'

const real = { ...runtime }

describe('the durations of one report', { timeout: 20_000 }, () => {
  beforeEach(() => {
    let ms = Date.now()
    // Each call advances the clock by 7 ms.
    runtime.now = () => {
      ms += 7
      return ms
    }
  })
  afterEach(async () => {
    Object.assign(runtime, real)
    await forgetTime()
  })

  it('end at the time of a long wait’s report', async () => {
    const locks = new LockManager({ longWaitMs: 1, callSites: 'always' })
    const reported = gate()
    let report: SlowReport | undefined
    locks.on('slow', (slow) => {
      report ??= slow
      reported.open()
    })
    const guards: Guard[] = []
    for (const name of ['a', 'b']) guards.push(await locks.acquire(name, { label: name }))
    const waits = [locks.acquire('b', { label: 'a' }), locks.acquire('a', { label: 'b' })].map(
      (wait) => wait.then((guard) => guard.release()),
    )
    const alive = setInterval(() => {}, 1000)
    await reported.opened
    clearInterval(alive)
    for (const guard of guards) guard.release()
    await Promise.all(waits)
    const { holders, guardCycle, lastsMs } = waitIn(report)
    assert.deepEqual([holders.length, guardCycle.length], [1, 2])
    const moments = [...holders, ...guardCycle.map(({ mayHold }) => mayHold)].map(
      ({ sinceMs, heldMs }) => sinceMs + heldMs,
    )
    assert.equal(new Set(moments).size, 1)
    for (const { heldMs } of holders) assert.ok(heldMs >= lastsMs)
  })

  it('end at the time at which a deadlock was found', async () => {
    const { locks, reports } = watched({ trackOrder: true })
    const nest = (one: string, other: string): Promise<unknown> =>
      locks.request(one, async () => {
        await settle()
        await locks.request(other, () => {})
      })
    await Promise.allSettled([nest('a', 'b'), nest('b', 'a')])
    const [report] = reports
    assert.ok(report)
    const held = report.cycle.flatMap(({ holds }) => holds)
    assert.equal(held.length, 2)
    for (const { sinceMs = 0, heldMs = 0 } of held) {
      assert.equal(sinceMs + heldMs, report.detectedAtMs)
    }
    for (const { waitedMs } of report.cycle) {
      assert.ok(held.every(({ heldMs = 0 }) => waitedMs <= heldMs))
    }
  })

  it('show at least the elapsed time limit for the holder', async () => {
    const locks = new LockManager()
    const guard = await locks.acquire('a', { label: 'holder' })
    const error = await locks.request('a', { timeoutMs: 5 }, () => {}).catch((one) => one)
    guard.release()
    assert.ok(error instanceof LockTimeoutError)
    const [, heldMs] = /exclusively for (\d+) ms/.exec(error.message) ?? []
    assert.ok(Number(heldMs) >= 5, error.message)
  })
})
