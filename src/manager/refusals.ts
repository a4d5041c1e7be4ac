/** Why a request is not granted, or loses what it was granted: the errors that say so. */

import type { Queues } from '../backends/local/queues.ts'
import {
  type Caller,
  LockNotAvailableError,
  LockOrderError,
  LockTimeoutError,
} from '../core/errors.ts'
import { blockersText, upgradeAdvice, upgradesIn } from '../core/holder-text.ts'
import { listed, quoted } from '../core/listed.ts'
import { classOf } from '../core/names.ts'
import type { DeclaredOrder } from '../core/order.ts'
import { namesIn, type Plan } from '../core/plan.ts'
import { visible } from '../core/visible.ts'
import { describeRoots, waitsOf, waitsOfPlan } from './blockers.ts'
import { type Places, stackAt } from './places.ts'
import type { Request } from './request.ts'

/** For `acquire()` with `ifAvailable`. */
export function notAvailable(
  plan: Plan,
  queues: Queues<Request>,
  places: Places,
  caller: Caller,
): LockNotAvailableError {
  const holders = describeRoots(waitsOfPlan(queues, plan), places)
  return new LockNotAvailableError(
    `acquire: ${shown(plan)} cannot be had at once, and ifAvailable was asked for: ` +
      blockersText(holders),
    caller,
  )
}

/** For a wait of `timeoutMs`. */
export function timedOut(
  request: Request,
  timeoutMs: number,
  places: Places,
  caller: Caller,
): LockTimeoutError {
  const holders = describeRoots(waitsOf(request), places, request)
  const upgrades = upgradesIn(holders)
  const advice = upgrades.length > 0 ? `. What to change: ${upgradeAdvice(upgrades)}` : ''
  const error = new LockTimeoutError(
    `${shown(request.plan)} could not be had within ${timeoutMs} ms: ` +
      `waits for ${blockersText(holders)}${advice}`,
    caller,
  )
  const place = places.of(request)
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
    visible(`request: another request has stolen the lock ${shown(plan)}`),
    'AbortError',
  )
}

function shown(plan: Plan): string {
  return listed(namesIn(plan).map(quoted))
}
