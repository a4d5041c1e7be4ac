/** Waits for one of the table's owners: their order, their ends, and their cost. */

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { type LockTimeoutError, SharedLocks } from '../../../src/backends/threads/index.ts'
import { TASK_SLOT } from '../../../src/backends/threads/layout.ts'
import { type Owner, ownersIn } from '../../../src/backends/threads/owners.ts'
import { releaseOwner, tryRegisterOwner } from '../../../src/backends/threads/register-owner.ts'
import { createTable } from '../../../src/backends/threads/table.ts'
import { afterTimers, gate, settle, until } from '../../waiting.ts'
import { countOperations, operationsOf } from './operations.ts'
import { setFlag } from './programs.ts'
import { flagIsSet, inThread, newFlags } from './threads.ts'

const OWNERS = 20
/** The poller looks for a free owner this often: RETRY_MS in owner-wait.ts. */
const RETRY_MS = 10
/** After this many looks of the poller, one has checked for ended threads: NOTICE_MS in owner-wait.ts. */
const LOOKS = 12

/** Waits until the poller has looked this often. Its timers have the length of these, and are set before them. */
async function polls(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await afterTimers(RETRY_MS)
}

/**
 * Returns a table in which asynchronous holders have all owners except the thread's, until `open` is called.
 * The end of the test calls it too, because a failing test would otherwise wait forever.
 */
async function newFullTable(
  test: TestContext,
  owners = OWNERS,
): Promise<{
  locks: SharedLocks
  open: () => void
  holdings: Promise<unknown>
}> {
  const locks = SharedLocks.create({ count: owners + 4, owners, label: 'main' })
  const { opened, open } = gate()
  test.after(open)
  const holding = (_: unknown, lock: number): Promise<void> => locks.holdAsync(lock, () => opened)
  const holdings = Promise.all(Array.from({ length: owners - 1 }, holding))
  await settle()
  return { locks, open, holdings }
}

/** Counts how often code asks the system about threads. */
function countLookups(test: TestContext): () => number {
  const { mock: stat } = test.mock.method(fs, 'statSync')
  const { mock: fstat } = test.mock.method(fs, 'fstatSync')
  return () => stat.callCount() + fstat.callCount()
}

/** Counts the sleeps of tasks that end by time. */
function countSleepsOut(test: TestContext): () => number {
  const { waitAsync } = Atomics
  let count = 0
  const counting = (words: Int32Array, at: number, value: number, ms?: number): unknown => {
    const sleep = waitAsync(words, at, value, ms)
    if (sleep.async) void sleep.value.then((end) => end === 'timed-out' && count++)
    return sleep
  }
  test.mock.method(Atomics, 'waitAsync', counting as typeof waitAsync)
  return () => count
}

describe('holdAsync calls that wait for an owner', { timeout: 60_000 }, () => {
  it('get the owners that this thread gives back at once, in the order of the calls', async (test) => {
    const { locks, open, holdings } = await newFullTable(test, 3)
    const begun: number[] = []
    const waiting = Array.from({ length: 30 }, (_, i) =>
      locks.holdAsync(3 + (i % 2), () => void begun.push(i)),
    )
    await settle()
    assert.deepEqual(begun, [])
    // No polling timer runs before the microtasks do.
    open()
    for (let i = 0; i < 2000; i++) await undefined
    assert.ok(begun.length >= 10, `${begun.length} began`)
    await Promise.all([...waiting, holdings])
    assert.deepEqual(
      begun,
      begun.map((_, i) => i),
    )
    locks.close()
  })

  it('check the owners together, not each by itself', async (test) => {
    const { locks, open, holdings } = await newFullTable(test)
    const stop = countOperations()
    const waiting = Array.from({ length: 400 }, () => locks.holdAsync(OWNERS, () => {}))
    await polls(LOOKS)
    const operations = stop()
    // Each look checks all owners a few times.
    assert.ok(operations < (LOOKS + 2) * OWNERS * 20, `${operations} operations`)
    open()
    await Promise.all([...waiting, holdings])
  })

  it('ask the system about another thread once for all of them', async (test) => {
    const locks = SharedLocks.create({ count: 4, owners: 3 })
    const flags = newFlags()
    test.after(() => setFlag(flags, 1, 1))
    const other = inThread(locks, 'holdUntilFlag', { flags, indices: [] })
    await flagIsSet(flags, 0)
    const { opened, open } = gate()
    test.after(open)
    const holding = locks.holdAsync(0, () => opened)
    await settle()
    const lookups = countLookups(test)
    const waiting = Array.from({ length: 200 }, () => locks.holdAsync(1, () => {}))
    await polls(LOOKS)
    assert.ok(lookups() < waiting.length / 2, `${lookups()} lookups`)
    open()
    setFlag(flags, 1, 1)
    await Promise.all([...waiting, holding, other])
  })

  it('are not refused because of locks that the thread takes while they wait', async (test) => {
    const { locks, open, holdings } = await newFullTable(test, 2)
    const waiting = locks.holdAsync(2, () => 'held')
    await settle()
    locks.lock(3)
    await polls(4)
    locks.unlock(3)
    open()
    assert.equal(await waiting, 'held')
    await holdings
  })

  it('name the holders of all owners after timeoutMs', async (test) => {
    const { locks, open, holdings } = await newFullTable(test, 3)
    for (const timeoutMs of [0, 15]) {
      const late = [1, 2].map(() => locks.holdAsync(3, { timeoutMs }, assert.fail))
      for (const each of late) {
        await assert.rejects(each, ({ code, holders, message }: LockTimeoutError) => {
          assert.equal(code, 'LOCK_TIMEOUT')
          assert.match(message, new RegExp(`could not begin within ${timeoutMs} ms`))
          const labels = holders?.map(({ label }) => label)
          assert.deepEqual(labels, ['main', 'main (task 1)', 'main (task 2)'])
          return true
        })
      }
    }
    open()
    await holdings
  })
})

it('tasks that wait for one lock ask the system about its holder once for all of them', async (test) => {
  const locks = SharedLocks.create({ count: 4, owners: 300 })
  const flags = newFlags()
  test.after(() => setFlag(flags, 1, 1))
  const holder = inThread(locks, 'holdUntilFlag', { flags, indices: [1] })
  await flagIsSet(flags, 0)
  const lookups = countLookups(test)
  const sleeps = countSleepsOut(test)
  const waiting = Array.from({ length: 200 }, () => locks.holdAsync(1, () => {}))
  // Each looks at the holder after a sleep that ended by time.
  await until(() => sleeps() >= 2 * waiting.length)
  assert.ok(lookups() < waiting.length / 2, `${lookups()} lookups`)
  setFlag(flags, 1, 1)
  await Promise.all([...waiting, holder])
})

it('the search for a free owner continues where the last one ended', () => {
  const owners = 2000
  const table = createTable({ count: 2, owners }, 'buffer')
  const register = (): Owner => {
    const owner = tryRegisterOwner(table, 'a task', { kind: TASK_SLOT })
    assert.ok(owner)
    return owner
  }
  let all: Owner[] = []
  const filling = operationsOf(() => {
    all = Array.from({ length: owners }, register)
  })
  assert.ok(filling < owners * 20, `${filling} operations`)
  assert.equal(tryRegisterOwner(table, 'one more', { kind: TASK_SLOT }), undefined)
  const changing = operationsOf(() => {
    for (const owner of all) {
      releaseOwner(table, owner)
      assert.equal(register().id, owner.id)
    }
  })
  assert.ok(changing < owners * 20, `${changing} operations`)
  assert.equal(ownersIn(table).length, owners)
})
