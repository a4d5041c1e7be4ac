/** The edges from waiting requests to those whose tasks may hold what blocks them. */

import type { Root } from './guard-cycle.ts'
import type { Request } from './request.ts'
import { FIT, type Fit } from './task-evidence.ts'

/** An edge to a request whose task may have a holding, with how well the holding fits that task. */
export interface Edge {
  readonly to: Request
  readonly root: Root
  readonly fit: Fit
}

/** Repeatedly removes requests that lead to no other request, or to which none leads. */
export function coreOf(
  edges: ReadonlyMap<Request, readonly Edge[]>,
): Map<Request, readonly Edge[]> {
  let core = new Map(edges)
  for (let before = -1; core.size !== before; ) {
    before = core.size
    const ledTo = new Set<Request>()
    for (const from of core.values()) for (const { to } of from) ledTo.add(to)
    const next = new Map<Request, readonly Edge[]>()
    for (const [request, from] of core) {
      const inside = from.filter(({ to }) => core.has(to))
      if (ledTo.has(request) && inside.length > 0) next.set(request, inside)
    }
    core = next
  }
  return core
}

/**
 * Assigns each guard to at most one waiting request, and each request at most one guard: best fit first, then
 * oldest. Keeps every edge whose fit is `FIT.certain`.
 */
export function assign(edges: ReadonlyMap<Request, readonly Edge[]>): Set<Edge> {
  const assigned = new Set<Edge>()
  const taken = new Map<Request, Request>()
  const served = new Map<Request, Request>()
  const all = [...edges.values()].flat()
  all.sort((a, b) => a.fit - b.fit || a.to.id - b.to.id || a.root.by.id - b.root.by.id)
  for (const edge of all) {
    const { to, fit } = edge
    const guard = edge.root.by
    const isFree = (taken.get(guard) ?? to) === to && (served.get(to) ?? guard) === guard
    if (fit !== FIT.certain && !isFree) continue
    taken.set(guard, to)
    served.set(to, guard)
    assigned.add(edge)
  }
  return assigned
}
