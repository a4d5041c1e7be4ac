/** Errors: their names and codes, and what a deadlock's says. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  DeadlockError,
  type DeadlockReport,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
  LockUsageError,
  LockwiseError,
  OwnerDiedError,
  relabelLocks,
} from '../../src/index.ts'

const report: DeadlockReport = {
  kind: 'deadlock',
  detectedAtMs: 1_000,
  victim: 2,
  cycle: [
    { thread: 2, label: 'b', holds: [4], waitsFor: 3, blocker: 1, waitedMs: 0.01, stack: 'at b' },
    { thread: 1, label: 'a', holds: [3], waitsFor: 4, blocker: 2, waitedMs: 20, stack: 'at a' },
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

it('a deadlock error says who holds what and carries the report', () => {
  const error = new DeadlockError(report)
  assert.equal(error.code, 'LOCK_DEADLOCK')
  assert.equal(error.report, report)
  assert.match(error.message, /b holds 4, waits for 3; a holds 3, waits for 4/)
})

it('relabels locks, and nothing else', () => {
  const renamed = relabelLocks(report, (lock) => `account:${lock}`)
  assert.deepEqual(
    renamed.cycle.map(({ holds, waitsFor }) => [holds, waitsFor]),
    [
      [['account:4'], 'account:3'],
      [['account:3'], 'account:4'],
    ],
  )
  assert.equal(renamed.victim, 2)
  assert.deepEqual(report.cycle[0]?.holds, [4])
})
