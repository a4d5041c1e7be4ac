/** A table of locks in `util.inspect`. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { SharedLocks, shared } from '../../../src/backends/threads/index.ts'

/** Formats a value on one line. */
function shown(value: unknown, options: object = {}): string {
  return inspect(value, { breakLength: Infinity, ...options })
}

describe('util.inspect of SharedLocks', () => {
  for (const memory of ['wasm', 'buffer'] as const) {
    it(`shows the table’s options, and the locks that this thread holds (${memory})`, () => {
      const locks = SharedLocks.create({ count: 8, memory, label: 'teller 3' })
      const table = "count: 8, recordBytes: 64, order: 'ascending', label: 'teller 3', thread: 1"
      assert.equal(shown(locks), `SharedLocks { ${table}, holds: [] }`)
      locks.hold([5, 2, shared(3)], () => {
        const holds = 'holds: [ 2, 3, 5 ], holdsShared: [ 3 ]'
        assert.equal(shown(locks), `SharedLocks { ${table}, ${holds} }`)
      })
      locks.close()
      assert.equal(shown(locks), `SharedLocks { ${table}, closed: true }`)
    })
  }

  it('shows stripes, re-entrancy and order where they are not the default', () => {
    const locks = SharedLocks.create({ count: 8, stripes: 2, order: 'free', reentrant: true })
    assert.equal(
      shown(locks),
      "SharedLocks { count: 8, stripes: 2, recordBytes: 64, order: 'free', reentrant: true, " +
        "label: 'thread 1', thread: 1, holds: [] }",
    )
    locks.close()
  })

  it('shows the locks that asynchronous holdings of this thread hold and wait for', async () => {
    const locks = SharedLocks.create({ count: 4 })
    let release = (): void => {}
    const holding = locks.holdAsync([1], () => new Promise<void>((resolve) => (release = resolve)))
    const waiting = locks.holdAsync([0, shared(1)], () => {})
    const bothShown =
      /asynchronous: \[ .*holds: \[ 1 \].*holds: \[ 0 \], waitsFor: 1, waitsAs: 'shared'/
    for (let turn = 0; turn < 1000 && !bothShown.test(shown(locks, { depth: 3 })); turn++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.match(shown(locks, { depth: 3 }), bothShown)
    release()
    await Promise.all([holding, waiting])
    assert.match(shown(locks), /holds: \[\] }$/)
    locks.close()
  })

  it('respects depth', () => {
    const locks = SharedLocks.create({ count: 2 })
    locks.hold([1], () => {
      assert.equal(shown({ locks }, { depth: 0 }), '{ locks: [SharedLocks] }')
      assert.match(shown(locks, { depth: 0 }), /^SharedLocks \{ count: 2.* holds: \[Array\] \}$/)
      assert.match(shown({ a: { locks } }, { depth: 2 }), /holds: \[Array\]/)
      for (const depth of [3, 4, null, Infinity]) {
        assert.match(shown({ a: { locks } }, { depth }), /holds: \[ 1 \]/)
      }
    })
    locks.close()
  })

  it('never throws, and escapes the label', () => {
    const locks = SharedLocks.create({ count: 2, label: '\u202e\u001b[31m' })
    assert.match(shown(locks), /label: '\\\\u202e\\\\u001b\[31m'/)
    const custom = Symbol.for('nodejs.util.inspect.custom')
    const method = Reflect.get(locks, custom)
    for (const it of [SharedLocks.prototype, {}, new Proxy(locks, {}), null, undefined]) {
      assert.equal(Reflect.apply(method, it, [2, {}, inspect]), 'SharedLocks {}')
    }
    assert.match(Reflect.apply(method, locks, []), /^SharedLocks \{"count":2,/)
    assert.deepEqual(Object.keys(locks), [])
    new Uint8Array((locks.handle.memory as WebAssembly.Memory).buffer).fill(255)
    assert.match(shown(locks), /damaged: '/)
  })
})
