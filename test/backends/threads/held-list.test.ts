/** The list of the locks that an owner holds: the cost of queries. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { takeAtOnce } from '../../../src/backends/threads/acquire.ts'
import { holdsFrom } from '../../../src/backends/threads/held-list.ts'
import { THREAD_SLOT } from '../../../src/backends/threads/layout.ts'
import { tryRegisterOwner } from '../../../src/backends/threads/register-owner.ts'
import { createTable } from '../../../src/backends/threads/table.ts'

for (const shared of [[], [999], [1000], [0, 1000]]) {
  it(`the held list gives its highest lock without a walk (shared: ${shared.join(' and ') || 'none'})`, () => {
    const table = createTable({ count: 2000, owners: 2 }, 'buffer')
    const owner = tryRegisterOwner(table, undefined, { kind: THREAD_SLOT })
    assert.ok(owner)
    for (let lock = 0; lock <= 1000; lock++) {
      const mode = shared.includes(lock) ? 'shared' : 'exclusive'
      assert.ok(takeAtOnce(table, owner, lock, mode, 0))
    }
    let reads = 0
    const words = new Proxy(table.words, {
      get: (target, at) => {
        reads++
        return Reflect.get(target, at)
      },
    })
    const answers = [0, 999, 1000, 1001].map((lock) => holdsFrom({ ...table, words }, owner, lock))
    assert.deepEqual(answers, [true, true, true, false])
    assert.ok(reads < 20, `${reads} reads`)
  })
}
