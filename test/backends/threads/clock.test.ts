/**
 * Time limits in shared memory follow the runtime's clock: a test runner's mocked clock stops while a thread
 * blocks.
 */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import FakeTimers, { type Clock } from '@sinonjs/fake-timers'
import { LockTimeoutError, SharedLocks } from '../../../src/backends/threads/index.ts'
import { runNode } from '../../spawn.ts'
import { gate } from '../../waiting.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags } from './threads.ts'

const clockUrl = new URL('../../../src/core/clock.js', import.meta.url).href

for (const memory of ['wasm', 'buffer'] as const) {
  describe(`under fake timers (${memory})`, { timeout: 20_000 }, () => {
    const flags = newFlags()
    let locks: SharedLocks
    let holding: Promise<void>
    let clock: Clock | undefined

    beforeEach(async () => {
      locks = SharedLocks.create({ count: 4, memory, owners: 3 })
      flags.fill(0)
      holding = inThread(locks, 'holdUntilFlag', { flags, indices: [1] })
      await flagIsSet(flags, 0)
      clock = FakeTimers.install()
    })

    afterEach(async () => {
      clock?.uninstall()
      setFlag(flags, 1, 1)
      await holding
    })

    it('a blocking wait ends with its timeoutMs', () => {
      assert.throws(() => locks.hold([1], { timeoutMs: 30 }, assert.fail), LockTimeoutError)
      assert.throws(() => locks.hold([1], { timeoutMs: 130 }, assert.fail), LockTimeoutError)
    })

    it('an asynchronous wait ends with its timeoutMs', async () => {
      await assert.rejects(locks.holdAsync([1], { timeoutMs: 30 }, assert.fail), LockTimeoutError)
    })

    it('an asynchronous wait for an owner of the table ends', async () => {
      const waiting = locks.holdAsync([2], () => locks.holdAsync([3], { timeoutMs: 5 }, () => 1))
      await assert.rejects(waiting, { code: 'LOCK_USAGE' })
      const { opened, open } = gate()
      const task = locks.holdAsync([2], () => opened)
      const late = locks.holdAsync([3], { timeoutMs: 30 }, assert.fail)
      await assert.rejects(late, LockTimeoutError)
      const next = locks.holdAsync([3], () => 'held')
      open()
      assert.equal(await next, 'held')
      await task
    })
  })
}

for (const [name, fake] of [
  ['fake timers', "(await import('@sinonjs/fake-timers')).default.install()"],
  ['another performance.now', 'performance.now = () => 5'],
] as const) {
  it(`the clock advances where ${name} was installed before lockwise`, () => {
    const program = `
      ${fake}
      const { elapsedMs } = await import(${JSON.stringify(clockUrl)})
      const begun = elapsedMs()
      for (let i = 0; i < 1e7 && elapsedMs() === begun; i++);
      console.log(elapsedMs() > begun)`
    const cwd = fileURLToPath(new URL('.', import.meta.url))
    const { stdout } = runNode(['--input-type=module', '--eval', program], { cwd })
    assert.equal(stdout, 'true\n')
  })
}
