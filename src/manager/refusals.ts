/** Makes the errors of requests that are not granted, or that lose their locks. */

import type { Other } from '../backends/backend.ts'
import { callSite, stackBeginningAt } from '../core/call-site.ts'
import type { DeclaredOrder } from '../core/declared-order.ts'
import {
  type Caller,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
} from '../core/errors.ts'
import { labelText, listed, quoted, visible } from '../core/format.ts'
import { classOf } from '../core/names.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import type { RootHolder } from '../core/report.ts'
import {
  blockedLabel,
  blockersText,
  heldHow,
  keepAllHint,
  OWNERS_ADVICE,
  reenteredIn,
  reentryAdvice,
  upgradeAdvice,
  upgradesIn,
} from '../core/report-text.ts'
import type { CallSites } from './call-sites.ts'
import { now } from './clock.ts'
import { Request } from './request.ts'
import { describeHolder } from './root-holders.ts'
import type { HeldLock } from './wait-graph.ts'

/** The error for `acquire()` with `ifAvailable`. */
export function notAvailable(
  request: Request,
  holders: readonly RootHolder[],
  caller: Caller,
): LockNotAvailableError {
  return new LockNotAvailableError(
    `acquire with ifAvailable: ${shown(request.plan)} could not be granted at once: ` +
      `${blockersText(holders, request)}. Try again later, or leave out ifAvailable to wait`,
    caller,
  )
}

/** The error for a wait that lasted `timeoutMs`. */
export function timedOut(
  request: Request,
  timeoutMs: number,
  holders: readonly RootHolder[],
  callSites: CallSites,
  caller: Caller | undefined,
): LockTimeoutError {
  const label = blockedLabel(request, holders)
  // A request without a label of its own is named only if a holder has the label that it inherits.
  const isNamed = request.options.label !== undefined || label !== labelText(request.label)
  const blockers = holders.length > 0 ? `: ${blockersText(holders, request)}` : ''
  const error = new LockTimeoutError(
    `${shown(request.plan)} could not be granted${isNamed ? ` to ${label}` : ''} within ${timeoutMs} ms` +
      `${blockers}. ${timeoutAdvice(holders)}${keepAllHint(holders)}`,
    caller,
  )
  const calls = callSites.of(request)
  if (calls !== '') error.stack = stackBeginningAt(error, calls)
  return error
}

/** Advice after a timeout: on a wait for the own task, or for another one. */
function timeoutAdvice(holders: readonly RootHolder[]): string {
  const upgrades = upgradesIn(holders)
  if (upgrades.length > 0) return `What to change: ${upgradeAdvice(upgrades)}`
  const reentered = reenteredIn(holders)
  return reentered === undefined
    ? 'Try again, set a longer timeoutMs, or let the holder release sooner'
    : `What to change: ${reentryAdvice(reentered, { isSuspected: true })}`
}

/**
 * The time at which a wait ended: now. Timers and the clock round differently, so the clock may be a
 * millisecond behind. The due time then counts, so that no holder seems to hold for less than the wait
 * lasted.
 */
export function endOf(request: Request, timeoutMs: number): number {
  const at = now()
  const due = request.since + timeoutMs
  return due - at === 1 ? due : at
}

/** The error for a request that violates the declared order. `owner`: the owner of the request, if any. */
export function againstOrder(
  order: DeclaredOrder,
  wanted: string,
  held: HeldLock,
  callSites: CallSites,
  owner: object | undefined,
  caller: Caller,
): LockOrderError {
  const holder = describeHolder(held, held.by, callSites, now())
  const sharesOwner = owner !== undefined && owner === held.by.options.owner
  const violation =
    `${quoted(wanted)} was requested while ${quoted(held.name)} is held by ${labelText(holder.label)} ` +
    `(${heldHow(holder)})`
  if (wanted === held.name) {
    const advice =
      holder.mode === 'shared' ? upgradeAdvice([wanted]) : reentryAdvice(wanted, { sharesOwner })
    return new LockOrderError(`${violation}: ${advice}`, caller)
  }
  const cure = classOf(wanted) === classOf(held.name) ? '' : `, or take ${quoted(wanted)} first`
  // An owner waits for its requests: none can be detached.
  const other = sharesOwner
    ? `; ${OWNERS_ADVICE}`
    : owner === undefined
      ? '; or, if the request is not part of what that holder does, make it with detached: true'
      : ''
  return new LockOrderError(
    `${violation}, against the declared order (${order.text}): take both in one request${cure}${other}`,
    caller,
  )
}

/**
 * The error for a holder whose locks were stolen: an `AbortError`, as in Web Locks, with the stack of the
 * victim's call if that was kept. Its `cause` is a LockLostError with the stack of the stealing call. The
 * cause distinguishes it from an abort.
 */
export function stolen(
  victim: Request,
  thief: Request | Other,
  callSites: CallSites,
  caller: Caller | undefined,
): DOMException {
  const victimAt = callSites.of(victim)
  const locks = shown(victim.plan)
  let taken = locks
  let by = thief.label
  if (thief instanceof Request) {
    if (caller) callSites.keep(thief, caller)
    const wanted = namesIn(thief.plan)
    const both = namesIn(victim.plan).filter((name) => wanted.includes(name))
    taken = listed(both.map(quoted))
    by += callSite(callSites.of(thief))
  } else if (thief.callSite !== undefined) by += ` (${thief.callSite})`
  const error = new DOMException(
    visible(
      `request: ${by} has stolen ${taken} from ${victim.label}${taken === locks ? '' : `, which has lost ${locks}`}. ` +
        stopAdvice(victim),
    ),
    'AbortError',
  )
  const lost = new LockLostError(
    `${victim.label}${callSite(victimAt)} has lost ${locks}, stolen by ${by}. ${stopAdvice(victim)}`,
    caller,
  )
  // Not set by the constructor's options: browsers take them for a name.
  Object.defineProperty(error, 'cause', { value: lost, configurable: true, writable: true })
  // The original stack is that of the stealing call, which the cause has.
  const stack =
    victimAt === '' ? `${error.name}: ${error.message}` : stackBeginningAt(error, victimAt)
  try {
    Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true })
  } catch {
    // V8 formats the stack first and calls `Error.prepareStackTrace`, which may throw.
  }
  return error
}

/** The error for a holder whose locks the backend has lost. */
export function goneFrom(request: Request, cause: Error, callSites: CallSites): LockLostError {
  const calls = callSites.of(request)
  const error = new LockLostError(
    `${request.label}${callSite(calls)} has lost ${shown(request.plan)}: ${cause.message}. ${stopAdvice(request)}`,
  )
  error.cause = cause
  if (calls !== '') error.stack = stackBeginningAt(error, calls)
  return error
}

/** Advice for code that goes on after its locks were lost. */
function stopAdvice({ isGuard }: Request): string {
  const [code, signal] = isGuard ? ['the code of the guard', 'guard'] : ['its callback', 'lock']
  return `The locks no longer protect ${code}: let it stop when ${signal}.signal aborts`
}

function shown(plan: Plan): string {
  return listed(namesIn(plan).map(quoted))
}
