/**
 * The audit: the sum of all balances at one moment, while transfers go on.
 *
 * Source    the snapshot by copy on first write, as in database checkpoints; three ways, by strategy.
 * Steps     'whole': take every lock at once (few of them), sum, release. The bank stops for the sum.
 *           'snapshot': take the bank's own lock (one audit at a time), raise the audit's number, then
 *           visit the accounts one by one, each under its own lock. A transfer that holds both its
 *           locks looks whether an audit runs, and if so keeps the old balance of an account that the
 *           audit has not seen (accounts.ts). The audit adds the kept balance where there is one.
 *           'unlocked': just sum.
 *           A gentle audit rests between its parts (every 1,024 accounts of a snapshot, every whole sum)
 *           four times as long as they took.
 * Invariant A transfer that did not see the audit began before it: the audit visits both its accounts
 *           after it, since it still holds both locks. One that saw it keeps both old balances, unless
 *           the audit has them already. So every transfer counts whole or not at all. A transfer may
 *           read the audit's number late, for it does not take the bank's lock. But a thread that locks
 *           an account after the audit has locked it sees the number.
 * Cost      'snapshot': one lock taken and released for each account, never more than one held beside the
 *           bank's own: a transfer waits for some nanoseconds at most. But every account's cache line
 *           moves to the auditor's core and back, which can take more time from transfers than the
 *           locks do: an audit without pause needs ever so many accounts' lines as often as they do.
 */

import type { SharedLocks } from '../backends/threads/index.ts'
import { type Accounts, balanceAtAudit, beginAudit, endAudit, sumOfBalances } from './accounts.ts'
import type { Pace } from './rest.ts'
import type { Auditing } from './strategies.ts'

/** The bank's own lock. */
const BANK = 0
/** The accounts that a snapshot visits between two rests. */
const PART = 1024

/** The total of accounts 1 to `last` (record numbers); with a `pace`, gently. */
export function audit(
  way: Auditing,
  locks: SharedLocks,
  accounts: Accounts,
  last: number,
  pace?: Pace,
): number {
  if (way === 'unlocked') return sumOfBalances(accounts, last)
  if (way === 'snapshot') return snapshotSum(locks, accounts, last, pace)
  pace?.begin()
  const total = locks.holdAll(() => sumOfBalances(accounts, last))
  pace?.rest()
  return total
}

function snapshotSum(locks: SharedLocks, accounts: Accounts, last: number, pace?: Pace): number {
  locks.lock(BANK)
  try {
    const number = beginAudit(accounts)
    let total = 0
    for (let first = 1; first <= last; first += PART) {
      pace?.begin()
      total += sumOfPart(locks, accounts, first, Math.min(first + PART - 1, last), number)
      pace?.rest()
    }
    endAudit(accounts)
    return total
  } finally {
    locks.unlock(BANK)
  }
}

function sumOfPart(
  locks: SharedLocks,
  accounts: Accounts,
  first: number,
  last: number,
  number: number,
): number {
  let total = 0
  for (let record = first; record <= last; record++) {
    locks.lock(record)
    total += balanceAtAudit(accounts, record, number)
    locks.unlock(record)
  }
  return total
}
