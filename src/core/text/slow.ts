/** Formats reports of what lasts too long: waits, holdings, and guards that were not released. */

import { duration, labelText, listed, quoted, visible } from '../format.ts'
import type {
  GuardCycleMember,
  LeakedReport,
  RootHolder,
  SlowReport,
  SlowWaitReport,
} from '../report.ts'
import { upgradeAdvice, upgradesIn } from './advice.ts'
import { blockedLabel, blockersText, guardText, keepAllHint, siteText } from './holders.ts'

/** Formats a holding that lasts too long as one line; a wait as several: what blocks it, and what to do. */
export function slowText(report: SlowReport): string {
  if (report.state === 'holding') {
    const { label, names, lastsMs } = report
    const list = listed(names.map(quoted))
    return visible(
      `${labelText(label)} has held ${list} for ${duration(lastsMs)}${siteText(report)}. What to do: look at ` +
        'what it does meanwhile, or release sooner; warnAfterMs sets when this is reported.',
    )
  }
  const { waiters, lock, holders, guardCycle, guardCycleReportedFor: reportedFor } = report
  const others =
    waiters > 1
      ? `; it is the oldest of ${waiters} requests that wait for ${visible(quoted(lock))}`
      : ''
  const lines = [waitText(report) + others]
  const upgrades = upgradesIn(holders)
  if (upgrades.length > 0) lines.push(visible(`What to change: ${upgradeAdvice(upgrades)}.`))
  if (guardCycle.length > 0) lines.push(guardCycleText(guardCycle))
  if (reportedFor !== null) {
    lines.push(visible(`Suspected deadlock: see the report for ${quoted(reportedFor)}.`))
  }
  if (lines.length === 1) lines.push(waitAdvice(holders))
  return lines.join('\n')
}

/** Advice on a wait for which no deadlock is suspected. */
function waitAdvice([holder]: readonly RootHolder[]): string {
  const who = holder ? visible(labelText(holder.label)) : 'the holder'
  return (
    `What to do: look at what ${who} does while it holds the lock; timeoutMs limits a wait. longWaitMs and ` +
    'warnAfterMs set when this is reported.'
  )
}

/** One line: a waiting request, since when it waits, its call site, and its root holders. */
export function waitText(
  wait: Pick<
    SlowWaitReport,
    'id' | 'label' | 'names' | 'lastsMs' | 'holders' | 'callSite' | 'similarCallSite'
  >,
): string {
  const { names, lastsMs, holders } = wait
  const blockers = holders.length > 0 ? `: ${blockersText(holders, wait)}` : ''
  return visible(
    `${blockedLabel(wait, holders)} has waited for ${listed(names.map(quoted))} for ` +
      `${duration(lastsMs)}${siteInBrackets(wait)}${blockers}${keepAllHint(holders)}`,
  )
}

/** Several lines: the guards that could form a cycle, and what to write instead. */
export function guardCycleText(cycle: readonly GuardCycleMember[]): string {
  const [member] = cycle
  if (member && cycle.length === 1) return ownGuardText(member)
  const names = [...new Set(cycle.map(({ waitsFor }) => quoted(waitsFor.name)))].sort()
  const lines = [
    `Suspected deadlock: these ${cycle.length} requests may wait in a cycle, each for a guard that the task of the ` +
      'next one may hold. It is not proved, because no callback or owner shows which task releases a guard:',
    ...cycle.map((member) => {
      const { label, waitsFor, waitedMs, mayHold, isCertain, ...site } = member
      const wait = `${quoted(waitsFor.name)} for ${duration(waitedMs)}${siteInBrackets(site)}`
      const task = isCertain ? 'its task holds' : 'its task may hold'
      return `  ${labelText(label)} has waited for ${wait}; ${task} ${guardText(mayHold)}${ownerText(member)}`
    }),
    `What to change: take the locks in one acquire([${names.join(', ')}]); or give all calls of a task the same ` +
      'owner, acquire(names, { owner }): then a deadlock is proved, and one request is rejected.',
  ]
  return lines.map(visible).join('\n')
}

/** A request that may wait for a guard of its own task, and what to write instead. */
function ownGuardText(member: GuardCycleMember): string {
  const { label, waitsFor, waitedMs, mayHold, ...site } = member
  const lock = quoted(waitsFor.name)
  return [
    `Suspected deadlock: ${labelText(label)} may wait for a guard of its own task:`,
    `  it has waited for ${lock} for ${duration(waitedMs)}${siteInBrackets(site)}`,
    `  its task may hold ${guardText(mayHold)}${ownerText(member)}`,
    `What to change: ${
      mayHold.mode === 'shared'
        ? upgradeAdvice([waitsFor.name])
        : `locks are not re-entrant: release the guard before the task asks for ${lock} again, or do not ` +
          'ask for it again'
    }; with one owner for all calls of the task, acquire(names, { owner }), such a wait is rejected.`,
  ]
    .map(visible)
    .join('\n')
}

/** Advice for when only one of a guard and a request has an owner. */
function ownerText({ withOwner }: GuardCycleMember): string {
  if (withOwner === 'both' || withOwner === 'neither') return ''
  return withOwner === 'guard'
    ? '; that guard has an owner: pass the owner to this request too'
    : '; that guard has no owner: pass the owner of this request to it too'
}

/** A guard that was garbage-collected without `release()`, in one line. */
export function leakedText(report: LeakedReport): string {
  const { label, names, heldMs, waiters } = report
  const waiting =
    waiters === 0
      ? ''
      : `; ${waiters === 1 ? '1 request waits' : `${waiters} requests wait`} for them`
  return visible(
    `${labelText(label)}: a guard of ${listed(names.map(quoted))} was garbage-collected without release(): ` +
      `its locks stay held (so far for ${duration(heldMs)}${siteText(report)}${waiting}). Release guards in a ` +
      '`finally` block, or with `using`; or take the locks with request().',
  )
}

/** The call site of a waiting request in brackets; `''` if it is not known. */
function siteInBrackets(request: Parameters<typeof siteText>[0]): string {
  const site = siteText(request)
  return site === '' ? '' : ` (${site.replace(/^, /, '')})`
}
