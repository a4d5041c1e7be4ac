/** Tables whose memory other code has overwritten: one error, no crash, no endless walk. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LockwiseError, SharedLocks } from '../../../src/backends/threads/index.ts'
import { SLOT } from '../../../src/backends/threads/layout.ts'
import { slotOf } from '../../../src/backends/threads/owners.ts'
import { waitsForOf } from '../../../src/backends/threads/published-wait.ts'
import { addressOf, openTable } from '../../../src/backends/threads/table.ts'

const COUNT = 6

/** The words of a table's memory. */
function wordsOf(locks: SharedLocks): Int32Array {
  const { memory } = locks.handle
  const buffer =
    memory instanceof WebAssembly.Memory ? memory.buffer : (memory as SharedArrayBuffer)
  return new Int32Array(buffer)
}

/** Makes a call, which may return or throw one of lockwise's errors. */
function attempt(call: () => unknown): void {
  try {
    call()
  } catch (error) {
    assert.ok(error instanceof LockwiseError, `${String(error)}\n${(error as Error).stack}`)
  }
}

describe('a damaged table', { timeout: 300_000 }, () => {
  for (const memory of ['wasm', 'buffer'] as const) {
    for (const order of ['ascending', 'free'] as const) {
      it(`causes only LockwiseErrors, whatever its words contain (${memory}, ${order})`, () => {
        const word = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.nat(20_000))
        const damage = fc.array(fc.tuple(fc.nat(3600), word), { minLength: 1, maxLength: 400 })
        fc.assert(
          fc.property(damage, (written) => {
            const locks = SharedLocks.create({ count: COUNT, memory, order, owners: 3 })
            const words = wordsOf(locks)
            locks.lock(2)
            locks.lock(4)
            for (const [at, value] of written) if (at > 7) words[at] = value
            attempt(() => locks.unlock(2))
            for (let lock = 0; lock < COUNT; lock++)
              attempt(() => locks.tryHold([lock], () => true))
            attempt(() => locks.unlockPair(2, 4))
            attempt(() => locks.recover(3))
            attempt(() => SharedLocks.open(locks.handle).close())
            attempt(() => locks.close())
          }),
          { numRuns: 300 },
        )
      })
    }

    it(`is refused where its first words are not those of a table (${memory})`, () => {
      fc.assert(
        fc.property(fc.nat(6), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (at, value) => {
          const locks = SharedLocks.create({ count: COUNT, memory })
          wordsOf(locks)[at] = value
          attempt(() => SharedLocks.open(locks.handle).close())
        }),
        { numRuns: 300 },
      )
    })

    it(`keeps no thread waiting for an owner that does not exist (${memory})`, () => {
      const locks = SharedLocks.create({ count: COUNT, memory })
      const words = wordsOf(locks)
      const view = locks.view(Int32Array)
      // The word of lock 3 lies two words before its bytes.
      words[view.byteOffset / 4 - 2 + 3 * (locks.recordBytes / 4)] = 7 << 4
      assert.throws(() => locks.lock(3), { code: 'LOCK_USAGE', message: /damaged.*owner 7/ })
    })

    it(`has no published wait after an error has ended it (${memory})`, async () => {
      for (const order of ['ascending', 'free'] as const) {
        const locks = SharedLocks.create({ count: COUNT, memory, order })
        const table = openTable(locks.handle)
        table.words[addressOf(table, 3) >> 2] = 7 << 4
        const refused = { code: 'LOCK_USAGE', message: /damaged.*owner 7/ }
        const waiting = (): number[] =>
          Array.from({ length: 8 }, (_, i) => i + 1).filter((id) => waitsForOf(table, id) !== 0)
        assert.throws(() => locks.lock(3), refused)
        assert.deepEqual(waiting(), [])
        assert.throws(() => locks.lockShared(3), refused)
        assert.deepEqual(waiting(), [])
        await assert.rejects(
          locks.holdAsync([3], () => {}),
          refused,
        )
        assert.deepEqual(waiting(), [])
      }
    })

    it(`gives a new owner no wait that its slot still contains (${memory})`, () => {
      const locks = SharedLocks.create({ count: COUNT, memory })
      const table = openTable(locks.handle)
      table.words[(slotOf(table, 2) + SLOT.waitsFor) >> 2] = addressOf(table, 3)
      assert.equal(SharedLocks.open(locks.handle).thread, 2)
      assert.equal(waitsForOf(table, 2), 0)
    })
  }
})
