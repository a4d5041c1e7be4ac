/**
 * A cycle of the wait-for graph, as the detector keeps it: waiting requests and the holdings that block them.
 */

import { findPath } from '../graph/path.ts'
import { isEndLikely, isEndProved, isLeftBehind, isWaitProved, waitsOf } from './proof.ts'
import { liveHolder, type Request } from './request.ts'
import { codeOf, isDoubtful } from './wait-graph.ts'

/** A waiting request, and its blocking holding. The holding cannot end before the next link's request. */
export interface Link {
  readonly waiting: Request
  readonly blocker: Request
}

/** A cycle: the end of each link's blocker waits for the next link's request. */
export type Cycle = readonly Link[]

/** Whether an edge of a graph leads from a holding to a waiting request. */
export type LeadsTo = (holding: Request, waiting: Request) => boolean

/**
 * The cycle along a path whose last node leads to its first. It has only the first of several holdings in a
 * row: the one that blocks the waiting request.
 */
export function cycleAlong(path: readonly Request[]): Cycle {
  return path
    .map((waiting, i) => ({ waiting, blocker: path[(i + 1) % path.length] as Request }))
    .filter(({ waiting }) => waiting.state === 'waiting')
}

/** The victim of a cycle: the youngest request, whichever search found the cycle. */
export function victimOf(cycle: Cycle): Request {
  const waiting = cycle.map((link) => link.waiting).filter((one) => liveHolder(one.holder))
  // There is at least one: a cycle leaves a holder only through a nested request that waits.
  return waiting.reduce((a, b) => (a.id > b.id ? a : b))
}

/** A key that identifies a cycle, whichever link it begins with. */
export function keyOf(cycle: Cycle): string {
  const ids = cycle.map(({ waiting, blocker }) => `${waiting.id}>${blocker.id}`)
  const [oldest] = [...cycle].sort((a, b) => a.waiting.id - b.waiting.id)
  const first = cycle.indexOf(oldest as Link)
  return [...ids.slice(first), ...ids.slice(0, first)].join()
}

/** Whether every holder in a cycle is proved to wait for its nested request. */
export function isProved(cycle: Cycle): boolean {
  return cycle.every(
    ({ waiting, blocker }, i) =>
      isWaitProved(waiting, blocker) && isEndProved(blocker, nextOf(cycle, i).waiting),
  )
}

/** Whether every holder in a cycle may wait for its nested request: there is no evidence against it. */
export function isLikely(cycle: Cycle): boolean {
  return cycle.every(
    ({ waiting, blocker }, i) =>
      isWaitProved(waiting, blocker) && isEndLikely(blocker, nextOf(cycle, i).waiting),
  )
}

/** The link after the link with index `i`. */
export function nextOf(cycle: Cycle, i: number): Link {
  return cycle[(i + 1) % cycle.length] as Link
}

/** The requests whose end, or whose change of holder, breaks the cycle. */
export function involvedIn(cycle: Cycle): Set<Request> {
  const involved = new Set<Request>()
  for (const [i, { waiting, blocker }] of cycle.entries()) {
    involved.add(waiting).add(blocker)
    const code = blocker.isGuard ? blocker.holder : blocker
    let at: Request | undefined = nextOf(cycle, i).waiting
    for (; at && at !== code; at = at.holder) involved.add(at)
    if (code) involved.add(code)
  }
  return involved
}

/**
 * Finds a cycle through a request, or through a request that waits inside its callback. `leadsTo` tests a
 * single edge, without listing the thousands of others that a holder may have.
 */
export function cycleThrough(
  request: Request,
  edges: (from: Request) => Iterable<Request>,
  leadsTo: LeadsTo,
): Cycle | undefined {
  for (const start of waitsOf(request)) {
    if (!isLedTo(start, leadsTo)) continue
    const path = findPath(start, (node) => leadsTo(node, start), edges)
    if (path) return cycleAlong(path)
  }
  return undefined
}

/** Whether `provedWaitsFor` leads from a holding to a waiting request. */
export function leadsByProof(holding: Request, waiting: Request): boolean {
  return isEndProved(holding, waiting) && isWaitingInside(codeOf(holding), waiting)
}

/** Whether `likelyWaitsFor` leads from a holding to a waiting request. */
export function leadsLikely(holding: Request, waiting: Request): boolean {
  if (leadsByProof(holding, waiting)) return true
  const { holder, isAwaited } = waiting
  if (codeOf(holding) !== holder || !isAwaited || !holder?.nested?.has(waiting)) return false
  return !isDoubtful(holding) && !isLeftBehind(waiting)
}

/** Whether `waitingInside` lists a request. */
function isWaitingInside(code: Request | undefined, waiting: Request): boolean {
  for (let at = waiting; at.isAwaited; ) {
    const { holder } = at
    if (!holder?.nested?.has(at)) return false
    if (holder === code) return true
    if (holder.state === 'waiting' || holder.isGuard) return false
    at = holder
  }
  return false
}

/** Whether the end of any holder around a request waits for it. Otherwise the request is in no cycle. */
function isLedTo(waiting: Request, leadsTo: LeadsTo): boolean {
  for (let at = waiting.holder; at; at = at.holder) if (leadsTo(at, waiting)) return true
  return false
}
