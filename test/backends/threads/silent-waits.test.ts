/**
 * No wait in shared memory is silent: long waits are reported, and requests that can never be granted are
 * refused.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type LockTimeoutError,
  type LongWaitReport,
  type OpenOptions,
  SharedLocks,
} from '../../../src/backends/threads/index.ts'
import { longWaitText } from '../../../src/core/report-text.ts'
import { runNode } from '../../spawn.ts'
import { gate, until } from '../../waiting.ts'
import { holdTooLong } from './blocked-main.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags, startThread, untilWaiting } from './threads.ts'

const entry = JSON.stringify(
  new URL('../../../src/backends/threads/index.js', import.meta.url).href,
)

/** Runs a program with a worker that holds lock 1 until the main thread has waited for longWaitMs. */
function runBlocked(memory: string, work: string, args: readonly string[] = []): string {
  const longWaitMs = 150
  const worker = holdTooLong('asker', longWaitMs)
  const program = `
    import { Worker } from 'node:worker_threads'
    import { SharedLocks } from ${entry}
    const locks = SharedLocks.create(
      { count: 4, memory: '${memory}', label: 'main', longWaitMs: ${longWaitMs} })
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: locks.handle })
    await new Promise((resolve) => worker.once('message', resolve))
    ${work}`
  const { stderr, status } = runNode([...args, '--input-type=module', '--eval', program], {
    timeoutMs: 60_000,
  })
  assert.equal(status, 0, stderr)
  return stderr
}

