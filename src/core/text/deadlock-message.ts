/** Formats a deadlock as one sentence: the message of its error. */

import { labelText, quoted } from '../format.ts'
import type { LockLabel } from '../names.ts'
import type { DeadlockMember, DeadlockReport } from '../report.ts'
import { reentryAdvice, upgradeAdvice, upgradedIn } from './advice.ts'
import { heldHow, waiterLabels } from './holders.ts'

/** The number of members of a cycle, or of names, that a message shows. */
const MAX_SHOWN = 10

/** The message of a DeadlockError. User-chosen names are not escaped yet. */
export function deadlockMessage(report: DeadlockReport): string {
  const { cycle } = report
  const [first] = cycle
  const upgrades = upgradedIn(report)
  if (first && cycle.length === 1) {
    const { isProved, sharesOwner, waiter, waitsFor } = first
    const lock = waitsFor.name
    const advice =
      upgrades.length > 0
        ? upgradeAdvice(upgrades)
        : reentryAdvice(lock, { isSuspected: !isProved, sharesOwner })
    return (
      `deadlock: ${labelText(waiter.label)} asks for ${quoted(lock)}, which ${holderOf(report, first)}` +
      `${heldAs(first, lock)}, and would wait forever. What to change: ${advice}`
    )
  }
  const labels = waiterLabels(cycle)
  const shown = cycle
    .slice(0, MAX_SHOWN)
    .map((member, i) => {
      const { holds, waitsFor } = member
      const held = heldAs(member, cycle.at(i - 1)?.waitsFor.name)
      return `${labels[i]} holds ${namesText(holds)}${held} and waits for ${quoted(waitsFor.name)}`
    })
    .join('; ')
  const others = cycle.length > MAX_SHOWN ? `; and ${cycle.length - MAX_SHOWN} more` : ''
  const advice =
    upgrades.length > 0
      ? `What to change: ${upgradeAdvice(upgrades)}`
      : 'What to change: take the locks in one request, or always in the same order'
  return `deadlock of ${cycle.length}: ${shown}${others}. ${advice}; error.report has the call stacks.`
}

/** The holder of the lock that the only member of a cycle waits for, with its verb. */
function holderOf({ between }: DeadlockReport, member: DeadlockMember): string {
  const { isProved, sharesOwner, waiter, waitsFor, holds } = member
  if (sharesOwner) return 'another request with its owner holds'
  if (!isProved) return 'its enclosing request holds'
  const held = holds.find(({ name }) => name === waitsFor.name)
  const isOther = between === 'threads' && held !== undefined && held.label !== waiter.label
  return isOther ? 'another holding of its thread holds' : 'it holds itself'
}

/** The request that took a lock for a member; `''` if the time of the grant is not known. */
function heldAs({ holds }: DeadlockMember, lock: LockLabel | undefined): string {
  const held = holds.find(({ name }) => name === lock)
  return held?.heldMs === undefined ? '' : ` (${labelText(held.label)}, ${heldHow(held)})`
}

function namesText(locks: DeadlockMember['holds']): string {
  if (locks.length === 0) return 'nothing'
  const names = locks.map(({ name }) => quoted(name))
  return names.length > MAX_SHOWN
    ? `${names.slice(0, MAX_SHOWN - 1).join(', ')}, … (${names.length} in all)`
    : names.join(', ')
}
