/**
 * The audit: the sum of all balances at one moment, while transfers continue.
 *
 * Source    The snapshot by copy on first write, as in database checkpoints. The strategy selects one of
 *           three kinds.
 * Steps     'whole': lock all of a few locks at once, sum, release. The bank stops for the sum.
 *           'snapshot': take the bank's own lock (one audit at a time), increment the audit's number, then
 *           visit the accounts one by one, each under its own lock. A transfer that holds both its locks
 *           checks whether an audit runs. If so, it saves the old balance of an account that the audit has
 *           not seen (accounts.ts). The audit adds the saved balance if there is one.
 *           'unlocked': only sum.
 *           A gentle audit rests between its parts (every 1,024 accounts of a snapshot, every whole sum) for
 *           four times as long as they took.
 * Invariant Unless 'unlocked', every transfer counts entirely or not at all. A transfer that did not see the
 *           audit began before it and still holds both locks, so the audit visits both accounts after it. A
 *           transfer that saw the audit saves both old balances, unless the audit has them. A transfer does
 *           not take the bank's lock, and so may see a new audit's number late. But a thread that locks
 *           an account after the audit has locked it sees the number.
 * Cost      'snapshot': one lock and unlock for each account, never more than one held besides the bank's
 *           own, so a transfer waits for some nanoseconds at most. But every account's cache line moves to
 *           the auditor's core and back. That can cost transfers more time than the locks do: an audit
 *           without pauses fetches very many accounts' lines, as often as transfers do.
 */

import type { SharedLocks } from '../backends/threads/index.ts'
import { type Accounts, balanceAtAudit, beginAudit, endAudit, sumOfBalances } from './accounts.ts'
import type { Pace } from './rest.ts'
import type { Auditing } from './strategies.ts'

/** The bank's own lock. */
const BANK = 0
/** The number of accounts that a snapshot visits between two rests. */
const PART = 1024

/** Returns the total of accounts 1 to `last` (record numbers); a `pace` makes the audit gentle. */
export function audit(
  auditing: Auditing,
  locks: SharedLocks,
  accounts: Accounts,
  last: number,
  pace?: Pace,
): number {
  if (auditing === 'unlocked') return sumOfBalances(accounts, last)
  if (auditing === 'snapshot') return snapshotSum(locks, accounts, last, pace)
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
