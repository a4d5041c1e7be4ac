/** Describes blocking requests in parts of sentences. User-chosen names are not escaped yet. */

import { duration, labelText, listed, quoted } from '../format.ts'
import type { LockLabel } from '../names.ts'
import type { DeadlockMember, HeldLock, LockHolder, RootHolder } from '../report.ts'

/** The request that is blocked: its label, and its number in its manager. */
export interface Blocked {
  readonly label: string
  readonly id: number
}

/** The label of a blocked request; with its number if one of its holders has the same label. */
export function blockedLabel({ label, id }: Blocked, holders: readonly RootHolder[]): string {
  const isSame = holders.some((holder) => holder.label === label)
  return isSame ? `${labelText(label)} (request ${id})` : labelText(label)
}

/**
 * The blockers of a request: each lock that it waits for, and the root holders of that lock. A holder with
 * the label of the blocked request is shown with its number.
 */
export function blockersText(holders: readonly RootHolder[], { label }: Blocked): string {
  const byLock = new Map<LockLabel, Map<LockLabel, RootHolder[]>>()
  for (const holder of holders) {
    const ofLock = byLock.get(holder.waitsFor.name) ?? new Map<LockLabel, RootHolder[]>()
    byLock.set(holder.waitsFor.name, ofLock)
    ofLock.set(holder.name, [...(ofLock.get(holder.name) ?? []), holder])
  }
  const texts: string[] = []
  for (const [wanted, ofLock] of byLock) {
    for (const [lock, held] of ofLock) {
      const list = listed(held.map((holder) => rootText(holder, holder.label === label)))
      texts.push(
        lock === wanted
          ? `${quoted(lock)} is held by ${list}`
          : `earlier requests for ${quoted(wanted)} wait for ${quoted(lock)}, held by ${list}`,
      )
    }
  }
  return listed(texts)
}

/** The lock that a guard holds, and its label, mode, since when, and call site. */
export function guardText(guard: LockHolder): string {
  return `${quoted(guard.name)} (guard of ${labelText(guard.label)}, ${heldHow(guard)})`
}

/** The label of a holder, its lock and mode, since when it holds the lock, and its call site. */
export function holderText(holder: LockHolder): string {
  return `${labelText(holder.label)} (holds ${quoted(holder.name)} ${heldHow(holder)})`
}

/** The mode, since when, and the call site of a holding, without the lock's name. */
export function heldHow({ mode, heldMs, ...sites }: HeldLock): string {
  const how = mode === 'shared' ? 'shared' : 'exclusively'
  const lasts = heldMs === undefined ? '' : ` for ${duration(heldMs)}`
  return `${how}${lasts}${siteText(sites)}`
}

/** The call site of a request; `''` if it is not known. */
export function siteText(request: {
  readonly callSite?: string
  readonly similarCallSite?: string
}): string {
  if (request.callSite) return `, requested at ${request.callSite}`
  return request.similarCallSite
    ? `, requested at a call site that was not kept, perhaps ${request.similarCallSite}`
    : ''
}

/** Explains how to get the call sites of holders if one was not kept; else `''`. */
export function keepAllHint(holders: readonly RootHolder[]): string {
  const isMissing = holders.some(({ callSite }) => callSite === undefined)
  return isMissing
    ? ". Some call sites were not kept; the option callSites: 'always' keeps all"
    : ''
}

function rootText(holder: RootHolder, isNumbered: boolean): string {
  const { label, id, isAround, holders, waiters, nested } = holder
  const number = isNumbered && id !== undefined ? `request ${id}, ` : ''
  const parts = [number + heldHow(holder)]
  if (isAround) parts.push('the blocked request was made inside this holder, or with its owner')
  if (holders > 1) parts.push(`${holders} requests hold it`)
  if (waiters > 0)
    parts.push(waiters === 1 ? '1 request waits for it' : `${waiters} requests wait for it`)
  if (nested) {
    const { behind, waitedMs, waitsFor } = nested
    const blocked = behind.length > 0 ? `, blocked by ${listed(behind.map(labelText))}` : ''
    parts.push(
      `a request inside it has waited for ${quoted(waitsFor.name)} for ${duration(waitedMs)}${siteText(nested)}${blocked}`,
    )
  }
  return `${labelText(label)} (${parts.join('; ')})`
}

/** The labels of the members of a deadlock; with their numbers where several have the same label. */
export function waiterLabels(cycle: readonly DeadlockMember[]): string[] {
  const counts = new Map<string, number>()
  for (const { waiter } of cycle) counts.set(waiter.label, (counts.get(waiter.label) ?? 0) + 1)
  return cycle.map(({ waiter: { kind, id, label } }) =>
    counts.get(label) === 1 ? labelText(label) : `${labelText(label)} (${kind} ${id})`,
  )
}
