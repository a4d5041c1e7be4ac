/** The one place where the requests that are in the way become text. */

import { brief, duration, listed, quoted } from './format.ts'
import type { LockLabel } from './names.ts'
import type { DeadlockReport, LockHolder, RootHolder } from './report.ts'

/**
 * The blockers of a request, as a part of a sentence: each lock that it waits for, and the requests that
 * hold it. User-chosen names are not escaped yet: pass the whole text through `visible()`.
 */
export function blockersText(holders: readonly RootHolder[]): string {
  const byLock = new Map<LockLabel, RootHolder[]>()
  for (const holder of holders) {
    byLock.set(holder.waitsFor, [...(byLock.get(holder.waitsFor) ?? []), holder])
  }
  const locks = [...byLock].map(
    ([lock, behind]) => `${quoted(lock)} behind ${listed(behind.map(rootText))}`,
  )
  return listed(locks)
}

/** The label of a holder, how it holds a lock, since when, and where it asked for it. */
export function holderText(holder: LockHolder): string {
  return `${brief(holder.label)} (${howHeld(holder)})`
}

/** How a lock is held, since when, and where it was asked for; without the name of the lock. */
export function heldHow({ mode, heldMs, ...sites }: LockHolder): string {
  const how = mode === 'shared' ? 'shared' : 'exclusively'
  return `${how} for ${duration(heldMs)}${siteText(sites)}`
}

function howHeld(holder: LockHolder): string {
  return `holds ${quoted(holder.lock)} ${heldHow(holder)}`
}

/** Where a request was made; `''` where that is not known. */
export function siteText(request: {
  readonly callSite?: string
  readonly similarCallSite?: string
}): string {
  if (request.callSite) return `, asked for at ${request.callSite}`
  return request.similarCallSite
    ? `, asked for at a call site that was not kept, perhaps ${request.similarCallSite}`
    : ''
}

/** How to learn where the holders asked for their locks, if a call site was not kept; else `''`. */
export function keepAllHint(holders: readonly RootHolder[]): string {
  const isMissing = holders.some(({ callSite }) => callSite === undefined)
  return isMissing ? ". Call sites are missing: places: 'always' keeps all" : ''
}

/** Advice against an upgrade, for a lock that is held shared and asked for exclusively. */
export function upgradeAdvice(locks: readonly LockLabel[]): string {
  return (
    `ask for ${listed(locks.map(quoted))} in mode 'exclusive' from the start: a lock that is held shared ` +
    'cannot be made exclusive'
  )
}

/** Advice for a task or thread that waits for a lock which it holds, or which may be held for it. */
export function reentryAdvice(lock: LockLabel, isSuspected = false): string {
  const advice = isSuspected
    ? `code that holds ${quoted(lock)} must not wait for another request for it`
    : `do not ask for ${quoted(lock)} again while holding it`
  return `locks are not re-entrant; ${advice}`
}

/** The locks that a request asks for exclusively while its own callback or task holds them shared. */
export function upgradesIn(holders: readonly RootHolder[]): LockLabel[] {
  const upgrades = holders.filter(
    ({ isAround, mode, wanted, lock, waitsFor }) =>
      isAround && mode === 'shared' && wanted === 'exclusive' && lock === waitsFor,
  )
  return [...new Set(upgrades.map(({ lock }) => lock))]
}

/** The locks that members of a deadlock hold shared and ask for exclusively. */
export function upgradedIn({ cycle }: DeadlockReport): LockLabel[] {
  const upgrades = cycle.filter(
    ({ waitsFor, mode, holdsShared }) => mode !== 'shared' && holdsShared?.includes(waitsFor),
  )
  return [...new Set(upgrades.map(({ waitsFor }) => waitsFor))]
}

function rootText(holder: RootHolder): string {
  const { label, isAround, holders, waiters, nested } = holder
  const parts = [howHeld(holder)]
  if (holders > 1) parts.push(`${holders} hold it`)
  if (waiters > 0) parts.push(waiters === 1 ? '1 waits for it' : `${waiters} wait for it`)
  if (nested) {
    const behind = nested.behind.length > 0 ? ` behind ${listed(nested.behind.map(brief))}` : ''
    parts.push(
      `and waits itself for ${quoted(nested.lock)}${behind} for ${duration(nested.waitedMs)}${siteText(nested)}`,
    )
  }
  return `${brief(label)}${isAround ? ', in whose callback it was made' : ''} (${parts.join('; ')})`
}
