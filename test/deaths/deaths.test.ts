/** A bank whose tellers are killed; `npm run deaths` kills more of them. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runDeaths } from './deaths.ts'
import { runWaiters } from './waiters.ts'

describe('a bank whose tellers are killed', { timeout: 300_000 }, () => {
  for (const [strategy, accounts] of [
    ['ordered', 20],
    ['ordered', 100],
    ['striped', 100],
    ['global', 6],
  ] as const) {
    it(`loses nothing under ${strategy} with ${accounts} accounts`, async () => {
      const result = await runDeaths({ strategy, accounts, kills: 10, repairs: true })
      assert.equal(result.failedAudits, 0)
      assert.equal(result.totalAfter, result.totalBefore)
      assert.equal(result.reported, 0)
      assert.equal(result.holding, 10)
      assert.ok(result.audits > 0 && result.transfers > 0 && result.undone >= 3)
    })
  }

  it('reports every abandoned lock without repairs', async () => {
    const options = { strategy: 'ordered', accounts: 1000, kills: 10, repairs: false } as const
    const result = await runDeaths(options)
    assert.ok(result.reported > 0)
    assert.equal(result.undone, 0)
  })
})

describe('threads that are killed while they wait', { timeout: 300_000 }, () => {
  for (const memory of ['wasm', 'buffer'] as const) {
    it(`keep no other thread waiting (${memory})`, async () => {
      const { waiting, justWoken, longestMs } = await runWaiters(20, memory)
      assert.deepEqual([waiting, justWoken], [10, 10])
      assert.ok(longestMs < 5000, `${longestMs} ms`)
    })
  }
})
