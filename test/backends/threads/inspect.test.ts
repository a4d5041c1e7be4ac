/** A table as `util.inspect` shows it. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { inspect } from 'node:util'
import { SharedLocks, shared } from '../../../src/backends/threads/index.ts'

it('inspect shows of a table its locks, and the owners that hold or wait', async () => {
  const locks = SharedLocks.create({ count: 16 })
  assert.equal(inspect(locks), 'SharedLocks { thread 1: 16 locks }')
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const holds = locks.holdAsync([3, shared(7)], () => ended)
  const waits = locks.holdAsync([3], () => {})
  while (!inspect(locks).includes('waits')) await new Promise(setImmediate)
  assert.equal(
    inspect(locks),
    'SharedLocks { thread 1: 16 locks; thread 1 (task 1) holds lock 3, lock 7 (shared); ' +
      'thread 1 (task 2) waits for lock 3 }',
  )
  end()
  await holds
  await waits
  locks.close()
  assert.equal(inspect(locks), 'SharedLocks { closed }')
  assert.equal(inspect(Object.create(SharedLocks.prototype)), 'SharedLocks {}')
})
