/** Reports other than deadlocks as text: possible deadlocks, and what lasts too long. */

import { brief, duration, listed, quoted, visible } from '../core/format.ts'
import {
  blockersText,
  holderText,
  keepAllHint,
  siteText,
  upgradeAdvice,
  upgradesIn,
} from '../core/holder-text.ts'
import type {
  GuardCycleMember,
  LeakedReport,
  PossibleDeadlockReport,
  SlowReport,
} from '../core/report.ts'

/** A possible deadlock as text of several lines: each way round, with both places, and the cure. */
export function possibleDeadlockText({ cycle, similar }: PossibleDeadlockReport): string {
  const lines = [
    `Possible deadlock: locks are taken in ${cycle.length} orders that contradict each other, whether or not anything hung.`,
    '',
  ]
  for (const edge of cycle) {
    const { label, held, wanted, heldAs, wantedAs } = edge
    const example =
      held === heldAs && wanted === wantedAs ? '' : ` ('${heldAs}', then '${wantedAs}')`
    lines.push(visible(`  ${label}: '${held}', then '${wanted}' while holding it${example}`))
    lines.push(...placeLines('held at', edge.heldAt))
    if (edge.similarHeldAt) lines.push(...placeLines('like', edge.similarHeldAt))
    lines.push(...placeLines('wanted at', edge.wantedAt))
  }
  const names = cycle
    .map(({ held, heldAs }) => `'${visible(held)}${held === heldAs ? '' : ':…'}'`)
    .sort()
  lines.push(
    '',
    `What to change: take ${names.slice(0, -1).join(', ')} and ${names.at(-1)} in one request, or in the ` +
      'same order everywhere.',
  )
  if (similar !== undefined) {
    lines.push(
      `Since the first report of these call sites and classes there were ${similar} more cycles of them; ` +
        `the next report comes when there are ${similar * 10}.`,
    )
  }
  return lines.join('\n')
}

/**
 * A wait or a holding that lasts too long: one line; more lines where guards without an owner could form
 * a cycle.
 */
export function slowText(report: SlowReport): string {
  const { state, label, names, lastsMs, waiters = 0, lock } = report
  const { guardCycle, guardCycleReportedFor: reportedFor } = report
  if (state === 'holding') {
    const list = listed(names.map(quoted))
    return visible(`${brief(label)} has held ${list} for ${duration(lastsMs)}${siteText(report)}`)
  }
  const others =
    waiters > 1 && lock !== undefined
      ? `; it is the oldest of ${waiters} that wait for ${visible(quoted(lock))}`
      : ''
  const lines = [waitText(report) + others]
  const upgrades = upgradesIn(report.holders ?? [])
  if (upgrades.length > 0) lines.push(visible(`What to change: ${upgradeAdvice(upgrades)}.`))
  if (guardCycle) lines.push(guardCycleText(guardCycle))
  if (reportedFor !== undefined) {
    lines.push(visible(`Suspected deadlock: see the report for ${quoted(reportedFor)}.`))
  }
  return lines.join('\n')
}

/** A request that waits, since when, where it was made, and its root holders, in one line. */
export function waitText(
  wait: Pick<
    SlowReport,
    'label' | 'names' | 'lastsMs' | 'holders' | 'callSite' | 'similarCallSite'
  >,
): string {
  const { label, names, lastsMs, holders = [] } = wait
  const list = listed(names.map(quoted))
  const blockers = blockersText(holders)
  // The lock is named once where it is the only one.
  const named = names.length === 1 ? `${list} behind ` : ''
  const behind = blockers.startsWith(named) ? `behind ${blockers.slice(named.length)}` : blockers
  return visible(
    `${brief(label)} has waited for ${list} for ${duration(lastsMs)}` +
      `${holders.length > 0 ? `, ${named === '' ? 'waits for ' : ''}${behind}` : ''}${siteText(wait)}` +
      keepAllHint(holders),
  )
}

/** Guards without an owner that could form a cycle, and what to write instead, in several lines. */
export function guardCycleText(cycle: readonly GuardCycleMember[]): string {
  const [member] = cycle
  if (member && cycle.length === 1) return ownGuardText(member)
  const names = [...new Set(cycle.map(({ waitsFor }) => quoted(waitsFor)))].sort()
  const lines = [
    'Suspected deadlock: nobody knows which task will release a guard without an owner; these may hold',
    'what the others wait for:',
    ...cycle.map((member) => {
      const { label, waitsFor, waitedMs, mayHold, isCertain, ...site } = member
      const wait = `${quoted(waitsFor)} for ${duration(waitedMs)}${siteText(site)}`
      const task = isCertain ? 'its task is' : 'its task may be'
      return `  ${brief(label)} has waited for ${wait}; ${task} ${holderText(mayHold)}${ownerText(member)}`
    }),
    `What to write instead: one acquire([${names.join(', ')}]) for all of them; or ` +
      'acquire(names, { owner }), with one object as the owner for each task.',
  ]
  return lines.map(visible).join('\n')
}

/** A request that may wait for a guard of its own task, and what to write instead. */
function ownGuardText(member: GuardCycleMember): string {
  const { label, waitsFor, waitedMs, mayHold, ...site } = member
  const lock = quoted(waitsFor)
  return [
    `Suspected deadlock: ${brief(label)} may wait for a guard of its own task:`,
    `  it has waited for ${lock} for ${duration(waitedMs)}${siteText(site)}`,
    `  its task may be ${holderText(mayHold)}${ownerText(member)}`,
    `What to write instead: ${
      mayHold.mode === 'shared'
        ? upgradeAdvice([waitsFor])
        : `locks are not re-entrant: release the guard before the task asks for ${lock} again, or do not ` +
          'ask for it again'
    }; with acquire(names, { owner }) such a wait is rejected.`,
  ]
    .map(visible)
    .join('\n')
}

/** Advice where only one of a guard and a request has an owner. */
function ownerText({ withOwner }: GuardCycleMember): string {
  if (withOwner === undefined) return ''
  return withOwner === 'guard'
    ? ', which has an owner: pass the owner to this request too'
    : ', which has no owner: pass the owner of this request to it too'
}

/** A guard that was garbage-collected without `release()`, in one line. */
export function leakedText(report: LeakedReport): string {
  const { label, names, heldMs, waiters } = report
  const waiting = waiters === 0 ? '' : `; ${waiters} ${waiters === 1 ? 'waits' : 'wait'} for it`
  return visible(
    `${brief(label)}: a guard of ${listed(names.map(quoted))} was garbage-collected without release(), so ` +
      `it stays held (so far for ${duration(heldMs)}${siteText(report)}${waiting}). Release guards in a ` +
      '`finally` block, or with `using`; or take the lock with request().',
  )
}

/** The calls of a place, the innermost first, each on its line. */
function placeLines(what: string, place: string): string[] {
  if (place === '') return [`    ${what}: not kept (places: 'always' keeps all)`]
  return place
    .split('\n')
    .map((call, i) => visible(`    ${(i === 0 ? what : '').padEnd(9)} ${call.replace(/^at /, '')}`))
}
