/** Requests that wait for a guard of code around them, which another branch of that code may release. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Guard, LockManager } from '../../src/index.ts'
import { rounds, settle } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { watched } from './tools.ts'

/** Forms of requesting `c` in a callback that has a guard of it. */
const FORMS: Readonly<Record<string, (locks: LockManager) => Promise<unknown>>> = {
  'in its own callback': async (locks) => await locks.request('c', () => 'granted'),
  'in the callback of a nested request': async (locks) =>
    await locks.request('x', async () => await locks.request('c', () => 'granted')),
  'two requests further inside': async (locks) =>
    await locks.request(
      'x',
      async () => await locks.request('y', async () => await locks.request('c', () => 'granted')),
    ),
  'in the callback of a nested request, which returns the promise': (locks) =>
    locks.request('x', () => locks.request('c', () => 'granted')),
  'with an owner': async (locks) => await locks.request('c', { owner: {} }, () => 'granted'),
  'with an owner in the callback of a nested request': async (locks) =>
    await locks.request('x', async () => await locks.request('c', { owner: {} }, () => 'granted')),
  'in the callback of an owner’s request': async (locks) =>
    await locks.request('x', { owner: {} }, async () => await locks.request('c', () => 'granted')),
  'in the callback of another manager': async (locks) =>
    await new LockManager().request('x', async () => await locks.request('c', () => 'granted')),
}

describe('a request for a lock that a guard of the code around it holds', {
  timeout: 30_000,
}, () => {
  for (const [form, ask] of Object.entries(FORMS)) {
    for (const deadlockVictims of ['proved', 'likely'] as const) {
      it(`is suspected, and granted when a branch releases it: ${form} (${deadlockVictims})`, async () => {
        const { locks, kinds } = watched({ deadlockVictims })
        let guard: Guard | undefined
        const outcome = locks.request('root', async () => {
          guard = await locks.acquire('c')
          return await ask(locks)
        })
        await rounds()
        assert.deepEqual(kinds, ['suspected'])
        guard?.release()
        assert.equal(await outcome, 'granted')
      })
    }
  }

  itIfProved('is a victim if the guard and the request around have one owner', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    const guard = await locks.acquire('c', { owner })
    const outcome = locks.request('x', { owner }, async () => await locks.request('c', () => {}))
    await assert.rejects(outcome, { name: 'DeadlockError' })
    assert.deepEqual(kinds, ['deadlock'])
    guard.release()
  })

  it('is suspected if the guard has an owner that the request in between does not name', async () => {
    const { locks, kinds } = watched()
    const owner = {}
    let guard: Guard | undefined
    const outcome = locks.request('root', { owner }, async () => {
      guard = await locks.acquire('c', { owner })
      return await locks.request('x', async () => await locks.request('c', () => 'granted'))
    })
    await rounds()
    assert.deepEqual(kinds, ['suspected'])
    guard?.release()
    assert.equal(await outcome, 'granted')
    await settle()
  })
})
