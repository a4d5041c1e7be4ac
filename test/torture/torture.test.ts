/** A short torture; `npm run torture -- --minutes N` runs a longer one. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { storm } from './storm.ts'
import { torture } from './torture.ts'

for (const memory of ['wasm', 'buffer'] as const) {
  it(`killed threads leave no lock violated and no thread hanging (${memory})`, {
    timeout: 120_000,
  }, async (test) => {
    const seed = Date.now() % 1e6
    test.diagnostic(`seed ${seed}`)
    const result = await torture({ seconds: 4, threads: 6, locks: 5, memory, seed })
    assert.equal(result.violations, 0)
    assert.equal(result.hangs, 0)
    assert.ok(result.acquisitions > 1000 && result.kills > 5, JSON.stringify(result))
  })
}

it('a storm of deadlocks has one victim for each proved deadlock, and no other', {
  timeout: 120_000,
}, async (test) => {
  const seed = Date.now() % 1e6
  test.diagnostic(`seed ${seed}`)
  const result = await storm({ rounds: 20, groups: 20, threads: 3, seed })
  assert.deepEqual(result.faults, [])
  assert.ok(result.deadlocks > 200 && result.innocent > 20, JSON.stringify(result))
})
