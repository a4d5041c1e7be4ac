/** Why a request is not granted, or loses what it was granted: the errors that say so. */

import {
  type Caller,
  LockLostError,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
} from '../core/errors.ts'
import { classOf } from '../core/names.ts'
import type { DeclaredOrder } from '../core/order.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { visible } from '../core/visible.ts'
import { type Places, stackAt } from './places.ts'
import { blockersByName, isNestedIn, labelOf, type Request } from './request.ts'

/** So many things are shown of a list; of more, how many there are. */
const SHOWN = 10
/** So much of a name is shown. */
const SHOWN_LENGTH = 100

/** For `acquire()` with `ifAvailable`. */
export function notAvailable(plan: Plan, caller: Caller): LockNotAvailableError {
  return new LockNotAvailableError(
    `acquire: ${shown(plan)} cannot be had at once, and ifAvailable was asked for`,
    caller,
  )
}

/** For a wait of `timeoutMs`, whose request was made at `place`. */
export function timedOut(request: Request, place: string, caller: Caller): LockTimeoutError {
  const { plan, options } = request
  const called = (blocker: Request): string =>
    labelOf(blocker) + (isNestedIn(request, blocker) ? ', in whose callback it was made' : '')
  const blockers = [...blockersByName(request)].map(
    ([name, before]) => `${brief(name)} behind ${listed(before.map(called))}`,
  )
  const error = new LockTimeoutError(
    `${shown(plan)} could not be had within ${options.timeoutMs} ms: waits for ${listed(blockers)}`,
    caller,
  )
  if (place !== '') error.stack = stackAt(error, place)
  return error
}

/** For a request against the declared order. */
export function againstOrder(
  order: DeclaredOrder,
  wanted: string,
  held: string,
  caller: Caller,
): LockOrderError {
  const cure = classOf(wanted) === classOf(held) ? '' : `, or '${wanted}' first`
  return new LockOrderError(
    `'${wanted}' was asked for while '${held}' is held, against the declared order ` +
      `(${order.classes.join(' < ')}): take both in one request${cure}`,
    caller,
  )
}

/**
 * For a holder whose locks were stolen: an `AbortError`, as in Web Locks, with the stack of the victim's
 * call where that was kept. Its `cause` is a LockLostError with the stack of the thief's call, by which it
 * can be told from an abort.
 */
export function stolen(
  victim: Request,
  thief: Request,
  places: Places,
  caller: Caller,
): DOMException {
  places.keep(thief, caller)
  const victimAt = places.of(victim)
  const locks = shown(victim.plan)
  const by = labelOf(thief) + callSite(places.of(thief))
  const error = new DOMException(
    visible(`request: ${by} has stolen ${locks} from ${labelOf(victim)}`),
    'AbortError',
  )
  const lost = new LockLostError(
    `${labelOf(victim)}${callSite(victimAt)} has lost ${locks}, stolen by ${by}: its code runs on ` +
      'without the lock, unless it heeds lock.signal',
    caller,
  )
  // Not by the constructor's options: browsers take them for a name.
  Object.defineProperty(error, 'cause', { value: lost, configurable: true, writable: true })
  // The stack that it was made with is the thief's, which the cause has.
  const stack = victimAt === '' ? `${error.name}: ${error.message}` : stackAt(error, victimAt)
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true })
  return error
}

/** The innermost call of a stack, for a message; nothing where no stack was kept. */
function callSite(stack: string): string {
  const [call = ''] = stack.split('\n')
  return call === '' ? '' : ` (${call})`
}

function shown(plan: Plan): string {
  return listed(namesIn(plan).map(brief))
}

function listed(things: readonly string[]): string {
  const more = things.length > SHOWN ? `, … (${things.length} in all)` : ''
  return things.slice(0, SHOWN).join(', ') + more
}

function brief(name: string): string {
  return name.length > SHOWN_LENGTH ? `'${name.slice(0, SHOWN_LENGTH)}…'` : `'${name}'`
}
