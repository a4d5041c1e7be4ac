/**
 * The order graph: every lock that was ever wanted while another was held. A circle in it is a
 * possible deadlock, found although nothing hung.
 *
 * After the lock-order checker of Linux (lockdep) and Abseil's mutexes: nodes are classes of locks, so
 * that one run over few locks speaks for all of them; where a class nests in itself, its locks stand in
 * a graph of their own by name. The first wish that closes a circle is told, once for each circle, unless
 *
 * - a *gate*, a lock held alone on all edges of the circle, keeps its ways apart; or
 * - at some node both who wants it and who holds it want it shared.
 *
 * Between two nodes there is an edge for each pair of modes that was seen, so that a circle is made of
 * what did happen.
 *
 * Cost: for an edge that is known, two look-ups and a look at its gates; for a new one, a search.
 * Memory: one entry for each edge, at most {@link MOST_EDGES}; what comes later is not recorded.
 */

import type { WantedLock } from '../core/modes.ts'
import { classOf } from '../core/names.ts'
import type { PossibleDeadlockEdge, PossibleDeadlockReport } from '../core/report.ts'

/** The graph never grows beyond so many edges. */
export const MOST_EDGES = 16_384
/** A search for a circle gives up after so many steps. */
const MOST_STEPS = 100_000

/** Who wants more, described only where it is asked for. */
export interface Wisher<Held extends WantedLock<string> = WantedLock<string>> {
  label(): string
  /** The call stack of the wish. */
  wantedAt(): string
  /** The call stack at which a lock that is held was asked for; `''` if it was not kept. */
  heldAt(held: Held): string
}

interface Edge extends PossibleDeadlockEdge {
  gates: readonly string[]
  readonly heldShared: boolean
  readonly wantedShared: boolean
}

/** What was ever wanted while something was held. */
export class OrderGraph {
  readonly #classes = new Map<string, Map<string, Edge[]>>()
  readonly #names = new Map<string, Map<string, Edge[]>>()
  readonly #told = new Set<string>()
  readonly #maxEdges: number
  #edges = 0

  constructor(maxEdges: number = MOST_EDGES) {
    this.#maxEdges = maxEdges
  }

  /** How many edges there are. */
  get size(): number {
    return this.#edges
  }

  /** Whether to record this would change nothing: every edge of it is known, as it is now. */
  isKnown(held: readonly WantedLock<string>[], wanted: readonly WantedLock<string>[]): boolean {
    for (let i = 0; i < held.length; i++) {
      const from = held[i] as WantedLock<string>
      for (let j = 0; j < wanted.length; j++) {
        const to = wanted[j] as WantedLock<string>
        if (from.name === to.name) continue
        const edge = inModes(this.#edgesFor(from.name, to.name), from, to)
        if (edge === undefined) return false
        if (!edge.gates.every((gate) => isGate(gate, from, held))) return false
      }
    }
    return true
  }

  /** Records that `wanted` was asked for while `held` was held; the circles which that closes. */
  record<Held extends WantedLock<string>>(
    held: readonly Held[],
    wanted: readonly WantedLock<string>[],
    wisher: Wisher<Held>,
  ): PossibleDeadlockReport[] {
    let reports: PossibleDeadlockReport[] | undefined
    for (const from of held) {
      for (const to of wanted) {
        const report = this.#record(from, to, held, wisher)
        if (report) reports = [...(reports ?? []), report]
      }
    }
    return reports ?? NONE
  }

  #edgesFor(from: string, to: string): readonly Edge[] | undefined {
    const fromClass = classOf(from)
    const toClass = classOf(to)
    return fromClass === toClass
      ? this.#names.get(from)?.get(to)
      : this.#classes.get(fromClass)?.get(toClass)
  }

