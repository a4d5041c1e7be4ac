/** Why a request is not granted, or loses what it was granted: the errors that say so. */

import { ticketsOf } from '../backends/local/queues.ts'
import {
  type Caller,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
} from '../core/errors.ts'
import { classOf } from '../core/names.ts'
import type { DeclaredOrder } from '../core/order.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { stackAt } from './places.ts'
import { labelOf, type Request } from './request.ts'

/** So many names are shown; of more, how many there are. */
const SHOWN_NAMES = 10

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
  const blockers = new Set<string>()
  for (const { leads, before } of ticketsOf(request)) {
    if (!leads && before) blockers.add(`'${before.queue.name}' behind ${labelOf(before.claim)}`)
  }
  const error = new LockTimeoutError(
    `${shown(plan)} could not be had within ${options.timeoutMs} ms: waits for ` +
      `${[...blockers].join(', ')}`,
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

/** For whom a lock was stolen from, as Web Locks names it. */
export function stolen(plan: Plan): DOMException {
  return new DOMException(
    `request: another request has stolen the lock ${shown(plan)}`,
    'AbortError',
  )
}

function shown(plan: Plan): string {
  const names = namesIn(plan).map((name) => `'${name}'`)
  return (
    names.slice(0, SHOWN_NAMES).join(', ') +
    (names.length > SHOWN_NAMES ? `, … (${names.length} in all)` : '')
  )
}
