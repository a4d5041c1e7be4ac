/** A stolen lock: its holder learns of it and who stole it, and can stop. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Guard, type Lock, LockLostError, LockManager } from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { state } from './tools.ts'

/** A holder, and the arguments of its callback. */
async function victimOf(
  locks: LockManager,
  name: string,
): Promise<{ readonly lock: Lock; readonly done: Promise<unknown>; end(): void }> {
  const [begun, end] = [gate(), gate()]
  let got: Lock | undefined
  const done = locks.request(name, { label: 'VICTIM' }, async (lock) => {
    got = lock
    begun.open()
    await end.opened
  })
  done.catch(() => {})
  await begun.opened
  return { lock: got as Lock, done, end: end.open }
}

async function steal(locks: LockManager, name: string): Promise<unknown> {
  return await locks.request(name, { steal: true, label: 'THIEF' }, () => 'stolen')
}

const expected = (error: unknown): true => {
  assert.ok(error instanceof DOMException)
  assert.equal(error.name, 'AbortError')
  assert.match(error.message, /THIEF.* has stolen 'a' from VICTIM/)
  assert.ok(error.cause instanceof LockLostError)
  assert.equal(error.cause.code, 'LOCK_LOST')
  assert.match(error.cause.message, /^VICTIM.* has lost 'a', stolen by THIEF/)
  return true
}

describe('a stolen lock', { timeout: 60_000 }, () => {
  it('rejects its holder with an AbortError that has a LockLostError as its cause', async () => {
    const locks = new LockManager()
    const { done, end } = await victimOf(locks, 'a')
    assert.equal(await steal(locks, 'a'), 'stolen')
    await assert.rejects(done, expected)
    end()

    const early = locks.request('a', { label: 'VICTIM' }, () => {})
    const thief = steal(locks, 'a')
    await assert.rejects(early, expected)
    await thief
    assert.deepEqual(await state(locks), { held: [], pending: [] })
  })

  it('is named in the error, which says that all locks of the request are lost', async () => {
    const locks = new LockManager()
    const end = gate()
    const done = locks.request(['a', 'b'], { label: 'VICTIM' }, () => end.opened)
    await settle()
    await steal(locks, 'a')
    await assert.rejects(done, /THIEF.* has stolen 'a' from VICTIM, which has lost 'a', 'b'\. /)
    end.open()
  })

  it('gives the stack of its own call, and that of the thief in the cause', async () => {
    const locks = new LockManager({ callSites: 'always' })
    const { done, end } = await victimOf(locks, 'a')
    await steal(locks, 'a')
    const error = (await done.catch((reason) => reason)) as DOMException & { cause: Error }
    assert.match(error.stack ?? '', /^AbortError: .*\n.*\bvictimOf\b.*stolen\.test/)
    // On Bun, the caller has left the stack by then. The stack begins with a call inside lockwise.
    const begin =
      'Bun' in globalThis ? /\bsteal\b/ : /^LockLostError: .*\n.*\bsteal\b.*stolen\.test/
    assert.match(error.cause.stack ?? '', begin)
    assert.match(error.message, /THIEF \(.*\bsteal\b.*stolen\.test.*\) has stolen/)
    end()

    const silent = new LockManager({ callSites: 'never' })
    const other = await victimOf(silent, 'a')
    await steal(silent, 'a')
    const { message, stack } = (await other.done.catch((reason) => reason)) as DOMException
    assert.equal(stack, `AbortError: ${message}`)
    other.end()
  })

  it('is no longer held, and aborts its signal outside of the thief', async () => {
    const locks = new LockManager()
    const { lock, done, end } = await victimOf(locks, 'a')
    const { signal } = lock
    assert.equal(lock.signal, signal)
    assert.deepEqual([lock.held, signal.aborted], [true, false])
    const heard: string[] = []
    signal.addEventListener('abort', () => {
      // This request belongs to no holder. Inside the thief's holder it would be a deadlock.
      heard.push('abort')
      void locks.request('thief', () => heard.push('granted'))
    })
    await locks.request('thief', async () => {
      const thief = steal(locks, 'a')
      assert.deepEqual([lock.held, heard], [false, []])
      await thief
      await settle()
      assert.deepEqual(heard, ['abort'])
    })
    await assert.rejects(done, expected)
    expected(signal.reason)
    await settle()
    assert.deepEqual(heard, ['abort', 'granted'])
    end()
  })

  it('is reported to a guard, and to code that checks later', async () => {
    const locks = new LockManager()
    const guards: Guard[] = []
    for (const isEarly of [true, false]) {
      const guard = await locks.acquire('a', { label: 'VICTIM' })
      const { signal } = isEarly ? guard : {}
      await steal(locks, 'a')
      assert.equal(guard.held, false)
      assert.equal(guard.signal.aborted, true)
      if (signal) assert.equal(signal, guard.signal)
      expected(guard.signal.reason)
      guards.push(guard)
    }
    for (const guard of guards) guard.release()
  })

  it('is not held in a callback that had not begun', async () => {
    const locks = new LockManager()
    const seen: unknown[] = []
    const early = locks.request('a', { label: 'VICTIM' }, (lock) => {
      seen.push(lock.name, lock.held, lock.signal.aborted)
    })
    await Promise.all([assert.rejects(early, expected), steal(locks, 'a')])
    assert.deepEqual(seen, ['a', false, true])
  })

  it('does not abort the signal of a holding that ends', async () => {
    const locks = new LockManager()
    const lock = await locks.request('a', (lock) => {
      assert.equal(lock.held, true)
      assert.equal(lock.signal.aborted, false)
      return lock
    })
    await steal(locks, 'a')
    await settle()
    assert.deepEqual([lock.held, lock.signal.aborted], [false, false])
  })
})
