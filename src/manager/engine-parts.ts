/** Makes the parts of one manager and connects them. */

import { Admission } from './admission.ts'
import type { Callbacks } from './callbacks.ts'
import { DeadlockDetector } from './deadlock-detector.ts'
import type { DeadlockVictims } from './found-cycles.ts'
import type { LateRequests } from './late-requests.ts'
import { Leaks } from './leaks.ts'
import { Losses } from './losses.ts'
import { Nesting } from './nesting.ts'
import { OrderChecker } from './order-checker.ts'
import { Outcomes, type Transitions } from './outcomes.ts'
import { isHolderProvedToWait } from './proof.ts'
import type { Request } from './request.ts'
import { NO_WAITS, WaitGraph } from './wait-graph.ts'
import { Watchdog, type WatchdogOptions } from './watchdog.ts'

/** Options of an `Engine`. `LockManagerOptions` explains those that are not explained here. */
export interface EngineOptions extends WatchdogOptions {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: DeadlockVictims
  /** Whether to keep an order graph. */
  readonly trackOrder: boolean
}

/** The parts of one manager, besides its backend. */
export interface Parts {
  readonly detector: DeadlockDetector
  readonly nesting: Nesting
  readonly watchdog: Watchdog
  readonly leaks: Leaks
  readonly losses: Losses
  readonly admission: Admission
  readonly outcomes: Outcomes
}

/** The members of the engine that its parts call. */
interface Host extends Transitions {
  readonly late: LateRequests | undefined
}

/** Makes the parts of an engine. Attaches the backend, which gets the functions that report and prove. */
export function partsOf(options: EngineOptions, engine: Host, callbacks: Callbacks): Parts {
  const { backend, callSites, reports, deadlockAfterMs, deadlockVictims } = options
  const giveUp = (request: Request, reason: unknown): void => engine.giveUp(request, reason)
  const graph = new WaitGraph(backend.waits ?? NO_WAITS)
  const order = options.trackOrder ? new OrderChecker(options) : undefined
  const detector = new DeadlockDetector({ ...options, graph, fail: giveUp })
  const watchdog = new Watchdog(options, detector, giveUp)
  const losses = new Losses(callSites, watchdog, (request) => void engine.end(request), giveUp)
  const admission = new Admission({ engine, backend, callSites, order, watchdog, losses })
  backend.attach({
    deadlockAfterMs,
    deadlockVictims,
    report: (report) => reports.deadlock(report),
    prove: isHolderProvedToWait,
  })
  return {
    detector,
    nesting: new Nesting(detector),
    watchdog,
    leaks: new Leaks(options),
    losses,
    admission,
    outcomes: new Outcomes({ engine, admission, callbacks, detector, watchdog }),
  }
}
