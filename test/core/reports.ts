/** Parts of reports that are made by hand, and what must hold for every report. */

import assert from 'node:assert/strict'
import type {
  DeadlockHeldLock,
  LockHolder,
  LockLabel,
  LockMode,
  Report,
  RequestedLock,
} from '../../src/index.ts'

/** A lock as it is asked for. */
export function wanted(name: LockLabel, mode: LockMode = 'exclusive'): RequestedLock {
  return { name, mode, units: 1 }
}

/** A lock that is held exclusively, unless the rest says otherwise. */
export function held(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): DeadlockHeldLock {
  return { ...wanted(name), label, ...rest }
}

/** A lock that a request holds, since a time that is known. */
export function holder(
  name: LockLabel,
  label: string,
  rest: Partial<DeadlockHeldLock> = {},
): LockHolder {
  return { sinceMs: 0, heldMs: 1500, ...held(name, label, rest) }
}

/** A report must be plain data: the same after a clone and as JSON, with nothing undefined in it. */
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
