/** Hand-made parts of reports, and a check that must hold for every report. */

import assert from 'node:assert/strict'
import type {
  DeadlockHeldLock,
  LockHolder,
  LockLabel,
  LockMode,
  Report,
  RequestedLock,
} from '../../src/index.ts'

/** A requested lock. */
export function wanted(name: LockLabel, mode: LockMode = 'exclusive'): RequestedLock {
  return { name, mode, units: 1 }
}

/** A lock that is held exclusively, unless `rest` says otherwise. */
export function held(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): DeadlockHeldLock {
  return { ...wanted(name), label, ...rest }
}

/** A lock that a request holds, since a known time. */
export function holder(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): LockHolder {
  return { sinceMs: 0, heldMs: 1500, ...held(name, label, rest) }
}

/** Asserts that a report is plain data: the same after a clone and as JSON, with no `undefined` in it. */
export function mustBePlain(report: Report): void {
  assert.equal(report.version, 1)
  assert.deepEqual(undefinedIn(report), [])
  assert.deepEqual(structuredClone(report), report)
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
}

/** The paths of all properties whose value is `undefined`. */
function undefinedIn(value: unknown, path = 'report'): string[] {
  if (value === undefined) return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => undefinedIn(inner, `${path}.${key}`))
}