for (const memory of ['wasm', 'buffer'] as const) {
  const create = (options: OpenOptions = {}, owners = 8): SharedLocks =>
    SharedLocks.create({ count: 8, memory, order: 'free', owners, label: 'main', ...options })

  describe(`long waits (${memory})`, { timeout: 120_000 }, () => {
    it('never report the time of an earlier holding', async () => {
      const locks = create()
      await locks.holdAsync(1, () => {})
      const ended = performance.now()
      await until(() => performance.now() - ended > 5)
      const begun = performance.now()
      const first = locks.holdAsync(1, () => {})
      const second = locks.holdAsync(1, { timeoutMs: 0 }, assert.fail)
      await assert.rejects(second, ({ holders }: LockTimeoutError) => {
        const [holder] = holders ?? []
        const { heldMs = 0 } = holder as { readonly heldMs?: number }
        const mostMs = performance.now() - begun
        assert.ok(heldMs <= mostMs, `${heldMs} ms, and began at most ${mostMs} ms ago`)
        return true
      })
      await first
      locks.close()
    })

    it('of a blocked main thread are written while it blocks', () => {
      const stderr = runBlocked(
        memory,
        `const { writeSync } = await import('node:fs')
        locks.hold(1, function here() { writeSync(2, 'held\\n') })`,
      )
      assert.match(stderr, /LockwiseWarning: main \(thread 1\) has waited for \d+ ms for lock 1/)
      assert.match(stderr, /held by asker \(thread 2, seen holding it for \d+ ms\)/)
      assert.match(
        stderr,
        /blocks the main thread's event loop. If asker needs it .* use holdAsync/,
      )
      assert.match(stderr, /waits at\n {4}file:.*eval/)
      assert.ok(stderr.indexOf('LockwiseWarning') < stderr.indexOf('held\n'))
    })

    it('are not written where the program disables warnings', () => {
      assert.equal(runBlocked(memory, 'locks.hold(1, () => {})', ['--no-warnings']), '')
    })

    it('are reported once for a lock, then at growing intervals', async () => {
      const reports: LongWaitReport[] = []
      const locks = create({ longWaitMs: 20, onLongWait: (report) => reports.push(report) })
      const flags = newFlags()
      const holding = inThread(locks, 'holdUntilFlag', { flags, indices: [1] }, 'holder')
      await flagIsSet(flags, 0)
      const waiting = Array.from({ length: 5 }, () => locks.holdAsync(1, () => {}))
      await until(() => reports.length >= 2)
      setFlag(flags, 1, 1)
      await Promise.all([holding, ...waiting])
      const [first, second] = reports as [LongWaitReport, LongWaitReport]
      // Another waiter, which has waited for less long, may make the second report.
      const betweenMs = second.sinceMs + second.waitedMs - (first.sinceMs + first.waitedMs)
      assert.ok(betweenMs >= first.waitedMs - 0.001, `${betweenMs} after ${first.waitedMs} ms`)
      const { holders, waitsAt = '', ...rest } = first
      assert.deepEqual(
        { ...rest, sinceMs: 0, waitedMs: 0 },
        {
          version: 1,
          kind: 'long-wait',
          resource: 'lock',
          label: first.label,
          thread: 1,
          waitsFor: { name: 1, mode: 'exclusive', units: 1 },
          waiters: 5,
          sinceMs: 0,
          waitedMs: 0,
          isBlocked: false,
          isMainThread: true,
          holderCount: 1,
        },
      )
      assert.match(first.label, /main \(task \d\)/)
      assert.match(waitsAt, /silent-waits\.test/)
      const [{ label, thread, heldMs = 0, isSeen } = assert.fail()] = holders
      assert.deepEqual([label, thread, isSeen], ['holder', 2, true])
      // Measured from the waiter's first check, which can come late on a busy machine.
      assert.ok(heldMs >= 0 && heldMs <= first.waitedMs + 1, `${heldMs}, ${first.waitedMs}`)
    })

    it('name the lock that the holder itself waits for, with its call stack', async () => {
      const reports: LongWaitReport[] = []
      const locks = create({ longWaitMs: 0, onLongWait: (report) => reports.push(report) })
      const { opened, open } = gate()
      const root = locks.holdAsync(2, () => opened)
      const middle = locks.holdAsync(1, () => locks.holdAsync(2, () => {}))
      await untilWaiting(locks, 2)
      await assert.rejects(
        locks.holdAsync(1, { timeoutMs: 30 }, assert.fail),
        ({ message, holders, toJSON }: LockTimeoutError) => {
          assert.match(
            message,
            /lock 1, held by main \(task 2, thread 1, holds it for \d+ ms, requested at .*silent-waits.*, and a holdAsync inside it has waited for lock 2 for \d+ ms at .*silent-waits.*, held by main \(task 1, thread 1/,
          )
          const [holder] = holders ?? []
          assert.match(holder?.heldAt ?? '', /silent-waits/)
          assert.match(holder?.waits?.waitsAt ?? '', /silent-waits/)
          assert.equal(holder?.waits?.holders[0]?.label, 'main (task 1)')
          assert.ok(toJSON)
          return true
        },
      )
      open()
      await Promise.all([root, middle])
      const isForLock1 = (report: LongWaitReport): boolean =>
        report.resource === 'lock' && report.waitsFor.name === 1
      const report = reports.find(isForLock1) ?? assert.fail()
      assert.equal(report.holders[0]?.waits?.waitsFor.name, 2)
      assert.match(
        longWaitText(report),
        /What to do: code of this same thread holds the lock \(main \(task 2\)\): it must release it without/,
      )
    })

    it('name the readers in the way, with their ages', async () => {
      const locks = create({ longWaitMs: Number.POSITIVE_INFINITY })
      const flags = newFlags()
      const reading = inThread(locks, 'holdUntilFlag', { flags, indices: [], reads: 1 }, 'reader')
      await flagIsSet(flags, 0)
      assert.throws(() => locks.hold(1, { timeoutMs: 40 }, assert.fail), {
        name: 'LockTimeoutError',
        message: /held by reader \(thread 2, seen holding it shared for \d+ ms\)/,
      })
      setFlag(flags, 1, 1)
      await reading
    })

    it('are not reported with longWaitMs: Infinity, nor before longWaitMs', async () => {
      const reports: LongWaitReport[] = []
      const onLongWait = (report: LongWaitReport): unknown => reports.push(report)
      for (const longWaitMs of [Number.POSITIVE_INFINITY, 60_000]) {
        const locks = create({ longWaitMs, onLongWait })
        const other = SharedLocks.open(locks.handle)
        await locks.holdAsync(1, async () => {
          await assert.rejects(other.holdAsync(1, { timeoutMs: 20 }, assert.fail))
        })
      }
      assert.deepEqual(reports, [])
    })

    it('refuse a wrong option', () => {
      for (const longWaitMs of [-1, Number.NaN, '5' as never]) {
        assert.throws(() => create({ longWaitMs }), { code: 'LOCK_USAGE', message: /longWaitMs/ })
      }
      assert.throws(() => create({ onLongWait: 3 as never }), { message: /onLongWait must be a f/ })
    })
  })

  describe(`a holdAsync without an owner (${memory})`, { timeout: 60_000 }, () => {
    it('is refused at once where threads have all owners', async () => {
      const message =
        /can never begin: the table's one owner slot is in use: main \(thread 1\).*more owners/
      const refused = { code: 'LOCK_USAGE', message }
      await assert.rejects(create({}, 1).holdAsync(1, assert.fail), refused)
      const locks = create({}, 2)
      const other = SharedLocks.open(locks.handle, { label: 'other' })
      for (const each of [locks, other]) {
        await assert.rejects(each.holdAsync(1, assert.fail), {
          code: 'LOCK_USAGE',
          message:
            /all 2 owner slots of the table are in use: main \(thread 1\), other \(thread 2\)/,
        })
      }
      other.close()
      assert.equal(await locks.holdAsync(1, () => 'held'), 'held')
    })

    it('gets the owner of a thread that has ended', async () => {
      const locks = create({}, 2)
      const flags = newFlags()
      const { worker, answer } = startThread(locks, 'holdUntilFlag', { flags, indices: [] })
      await flagIsSet(flags, 0)
      await Promise.all([worker.terminate(), assert.rejects(answer)])
      assert.equal(await locks.holdAsync(1, () => 'held'), 'held')
    })

    it('is reported while it waits, and names the owners’ threads when it gives up', async () => {
      const reports: LongWaitReport[] = []
      const locks = create({ longWaitMs: 10, onLongWait: (report) => reports.push(report) }, 2)
      const { opened, open } = gate()
      const task = locks.holdAsync(1, () => opened)
      const waits = locks.holdAsync(2, () => {})
      await until(() => reports.length > 0)
      await assert.rejects(locks.holdAsync(2, { timeoutMs: 1 }, assert.fail), {
        code: 'LOCK_TIMEOUT',
        message: /could not begin within 1 ms: all 2 .*main \(task 1, thread 1/,
      })
      open()
      await Promise.all([task, waits])
      const [{ resource, holderCount, waitsAt = '' } = assert.fail()] = reports
      assert.deepEqual([resource, holderCount], ['owner', 2])
      assert.match(waitsAt, /silent-waits/)
    })
  })
}
