/** A short torture; `npm run torture -- --minutes N` is a longer one. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { torture } from './torture.ts'

for (const memory of ['wasm', 'buffer'] as const) {
  it(`nothing is violated, and nobody hangs (${memory})`, { timeout: 120_000 }, async (test) => {
    const seed = Date.now() % 1e6
    test.diagnostic(`seed ${seed}`)
    const result = await torture({ seconds: 4, threads: 6, locks: 5, memory, seed })
    assert.equal(result.violations, 0)
    assert.equal(result.hangs, 0)
    assert.ok(result.acquisitions > 1000 && result.kills > 5, JSON.stringify(result))
  })
}
