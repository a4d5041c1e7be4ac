/** Advice on what to change, and the cases for it. User-chosen names are not escaped yet. */

import { listed, quoted } from '../format.ts'
import type { LockLabel } from '../names.ts'
import type { DeadlockReport, RootHolder } from '../report.ts'

/** Advice against an upgrade: a lock held shared and requested exclusively. */
export function upgradeAdvice(locks: readonly LockLabel[]): string {
  return (
    `ask for ${listed(locks.map(quoted))} in mode 'exclusive' from the start: a lock that is held shared ` +
    'cannot be made exclusive'
  )
}

/** The case that {@link reentryAdvice} is for. */
export interface Reentry {
  /** Whether it is not known that the holder waits for the request. */
  readonly isSuspected?: boolean
  /** Whether the request and the holder have one owner. Then they may be parallel tasks, by mistake. */
  readonly sharesOwner?: boolean | undefined
}

/** Advice for a task or thread that waits for a lock which it holds, or which may be held on its behalf. */
export function reentryAdvice(
  lock: LockLabel,
  { isSuspected = false, sharesOwner = false }: Reentry = {},
): string {
  const advice = isSuspected
    ? `code that holds ${quoted(lock)} must not wait for another request for it`
    : `do not ask for ${quoted(lock)} again while holding it`
  const owners = sharesOwner ? `; ${OWNERS_ADVICE}` : ''
  // A table can be re-entrant for one kind of call, but not for another.
  return `${typeof lock === 'number' ? '' : 'locks are not re-entrant; '}${advice}${owners}`
}

/** Advice for requests with one owner, which count as one task. */
export const OWNERS_ADVICE = 'tasks that run in parallel need an owner each'

/** The locks that a request wants exclusively while a holder around it holds them shared. */
export function upgradesIn(holders: readonly RootHolder[]): LockLabel[] {
  const upgrades = holders.filter(
    ({ isAround, mode, name, waitsFor }) =>
      isAround && mode === 'shared' && waitsFor.mode === 'exclusive' && name === waitsFor.name,
  )
  return [...new Set(upgrades.map(({ name }) => name))]
}

/** A lock that a request waits for while its own callback or task holds it. */
export function reenteredIn(holders: readonly RootHolder[]): LockLabel | undefined {
  return holders.find(({ isAround, name, waitsFor }) => isAround && name === waitsFor.name)?.name
}

/** The locks that members of a deadlock hold shared and request exclusively. */
export function upgradedIn({ cycle }: DeadlockReport): LockLabel[] {
  const upgrades = cycle.filter(
    ({ holds, waitsFor }) =>
      waitsFor.mode === 'exclusive' &&
      holds.some(({ name, mode }) => mode === 'shared' && name === waitsFor.name),
  )
  return [...new Set(upgrades.map(({ waitsFor }) => waitsFor.name))]
}
