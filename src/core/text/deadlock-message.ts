/** Formats a deadlock as one sentence: the message of its error. */

import { labelText } from '../format.ts'
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
    const lock = first.waitsFor.name
    const holder = first.isProved ? 'which it holds itself' : 'which its enclosing request holds'
    const advice =
      upgrades.length > 0 ? upgradeAdvice(upgrades) : reentryAdvice(lock, !first.isProved)
    return (
      `deadlock: ${labelText(first.waiter.label)} asks for lock ${lock}, ${holder}` +
      `${heldAs(first, lock)}, and would wait forever. What to change: ${advice}`
    )
  }
  const labels = waiterLabels(cycle)
  const shown = cycle
    .slice(0, MAX_SHOWN)
    .map((member, i) => {
      const { holds, waitsFor } = member
      const held = heldAs(member, cycle.at(i - 1)?.waitsFor.name)
      return `${labels[i]} holds ${namesText(holds)}${held}, waits for ${waitsFor.name}`
    })
    .join('; ')
  const others = cycle.length > MAX_SHOWN ? `; and ${cycle.length - MAX_SHOWN} more` : ''
  const advice =
    upgrades.length > 0
      ? `What to change: ${upgradeAdvice(upgrades)}`
      : 'What to change: take the locks in one request, or always in the same order'
  return `deadlock of ${cycle.length}: ${shown}${others}. ${advice}; error.report has the call stacks.`
}

/** The request that took a lock for a member; `''` if the time of the grant is not known. */
function heldAs({ holds }: DeadlockMember, lock: LockLabel | undefined): string {
  const held = holds.find(({ name }) => name === lock)
  return held?.heldMs === undefined ? '' : ` (${labelText(held.label)}, ${heldHow(held)})`
}

function namesText(locks: DeadlockMember['holds']): string {
  if (locks.length === 0) return 'nothing'
  const names = locks.map(({ name }) => name)
  return names.length > MAX_SHOWN
    ? `${names.slice(0, MAX_SHOWN - 1).join(', ')}, … (${names.length} in all)`
    : names.join(', ')
}
