/** Runs the contract on a backend that answers late, and checks that every member of the port is used. */

import assert from 'node:assert/strict'
import { after, it } from 'node:test'
import type { Backend } from '../../src/backends/backend.ts'
import { LockManager } from '../../src/index.ts'
import { settle, until } from '../waiting.ts'
import { contractOf } from './contract.ts'
import { ToyBackend } from './toy-backend.ts'

const used = new Set<string>()

contractOf({ name: 'a toy that answers late', make: () => recording(new ToyBackend(), used) })

it('a request learns that it has lost its lock', async () => {
  const toy = new ToyBackend()
  const locks = new LockManager({ backend: toy })
  let reason: unknown
  const lost = locks.request('a', { label: 'the loser' }, async (lock) => {
    lock.signal.addEventListener('abort', () => {
      reason = lock.signal.reason
    })
    toy.lose('a', new Error('the connection is gone'))
    await settle()
    assert.equal(lock.held, false)
  })
  await assert.rejects(lost, (error: Error) => {
    assert.equal((error as { code?: string }).code, 'LOCK_LOST')
    assert.match(error.message, /the loser.*has lost 'a': the connection is gone/)
    return true
  })
  assert.equal((reason as { code?: string }).code, 'LOCK_LOST')
  await locks.request('a', { timeoutMs: 1000 }, () => {})
})

it('a waiting request is rejected with the error of its store', async () => {
  const toy = new ToyBackend()
  const locks = new LockManager({ backend: toy })
  const guard = await locks.acquire('a')
  const waiting = locks.acquire('a')
  const error = new Error('the store forgets who waits')
  const rejected = assert.rejects(waiting, error)
  await until(() => toy.lock('a').waiting === 1)
  toy.failWaiting('a', error)
  await rejected
  await guard[Symbol.asyncDispose]()
})

it('the disposal of a guard waits for its release', async () => {
  const toy = new ToyBackend()
  const locks = new LockManager({ backend: toy })
  const guard = await locks.acquire('a')
  assert.equal(toy.isHeld('a'), true)
  await guard[Symbol.asyncDispose]()
  assert.equal(toy.isHeld('a'), false)
})

after(() => {
  const members = [
    ...['supports', 'attach', 'node', 'acquire', 'cancel', 'release', 'blockers', 'locks', 'lock'],
    ...['query', 'close'],
    ...['host.report', 'host.prove', 'host.deadlockAfterMs', 'host.deadlockVictims'],
  ]
  assert.deepEqual(
    members.filter((member) => !used.has(member)),
    [],
    'members of the port that nothing has used',
  )
})

/** Wraps a backend so that the names of the members that are used are added to a set. */
function recording(backend: ToyBackend, names: Set<string>): Backend {
  const watched = <Target extends object>(target: Target, prefix: string): Target =>
    new Proxy(target, {
      get(_, member) {
        names.add(prefix + String(member))
        const value: unknown = Reflect.get(target, member)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) =>
          value.apply(target, member === 'attach' ? [watched(args[0] as object, 'host.')] : args)
      },
      has: (_, member) => Reflect.has(target, member),
    })
  return watched(backend as Backend, '')
}
