/** Managers, guards and locks as `util.inspect` shows them. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { inspect } from 'node:util'
import { Guard, Lock, LockManager, shared } from '../../src/index.ts'

it('inspect shows the locks, label, age and call site of a guard, and how it ended', async () => {
  const locks = new LockManager()
  const guard = await locks.acquire(['b', shared('a')], { label: 'me' })
  assert.match(
    inspect(guard),
    /^Guard \{ 'a' \(shared\), 'b' \(exclusive\), held by me for \d+ ms, requested at .*inspect\.test.* \}$/,
  )
  guard.release()
  assert.equal(inspect({ guard }), "{ guard: Guard { 'a' (shared), 'b' (exclusive), released } }")
  const stolen = await locks.acquire('a')
  await locks.request('a', { steal: true }, () => {})
  assert.equal(inspect(stolen), "Guard { 'a' (exclusive), stolen }")
})

it('inspect shows how many requests of a manager hold and wait, and the first of them', async () => {
  const locks = new LockManager()
  assert.equal(inspect(locks), 'LockManager { held: 0; waiting: 0 }')
  const guard = await locks.acquire('a', { label: 'me' })
  const waits = Array.from({ length: 5 }, () => locks.request('a', () => {}))
  assert.equal(
    inspect(locks),
    "LockManager { held: 1, 'a' (exclusive) by me; waiting: 5, 'a' (exclusive) by request 2, " +
      "'a' (exclusive) by request 3, 'a' (exclusive) by request 4, … }",
  )
  guard.release()
  await Promise.all(waits)
})

it('inspect shows the names and mode of a lock, and escapes them', async () => {
  const shown = await new LockManager().request(['b\n', 'a'], { mode: 'shared' }, (lock) =>
    inspect(lock),
  )
  assert.equal(shown, "Lock { 'a', 'b\\u000a' (shared) }")
})

it('inspect never throws: not for prototypes, proxies, or objects with one as their prototype', () => {
  for (const Class of [LockManager, Guard, Lock]) {
    const made = Object.create(Class.prototype) as object
    for (const value of [Class, Class.prototype, new Proxy(made, {}), made]) {
      assert.equal(typeof inspect(value, { showProxy: true }), 'string')
      assert.equal(typeof inspect(value), 'string')
    }
  }
})

it('query() gives the call site of each request that has one', async () => {
  const locks = new LockManager({ callSites: 'always' })
  const guard = await locks.acquire('a')
  const waits = locks.request('a', () => {})
  const { held, pending } = await locks.query()
  assert.match(held[0]?.callSite ?? '', /inspect\.test/)
  assert.match(pending[0]?.callSite ?? '', /inspect\.test/)
  guard.release()
  await waits
  const never = new LockManager({ callSites: 'never' })
  const other = await never.acquire('a')
  assert.ok(!Object.hasOwn((await never.query()).held[0] ?? {}, 'callSite'))
  other.release()
})
