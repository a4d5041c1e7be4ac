/**
 * Errors of holdAsync begin at the line that called it, although they are made after that call has returned.
 * Errors of the program's own code keep their stacks.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { gate } from '../../waiting.ts'
import { flagIsSet, newFlags, startThread } from './threads.ts'

/** Checks that the error of a call begins in `askedHere` with its name and message. */
async function beginsAtCaller(call: () => unknown, code: string): Promise<void> {
  async function askedHere(): Promise<void> {
    await call()
  }
  await assert.rejects(askedHere(), (error: Error & { code?: string }) => {
    assert.equal(error.code, code)
    const [heading, first, second] = (error.stack ?? '').split('\n')
    assert.equal(heading, `${error.name}: ${error.message}`)
    assert.match(first ?? '', /call-sites\.test\.js:\d+:\d+/)
    assert.match(second ?? '', /^ {4}at askedHere .*call-sites\.test\.js/)
    assert.doesNotMatch(error.stack ?? '', /backends[\\/]threads[\\/](?!call-sites)/)
    return true
  })
}

for (const memory of ['wasm', 'buffer'] as const) {
  for (const order of ['ascending', 'free'] as const) {
    const create = (owners = 8): SharedLocks =>
      SharedLocks.create({ count: 4, memory, order, owners, label: 'main' })

    describe(`an error of holdAsync (${memory}, ${order})`, { timeout: 20_000 }, () => {
      it('begins its stack at the caller after a timeout', async () => {
        const locks = create()
        const end = gate()
        const holding = locks.holdAsync(1, () => end.opened)
        const late = (): Promise<unknown> => locks.holdAsync([1], { timeoutMs: 5 }, assert.fail)
        await beginsAtCaller(late, 'LOCK_TIMEOUT')
        end.open()
        await holding
      })

      it('begins its stack at the caller for a lock that the caller holds', async () => {
        const locks = create()
        await locks.holdAsync(1, () =>
          beginsAtCaller(() => locks.holdAsync(1, assert.fail), 'LOCK_DEADLOCK'),
        )
      })

      it('begins its stack at the caller for an owner that is never released', async () => {
        const locks = create(1)
        await beginsAtCaller(() => locks.holdAsync(1, assert.fail), 'LOCK_USAGE')
      })

      it('begins its stack at the caller for wrong arguments', async () => {
        const locks = create()
        await beginsAtCaller(() => locks.holdAsync(4, assert.fail), 'LOCK_USAGE')
        await beginsAtCaller(() => locks.holdAsync('1' as never, assert.fail), 'LOCK_USAGE')
        const iterator = { [Symbol.iterator]: 5 } as never
        await beginsAtCaller(() => locks.holdAsync(iterator, assert.fail), 'LOCK_USAGE')
        await beginsAtCaller(() => locks.holdAsync(1, undefined as never), 'LOCK_USAGE')
      })

      it('begins its stack at the caller where the owner died', async () => {
        const locks = create()
        const flags = newFlags()
        const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [1] })
        await flagIsSet(flags, 0)
        await Promise.all([worker.terminate(), assert.rejects(answer)])
        await beginsAtCaller(() => locks.holdAsync(1, assert.fail), 'LOCK_OWNER_DIED')
      })

      it('is the callback’s own error where the callback throws', async () => {
        const locks = create()
        const others = create()
        let stack: string | undefined
        const fails = locks.holdAsync(1, async () => {
          try {
            others.unlock(1)
          } catch (error) {
            stack = (error as Error).stack
            throw error
          }
        })
        await assert.rejects(fails, (error: Error) => error.stack === stack)
      })
    })
  }

  it(`a call passes on the error of onOwnerDied unchanged (${memory})`, async () => {
    const others = SharedLocks.create({ count: 4, memory })
    let stack: string | undefined
    const onOwnerDied = (): void => {
      try {
        others.unlock(1)
      } catch (error) {
        stack = (error as Error).stack
        throw error
      }
    }
    const locks = SharedLocks.create({ count: 4, memory, onOwnerDied })
    const flags = newFlags()
    const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [1] })
    await flagIsSet(flags, 0)
    await Promise.all([worker.terminate(), assert.rejects(answer)])
    const isAsItWas = (error: Error): boolean => error.stack === stack
    assert.throws(() => locks.hold(1, assert.fail), isAsItWas)
    assert.throws(() => locks.tryHold(1, assert.fail), isAsItWas)
    assert.throws(() => locks.holdAll(assert.fail), isAsItWas)
    await assert.rejects(locks.holdAsync(1, assert.fail), isAsItWas)
  })

  it(`errors of create, open, view and close begin at the caller (${memory})`, async () => {
    const locks = SharedLocks.create({ count: 4, memory, owners: 1 })
    const usage = (call: () => unknown): Promise<void> => beginsAtCaller(call, 'LOCK_USAGE')
    await usage(() => SharedLocks.create({ count: -1, memory }))
    await usage(() => SharedLocks.create({ count: 4, memory, label: 5 as never }))
    await usage(() => SharedLocks.create({ count: 4, memory: 'none' as never }))
    await usage(() => SharedLocks.open({} as never))
    await usage(() => SharedLocks.open(locks.handle))
    await usage(() => locks.view(5 as never))
    locks.lock(1)
    await usage(() => locks.close())
    locks.unlock(1)
    const holding = locks.holdAsync(1, () => usage(() => locks.close())).catch(() => {})
    await usage(() => locks.close())
    await holding
  })

  it(`the error for a callback that returned a promise begins at the caller (${memory})`, async () => {
    const locks = SharedLocks.create({ count: 4, memory })
    const callable = Object.assign(() => {}, {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
      then: (resolve: (value: number) => void) => resolve(1),
    })
    for (const result of [Promise.resolve(), Promise.reject(new Error('no one hears')), callable]) {
      const fn = (): never => result as never
      for (const call of [
        () => locks.hold(1, fn),
        () => locks.tryHold(1, fn),
        () => locks.holdPair(1, 2, fn),
        () => locks.holdAll(fn),
      ]) {
        await beginsAtCaller(call, 'LOCK_USAGE')
      }
    }
  })

  it(`an error against the order begins at the caller (${memory})`, async () => {
    const locks = SharedLocks.create({ count: 4, memory })
    await locks.holdAsync(2, () =>
      beginsAtCaller(() => locks.holdAsync(1, assert.fail), 'LOCK_ORDER'),
    )
  })
}
