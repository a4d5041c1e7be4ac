/** Describes blocking requests in parts of sentences. User-chosen names are not escaped yet. */

import { brief, duration, listed, quoted } from '../format.ts'
import type { LockLabel } from '../names.ts'
import type { HeldLock, LockHolder, RootHolder } from '../report.ts'

/** The blockers of a request: each lock that it waits for, and the holders of that lock. */
export function blockersText(holders: readonly RootHolder[]): string {
  const byLock = new Map<LockLabel, RootHolder[]>()
  for (const holder of holders) {
    const lock = holder.waitsFor.name
    byLock.set(lock, [...(byLock.get(lock) ?? []), holder])
  }
  const locks = [...byLock].map(
    ([lock, behind]) => `${quoted(lock)} behind ${listed(behind.map(rootText))}`,
  )
  return listed(locks)
}

/** The label of a holder, its mode, since when it holds the lock, and its call site. */
export function holderText(holder: LockHolder): string {
  return `${brief(holder.label)} (${howHeld(holder)})`
}

/** The mode, since when, and the call site of a holding, without the lock's name. */
export function heldHow({ mode, heldMs, ...sites }: HeldLock): string {
  const how = mode === 'shared' ? 'shared' : 'exclusively'
  const lasts = heldMs === undefined ? '' : ` for ${duration(heldMs)}`
  return `${how}${lasts}${siteText(sites)}`
}

function howHeld(holder: LockHolder): string {
  return `holds ${quoted(holder.name)} ${heldHow(holder)}`
}

/** The call site of a request; `''` if it is not known. */
export function siteText(request: {
  readonly callSite?: string
  readonly similarCallSite?: string
}): string {
  if (request.callSite) return `, asked for at ${request.callSite}`
  return request.similarCallSite
    ? `, asked for at a call site that was not kept, perhaps ${request.similarCallSite}`
    : ''
}

/** Explains how to get the call sites of holders if one was not kept; else `''`. */
export function keepAllHint(holders: readonly RootHolder[]): string {
  const isMissing = holders.some(({ callSite }) => callSite === undefined)
  return isMissing ? ". Call sites are missing: callSites: 'always' keeps all" : ''
}

function rootText(holder: RootHolder): string {
  const { label, isAround, holders, waiters, nested } = holder
  const parts = [howHeld(holder)]
  if (holders > 1) parts.push(`${holders} hold it`)
  if (waiters > 0) parts.push(waiters === 1 ? '1 waits for it' : `${waiters} wait for it`)
  if (nested) {
    const behind = nested.behind.length > 0 ? ` behind ${listed(nested.behind.map(brief))}` : ''
    const lock = quoted(nested.waitsFor.name)
    parts.push(
      `a request inside it has waited for ${lock}${behind} for ${duration(nested.waitedMs)}${siteText(nested)}`,
    )
  }
  return `${brief(label)}${isAround ? ', in whose callback it was made' : ''} (${parts.join('; ')})`
}
