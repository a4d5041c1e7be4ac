/** Errors: their names and codes, and the text of a deadlock's. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  DeadlockError,
  type DeadlockReport,
  isLockwiseError,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  LockwiseError,
  OwnerDiedError,
  relabelLocks,
} from '../../src/index.ts'
import { held, holder, wanted } from './reports.ts'

const report: DeadlockReport = {
  version: 1,
  kind: 'deadlock',
  between: 'threads',
  confidence: 'proved',
  hasVictim: true,
  detectedAtMs: 1_000,
  victim: 2,
  cycle: [
    {
      waiter: { kind: 'thread', id: 2, label: 'b' },
      holds: [held(4, 'b')],
      waitsFor: wanted(3),
      blockers: [1],
      waitedMs: 0.01,
      waitsAt: 'at b',
      isProved: true,
    },
    {
      waiter: { kind: 'thread', id: 1, label: 'a' },
      holds: [held(3, 'a')],
      waitsFor: wanted(4),
      blockers: [2],
      waitedMs: 20,
      waitsAt: 'at a',
      isProved: true,
    },
  ],
}

it('every error has its name, its code and a stack, and is a LockwiseError', () => {
  const codes = {
    LOCK_ORDER: LockOrderError,
    LOCK_TIMEOUT: LockTimeoutError,
    LOCK_NOT_AVAILABLE: LockNotAvailableError,
    LOCK_LOST: LockLostError,
    LOCK_OWNER_DIED: OwnerDiedError,
    LOCK_USAGE: LockUsageError,
  }
  for (const [code, Type] of Object.entries(codes)) {
    const error = new Type('what happened')
    assert.ok(error instanceof LockwiseError)
    assert.equal(error.code, code)
    assert.equal(error.name, Type.name)
    assert.match(error.stack ?? '', /what happened[\s\S]*errors\.test/)
  }
})

it('a deadlock error lists holders and locks, and carries the report', () => {
  const error = new DeadlockError(report)
  assert.equal(error.code, 'LOCK_DEADLOCK')
  assert.equal(error.report, report)
  assert.match(
    error.message,
    /b holds lock 4 and waits for lock 3; a holds lock 3 and waits for lock 4/,
  )
})

it('a deadlock error of one member advises what to change, and names the holder of the lock', () => {
  const [member] = report.cycle
  const own = {
    ...(member as DeadlockReport['cycle'][0]),
    holds: [held('a', 'outer')],
    waitsFor: wanted('a'),
  }
  assert.match(
    new DeadlockError({ ...report, between: 'tasks', cycle: [own] }).message,
    /b asks for 'a', which it holds itself, and would wait forever\. What to change: locks are not re-entrant; do not ask for 'a' again while holding it$/,
  )
  assert.match(
    new DeadlockError({ ...report, between: 'threads', cycle: [own] }).message,
    /b asks for 'a', which another holding of its thread holds, and would wait forever/,
  )
  const unsure = { ...own, isProved: false, holds: [holder('a', 'outer', { heldMs: 5 })] }
  assert.match(
    new DeadlockError({ ...report, confidence: 'suspected', cycle: [unsure] }).message,
    /b asks for 'a', which its enclosing request holds \(outer, exclusively for 5 ms\)/,
  )
})

it('an error begins its stack with its name and its call site', () => {
  assert.match(new LockTimeoutError('too long').stack ?? '', /^LockTimeoutError: too long\n/)
  assert.match(new DeadlockError(report).stack ?? '', /^DeadlockError: deadlock of 2/)
})

it('toJSON() has all of an error, and survives a clone and JSON', () => {
  const error = new DeadlockError(report)
  const { name, code, message, stack } = error
  const expected = { name, code, message, stack, report }
  assert.deepEqual(structuredClone(error.toJSON()), expected)
  assert.deepEqual(JSON.parse(JSON.stringify(error)), expected)
  const abandoned = { thread: 2, label: 'b', locks: [3] }
  assert.deepEqual(new OwnerDiedError('it died', abandoned).toJSON().abandoned, abandoned)
  assert.equal('abandoned' in new OwnerDiedError('it died').toJSON(), false)
})

it('isLockwiseError() accepts errors of other copies, as plain data and cloned', () => {
  const error: unknown = new DeadlockError(report)
  assert.ok(isLockwiseError(error) && error.code === 'LOCK_DEADLOCK' && error.report === report)
  class Other extends Error {
    readonly code = 'LOCK_TIMEOUT'
    override readonly name = 'LockTimeoutError'
  }
  assert.equal(isLockwiseError(new Other('of another copy')), true)
  assert.equal(isLockwiseError(JSON.parse(JSON.stringify(error))), true)
  assert.equal(isLockwiseError(structuredClone((error as DeadlockError).toJSON())), true)
  for (const made of [
    new DeadlockError(report),
    new LockUsageError('wrong'),
    new LockLostError(''),
  ]) {
    const clone: unknown = structuredClone(made)
    assert.ok(isLockwiseError(clone))
    assert.deepEqual([clone.name, clone.code], [made.name, made.code])
    assert.ok(isLockwiseError(clone))
  }
})

it('isLockwiseError() refuses all other values, however they behave', () => {
  const throws = new Proxy(new Error('x'), { get: () => assert.fail('read') })
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const other of [
    undefined,
    null,
    'LOCK_TIMEOUT',
    new Error('LockTimeoutError: no'),
    Object.assign(new Error('x'), { code: 'LOCK_TIMEOUT' }),
    Object.assign(new TypeError('x'), { code: 'LOCK_USAGE' }),
    { code: 'toString', name: 'x', message: '' },
    new DOMException('x', 'AbortError'),
    Object.freeze(structuredClone(new LockUsageError('frozen'))),
    throws,
    proxy,
  ]) {
    assert.equal(isLockwiseError(other), false)
  }
})

it('relabelLocks() changes the lock labels only', () => {
  const renamed = relabelLocks(report, (lock) => `account:${lock}`)
  assert.deepEqual(
    renamed.cycle.map(({ holds, waitsFor }) => [holds, waitsFor]),
    [
      [[held('account:4', 'b')], wanted('account:3')],
      [[held('account:3', 'a')], wanted('account:4')],
    ],
  )
  assert.equal(renamed.victim, 2)
  assert.deepEqual(report.cycle[0]?.holds, [held(4, 'b')])
})
