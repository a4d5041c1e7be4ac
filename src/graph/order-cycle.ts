/**
 * Finds the shortest cycle through one edge of the order graph whose members could all wait for each other.
 *
 * A cycle does not count if
 *
 * - a *gate*, a lock that is held exclusively on all its edges, prevents the requests from overlapping;
 * - at some node, both the request for the lock and its holder are shared; or
 * - it visits a node twice: two requests would hold the same lock.
 *
 * The search is breadth-first over paths. It drops a path if another one, not longer, has reached the same
 * node with a subset of its gates and a mode that blocks as much. So it can miss a cycle that, because of a
 * gate or a mode, must make a detour through a node which it needs again later.
 *
 * Cost: without gates and modes, each reachable edge once; with them, at most the budget. A step is a check
 * of one edge or one gate.
 */

import type { PossibleDeadlockEdge } from '../core/report.ts'

/** An edge of the order graph. */
export interface OrderEdge extends PossibleDeadlockEdge {
  /**
   * The names held exclusively every time the edge was seen. May include the edge's own lock, which is no
   * gate.
   */
  gates: ReadonlySet<string>
  readonly heldShared: boolean
  readonly wantedShared: boolean
}

/** The number of steps that searches may still make; they count it down. */
export interface Budget {
  steps: number
}

/** A path through the graph, given by its last edge. */
interface Path {
  readonly edge: OrderEdge
  readonly before: Path | undefined
  /** The gates that all its edges share. */
  readonly gates: ReadonlySet<string>
}

/** The edges from a node, grouped by target node. */
type EdgesFrom = (node: string) => Iterable<readonly OrderEdge[]>

/** Returns the shortest cycle through an edge, beginning with that edge; `undefined` if none is found. */
export function cycleThrough(
  closing: OrderEdge,
  edgesFrom: EdgesFrom,
  budget: Budget,
): OrderEdge[] | undefined {
  const start: Path = { edge: closing, before: undefined, gates: gatesOf(closing, closing.gates) }
  const arrived = new Map([[closing.wanted, [start]]])
  const paths = [start]
  for (const path of paths) {
    for (const edges of edgesFrom(path.edge.wanted)) {
      for (const edge of edges) {
        if (budget.steps-- <= 0) return undefined
        if (!meet(path.edge, edge)) continue
        budget.steps -= path.gates.size
        const next: Path = { edge, before: path, gates: gatesOf(edge, path.gates) }
        if (edge.wanted === closing.held) {
          if (next.gates.size === 0 && meet(edge, closing)) return edgesOf(next)
          continue
        }
        const others = arrived.get(edge.wanted)
        if (others === undefined) arrived.set(edge.wanted, [next])
        else if (isAnyAsGood(others, next, budget) || holds(path, edge.wanted, budget)) continue
        else others.push(next)
        paths.push(next)
      }
    }
  }
  return undefined
}

/** Whether `names` is a subset of `others`. */
export function isWithin(names: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const name of names) if (!others.has(name)) return false
  return true
}

/** Returns the gates among `names` that the edge shares; the lock that it holds itself does not count. */
function gatesOf(edge: OrderEdge, names: ReadonlySet<string>): ReadonlySet<string> {
  if (names.size === 0) return names
  const gates = new Set<string>()
  for (const name of names) if (name !== edge.held && edge.gates.has(name)) gates.add(name)
  return gates
}

/** Whether the request on one edge may have to wait for the holder on the next. */
function meet(wanting: OrderEdge, holding: OrderEdge): boolean {
  return !(wanting.wantedShared && holding.heldShared)
}

/** Whether one of `paths` to the same node can continue wherever `other` can. */
function isAnyAsGood(paths: readonly Path[], other: Path, budget: Budget): boolean {
  for (const { edge, gates } of paths) {
    if (edge.wantedShared && !other.edge.wantedShared) continue
    budget.steps -= 1 + gates.size
    if (isWithin(gates, other.gates)) return true
  }
  return false
}

/** Whether a node is held on some edge of a path. */
function holds(path: Path, node: string, budget: Budget): boolean {
  for (let at: Path | undefined = path; at; at = at.before) {
    budget.steps--
    if (at.edge.held === node) return true
  }
  return false
}

function edgesOf(path: Path): OrderEdge[] {
  const edges: OrderEdge[] = []
  for (let at: Path | undefined = path; at; at = at.before) edges.push(at.edge)
  return edges.reverse()
}
