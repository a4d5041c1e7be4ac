/** Checks the options of a lock manager. */

import type { Backend } from '../backends/backend.ts'
import { DeclaredOrder } from '../core/declared-order.ts'
import { LockUsageError } from '../core/errors.ts'
import { show } from '../core/format.ts'
import { OptionNames } from '../core/option-names.ts'
import { toMs } from './arguments.ts'
import { CallSites, type KeepCallSites } from './call-sites.ts'
import type { EngineOptions } from './engine-parts.ts'
import type { DeadlockVictims } from './found-cycles.ts'
import { Reports } from './reports.ts'
import type { Request } from './request.ts'
import { type Compare, defaultCompare } from './wanted.ts'

/** Options of a {@link LockManager}. */
export interface LockManagerOptions {
  /**
   * How long a deadlock must stand before its victim is rejected, in milliseconds. With 0 the victim is
   * rejected at once, with `Infinity` never. The deadlock is reported at once in any case. Default: 1000.
   */
  readonly deadlockAfterMs?: number | undefined
  /**
   * Which deadlocks have a victim. `'proved'`: only proved ones. `'likely'`: also suspected ones, if somebody
   * awaits each of their requests, and no other branch may release a guard in them. Use it where a rejected
   * request is better than one that may wait forever. Default: `'proved'`.
   */
  readonly deadlockVictims?: DeadlockVictims | undefined
  /**
   * Whether to keep a graph of the orders in which locks are taken, and to report possible deadlocks.
   * Default: true. Has no effect with a declared order, which requests cannot violate.
   */
  readonly trackOrder?: boolean | undefined
  /**
   * Which requests keep their call stacks for reports. `'sampled'`: the first 32, then one each 10 ms, and
   * always those that wait inside a holder. `'always'`: all, at some microseconds each. `'never'`: none.
   * Default: `'sampled'`.
   */
  readonly callSites?: KeepCallSites | undefined
  /**
   * The wait in milliseconds after which the event `slow` reports a stuck lock. The lock is reported once,
   * and again each time the wait has lasted twice as long. `Infinity`: never. Default: 10,000. Cost: one
   * timer for the manager while any request waits.
   */
  readonly longWaitMs?: number | undefined
  /**
   * The `timeoutMs` of requests that set none; a request's own `Infinity` means no limit. Default: no limit.
   * Cost: a timer and a call stack for each request that waits.
   */
  readonly timeoutMs?: number | undefined
  /**
   * The `warnAfterMs` of requests that set none; a request's own `Infinity` means no report. Default: no
   * report. Cost: a timer for each request that is granted.
   */
  readonly warnAfterMs?: number | undefined
  /** The classes of locks in the order in which they must be taken; see `defineOrder()`. */
  readonly order?: readonly string[] | undefined
  /** The store of the locks. A backend belongs to one manager. Default: the memory of this event loop. */
  readonly backend?: Backend | undefined
}

const OPTION_NAMES = new OptionNames([
  'deadlockAfterMs',
  'deadlockVictims',
  'trackOrder',
  'callSites',
  'order',
  'longWaitMs',
  'timeoutMs',
  'warnAfterMs',
  'backend',
])

/** Checked options, with the defaults filled in. */
export interface CheckedOptions extends EngineOptions {
  readonly order: DeclaredOrder | undefined
  readonly compare: Compare
}

/** @throws LockUsageError for an invalid option. */
export function toRequesterOptions(
  options: LockManagerOptions,
  defaultBackend: () => Backend<Request>,
): CheckedOptions {
  if (typeof options !== 'object' || options === null) {
    throw new LockUsageError(`LockManager: expected an object with options, not ${show(options)}`)
  }
  OPTION_NAMES.mustKnow(options, 'LockManager')
  const { trackOrder = true, callSites = 'sampled', deadlockVictims = 'proved' } = options
  const deadlockAfterMs = toMs(options.deadlockAfterMs, 'deadlockAfterMs') ?? 1000
  if (!['proved', 'likely'].includes(deadlockVictims)) {
    throw new LockUsageError(
      `deadlockVictims must be 'proved' or 'likely', not ${show(deadlockVictims)}`,
    )
  }
  if (!['sampled', 'always', 'never'].includes(callSites)) {
    throw new LockUsageError(
      `callSites must be 'sampled', 'always' or 'never', not ${show(callSites)}`,
    )
  }
  const order = options.order === undefined ? undefined : new DeclaredOrder(options.order)
  return {
    deadlockAfterMs,
    deadlockVictims,
    order,
    compare: order ? (a, b) => order.compare(a, b) : defaultCompare,
    trackOrder: trackOrder && order === undefined,
    callSites: new CallSites(callSites),
    reports: new Reports(deadlockAfterMs !== Number.POSITIVE_INFINITY),
    longWaitMs: toMs(options.longWaitMs, 'longWaitMs') ?? 10_000,
    timeoutMs: toMs(options.timeoutMs, 'timeoutMs'),
    warnAfterMs: toMs(options.warnAfterMs, 'warnAfterMs'),
    backend: options.backend === undefined ? defaultBackend() : toBackend(options.backend),
  }
}

function toBackend(backend: Backend): Backend<Request> {
  if (typeof backend === 'object' && backend !== null && 'acquire' in backend) {
    return backend as unknown as Backend<Request>
  }
  throw new LockUsageError(
    `backend must be an object that a backend of this library has made, not ${show(backend)}`,
  )
}
