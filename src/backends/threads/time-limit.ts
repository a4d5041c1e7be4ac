/**
 * The error of a wait that timed out: which holders blocked it, since when, and what they wait for
 * themselves.
 */

import { LockTimeoutError } from '../../core/errors.ts'
import { blockedText, holdersText } from '../../core/report-text.ts'
import { describeHolders, holdersOf, type Seen } from './holders.ts'
import { TASK_SLOT } from './layout.ts'
import { isMainThread } from './long-waits.ts'
import { kindOf, type Owner } from './owners.ts'
import { stripesText, type Table } from './table.ts'

/** For a main thread that is blocked this long, the error also names the effect on its event loop. */
const LONG_BLOCK_MS = 100

/** Makes the error for an owner that waits for a lock; its wait must still be published. */
export function timedOut(
  table: Table,
  owner: Owner,
  lock: number,
  seen: Seen,
  timeoutMs: number | undefined,
): LockTimeoutError {
  const ids = holdersOf(table, lock, owner.id)
  const holders = describeHolders(table, lock, ids, seen, owner.id)
  const held = ids.length === 0 ? '' : `, held by ${holdersText(holders, ids.length)}`
  const isLong = timeoutMs !== undefined && timeoutMs >= LONG_BLOCK_MS
  const isBlocked = kindOf(table, owner.id) !== TASK_SLOT
  const blocked =
    isLong && isBlocked && isMainThread() ? `. Also, ${blockedText(holders, true)}` : ''
  return new LockTimeoutError(
    `${owner.label} did not get its locks within ${timeoutMs} ms: its last wait was for lock ` +
      `${lock}${stripesText(table)}${held}. This call holds none of its locks: try again, set a longer ` +
      'timeoutMs, or hold locks for a shorter time' +
      blocked.replace(/\.$/, ''),
    undefined,
    holders,
  )
}
