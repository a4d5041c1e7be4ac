/**
 * Cycles in the order graph through one edge: the shortest in which all could wait for each other.
 *
 * A cycle does not count where
 *
 * - a *gate*, a lock that is held alone on all its edges, keeps its ways apart;
 * - at some node both who wants it and who holds it want it shared; or
 * - it comes to a node twice: two would hold the same lock.
 *
 * Breadth first over ways. A way is not followed where a shorter one has come to the same node with no
 * more gates and as much in the way of others. So a cycle can be missed that, because of a gate or a
 * mode, must go round by a node which it needs again later.
 *
 * Cost: without gates and modes, every edge that can be reached, once; with them, at most the budget. A step is
 * a look at an edge or a gate.
 */

import type { PossibleDeadlockEdge } from '../core/report.ts'

/** An edge of the order graph. */
export interface OrderEdge extends PossibleDeadlockEdge {
  /** The names that were held alone beside it, every time that it was seen. */
  gates: ReadonlySet<string>
  readonly heldShared: boolean
  readonly wantedShared: boolean
}

/** How many steps a search may still make. Searches count it down. */
export interface Budget {
  steps: number
}

/** A way through the graph, by its last edge. */
interface Way {
  readonly edge: OrderEdge
  readonly before: Way | undefined
  /** What would keep all its edges apart. */
  readonly gates: ReadonlySet<string>
}

/** The edges from a node, by where they lead. */
type EdgesFrom = (node: string) => Iterable<readonly OrderEdge[]>

/** The shortest cycle through an edge, which comes first; `undefined` if none is found. */
export function cycleThrough(
  closing: OrderEdge,
  edgesFrom: EdgesFrom,
  budget: Budget,
): OrderEdge[] | undefined {
  const start: Way = { edge: closing, before: undefined, gates: gatesOf(closing, closing.gates) }
  const arrived = new Map([[closing.wanted, [start]]])
  const ways = [start]
  for (const way of ways) {
    for (const edges of edgesFrom(way.edge.wanted)) {
      for (const edge of edges) {
        if (budget.steps-- <= 0) return undefined
        if (!meet(way.edge, edge)) continue
        budget.steps -= way.gates.size
        const next: Way = { edge, before: way, gates: gatesOf(edge, way.gates) }
        if (edge.wanted === closing.held) {
          if (next.gates.size === 0 && meet(edge, closing)) return edgesOf(next)
          continue
        }
        const others = arrived.get(edge.wanted)
        if (others === undefined) arrived.set(edge.wanted, [next])
        else if (isAnyAsGood(others, next, budget) || holds(way, edge.wanted, budget)) continue
        else others.push(next)
        ways.push(next)
      }
    }
  }
  return undefined
}

/** Whether all of some names are among others. */
export function isWithin(names: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const name of names) if (!others.has(name)) return false
  return true
}

/** Of some names, those that an edge was always seen with, and that are not what it holds itself. */
function gatesOf(edge: OrderEdge, names: ReadonlySet<string>): ReadonlySet<string> {
  if (names.size === 0) return names
  const gates = new Set<string>()
  for (const name of names) if (name !== edge.held && edge.gates.has(name)) gates.add(name)
  return gates
}

/** Whether who wants a lock on one edge may have to wait for who holds it on the next. */
function meet(wanting: OrderEdge, holding: OrderEdge): boolean {
  return !(wanting.wantedShared && holding.heldShared)
}

/** Whether one of some ways to the same node leads on to wherever another one does. */
function isAnyAsGood(ways: readonly Way[], other: Way, budget: Budget): boolean {
  for (const { edge, gates } of ways) {
    if (edge.wantedShared && !other.edge.wantedShared) continue
    budget.steps -= 1 + gates.size
    if (isWithin(gates, other.gates)) return true
  }
  return false
}

/** Whether a node is held on some edge of a way. */
function holds(way: Way, node: string, budget: Budget): boolean {
  for (let at: Way | undefined = way; at; at = at.before) {
    budget.steps--
    if (at.edge.held === node) return true
  }
  return false
}

function edgesOf(way: Way): OrderEdge[] {
  const edges: OrderEdge[] = []
  for (let at: Way | undefined = way; at; at = at.before) edges.push(at.edge)
  return edges.reverse()
}