  #record<Held extends WantedLock<string>>(
    from: Held,
    to: WantedLock<string>,
    held: readonly Held[],
    wisher: Wisher<Held>,
  ): PossibleDeadlockReport | undefined {
    if (from.name === to.name) return undefined
    const [fromClass, toClass] = [classOf(from.name), classOf(to.name)]
    const isInside = fromClass === toClass
    const graph = isInside ? this.#names : this.#classes
    const [fromNode, toNode] = isInside ? [from.name, to.name] : [fromClass, toClass]
    const known = inModes(graph.get(fromNode)?.get(toNode), from, to)
    if (known)
      return hasFewerGates(known, from, held) ? this.#circleThrough(known, graph) : undefined
    if (this.#edges >= this.#maxEdges) return undefined
    this.#edges++
    const edge: Edge = {
      held: fromNode,
      wanted: toNode,
      heldAs: from.name,
      wantedAs: to.name,
      label: wisher.label(),
      heldAt: wisher.heldAt(from),
      wantedAt: wisher.wantedAt(),
      gates: gatesOf(from, held),
      heldShared: from.mode === 'shared',
      wantedShared: to.mode === 'shared',
    }
    const edges = graph.get(fromNode) ?? new Map<string, Edge[]>()
    graph.set(fromNode, edges.set(toNode, [...(edges.get(toNode) ?? []), edge]))
    return this.#circleThrough(edge, graph)
  }

  /** The circle that an edge closes, if it is one in which all could wait for each other. */
  #circleThrough(
    closing: Edge,
    graph: ReadonlyMap<string, ReadonlyMap<string, readonly Edge[]>>,
  ): PossibleDeadlockReport | undefined {
    let steps = 0
    const visit = (way: Edge[], gates: readonly string[]): Edge[] | undefined => {
      const last = way.at(-1) as Edge
      for (const edge of [...(graph.get(last.wanted)?.values() ?? [])].flat()) {
        if (steps++ > MOST_STEPS) return undefined
        if (
          !meet(last, edge) ||
          way.some(({ held }) => held === edge.wanted && held !== closing.held)
        )
          continue
        const left = gates.filter((gate) => edge.gates.includes(gate))
        const isCircle = edge.wanted === closing.held
        if (isCircle && left.length === 0 && meet(edge, closing)) return [...way, edge]
        const found = isCircle ? undefined : visit([...way, edge], left)
        if (found) return found
      }
      return undefined
    }
    const circle = visit([closing], closing.gates)
    if (circle === undefined || this.#isTold(circle)) return undefined
    return { kind: 'possible-deadlock', cycle: circle.map(toPlainEdge) }
  }

  /** Whether a circle was told before; it is from now on. */
  #isTold(circle: readonly Edge[]): boolean {
    const nodes = circle.map(({ held }) => held)
    const first = nodes.indexOf([...nodes].sort()[0] as string)
    const key = JSON.stringify([...nodes.slice(first), ...nodes.slice(0, first)])
    if (this.#told.has(key)) return true
    if (this.#told.size < this.#maxEdges) this.#told.add(key)
    return false
  }
}

const NONE: PossibleDeadlockReport[] = []

/** Whether who wants a lock on one edge may have to wait for who holds it on the next. */
function meet(wanting: Edge, holding: Edge): boolean {
  return !(wanting.wantedShared && holding.heldShared)
}

/** Of the edges between two nodes, the one of these modes. */
function inModes(
  edges: readonly Edge[] | undefined,
  from: WantedLock<string>,
  to: WantedLock<string>,
): Edge | undefined {
  return edges?.find(
    ({ heldShared, wantedShared }) =>
      heldShared === (from.mode === 'shared') && wantedShared === (to.mode === 'shared'),
  )
}

/** Whether a known edge was now seen with fewer gates; it remembers that. */
function hasFewerGates(
  edge: Edge,
  from: WantedLock<string>,
  held: readonly WantedLock<string>[],
): boolean {
  const gates = edge.gates.filter((gate) => isGate(gate, from, held))
  if (gates.length === edge.gates.length) return false
  edge.gates = gates
  return true
}

/** Whether a name is a gate: another lock than this one, held alone. */
function isGate(
  name: string,
  from: WantedLock<string>,
  held: readonly WantedLock<string>[],
): boolean {
  return name !== from.name && held.some((one) => one.name === name && one.mode === 'exclusive')
}

/** The locks held alone beside this one. */
function gatesOf(from: WantedLock<string>, held: readonly WantedLock<string>[]): string[] {
  return held.map(({ name }) => name).filter((name) => isGate(name, from, held))
}

function toPlainEdge({ gates, heldShared, wantedShared, ...edge }: Edge): PossibleDeadlockEdge {
  return edge
}
