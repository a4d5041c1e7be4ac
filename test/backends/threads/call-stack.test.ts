/**
 * Code that exhausts the call stack while it holds locks: none of them stays held. Each program has its own
 * process, because V8 needs more of the call stack for the first call of a function.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { outputOfNode } from '../../spawn.ts'

const CALLS = {
  hold: 'locks.hold(n, () => next(n + 1))',
  'hold, several': 'locks.hold([3 * n, shared(3 * n + 1), 3 * n + 2], () => next(n + 1))',
  'hold, shared': 'locks.hold(shared(n), () => next(n + 1))',
  'hold, again': 'locks.hold([0, shared(1)], () => next(n + 1))',
  tryHold: 'locks.tryHold([n], () => next(n + 1))',
  holdPair: 'locks.holdPair(2 * n, 2 * n + 1, next, n + 1)',
  holdAll: 'locks.holdAll(() => next(n + 1))',
}

const index = new URL('../../../src/backends/threads/index.js', import.meta.url)

function programOf(name: string, call: string, memory: string): string {
  const reentrant = name === 'hold, again' || name === 'holdAll'
  const options = { count: 60_000, recordBytes: 16, memory, reentrant }
  const stripes = name === 'holdAll' ? { stripes: 2 } : {}
  return `
    import { SharedLocks, shared } from ${JSON.stringify(index)}
    const locks = SharedLocks.create(${JSON.stringify({ ...options, ...stripes })})
    const next = (n) => ${call}
    let thrown
    try { next(0) } catch (error) { thrown = error.name }
    const other = SharedLocks.open(locks.handle)
    let held = 0
    for (let i = 0; i < locks.lockCount; i++) if (!other.tryHold(i, () => true)) held++
    console.log(thrown, held)
  `
}

for (const memory of ['wasm', 'buffer']) {
  describe(`an exhausted call stack (${memory})`, { timeout: 120_000 }, () => {
    for (const [name, call] of Object.entries(CALLS)) {
      it(`leaves no lock held (${name})`, async () => {
        // owed-releases.ts does not cover a holdPair that V8 has optimised.
        const flags = name === 'holdPair' ? ['--no-opt'] : []
        const args = [...flags, '--input-type=module', '--eval', programOf(name, call, memory)]
        const { stdout, stderr } = await outputOfNode(args)
        assert.equal(stdout.trim(), 'RangeError 0', stderr)
      })
    }
  })
}
