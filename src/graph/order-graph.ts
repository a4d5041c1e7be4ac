/**
 * The order graph: an edge for every lock that was ever requested while another was held. A cycle in it is a
 * possible deadlock, found although nothing hung.
 *
 * The design follows Linux's lock-order checker (lockdep) and Abseil's mutexes. Nodes are classes of locks,
 * so that one run over a few locks covers all of them. The locks of a class that nests in itself form a graph
 * of their own, by name. order-cycle.ts defines which cycles count.
 *
 * A cycle is reported once. Cycles whose edges have the same call sites and classes are *similar*. If the
 * same call sites have shown many sets of classes, cycles with any further set count as similar too
 * (core/similar.ts). The first of the similar cycles is reported, then only a cycle that has exactly 10, 100,
 * 1,000 and so on similar ones before it.
 *
 * Two nodes have one edge for each pair of modes that was seen, so that a cycle consists of real events.
 *
 * Cost: two look-ups and a check of the gates for a known pair; a search for a new one. One request checks at
 * most {@link MAX_PAIRS} pairs, and makes at most {@link MAX_STEPS} search steps. Memory: one entry for each
 * edge, at most {@link MAX_EDGES}, with names up to {@link MAX_NAME_LENGTH}. The graph does not record beyond
 * these limits.
 */

import { firstCall } from '../core/call-site.ts'
import type { WantedLock } from '../core/modes.ts'
import { classOf } from '../core/names.ts'
import type { PossibleDeadlockEdge, PossibleDeadlockReport } from '../core/report.ts'
import { isPowerOfTen, SimilarReports } from '../core/similar.ts'
import { type Budget, cycleThrough, isWithin, type OrderEdge } from './order-cycle.ts'

/** The maximum number of edges in the graph. */
export const MAX_EDGES = 16_384
/**
 * The maximum length of a name, in UTF-16 code units. Requests that involve a longer name are not recorded:
 * without that name as a gate, the graph would show impossible cycles.
 */
const MAX_NAME_LENGTH = 256
/** The maximum number of pairs of a held and a requested lock that are checked for one request. */
const MAX_PAIRS = 4096
/** The maximum number of search steps for one request. */
const MAX_STEPS = 100_000

/** The request for the wanted locks. Its label and the call stacks are computed only if needed. */
export interface WantedBy<Held extends WantedLock<string> = WantedLock<string>> {
  label(): string
  /** The call stack of the request. */
  wantedAt(): Pick<PossibleDeadlockEdge, 'wantedAt'>
  /** The call stack at which a held lock was requested, or a similar one. */
  heldAt(held: Held): Pick<PossibleDeadlockEdge, 'heldAt' | 'similarHeldAt'>
}

/** Nodes and edges: of the classes, or of the names within classes. */
class Graph {
  /** The edges, by source node and then by target node. */
  readonly edges = new Map<string, Map<string, OrderEdge[]>>()
  /** Every node that is the target of an edge. */
  readonly wanted = new Set<string>()

  add(edge: OrderEdge): void {
    const edges = this.edges.get(edge.held) ?? new Map<string, OrderEdge[]>()
    this.edges.set(edge.held, edges.set(edge.wanted, [...(edges.get(edge.wanted) ?? []), edge]))
    this.wanted.add(edge.wanted)
  }

  cycleThrough(edge: OrderEdge, budget: Budget): OrderEdge[] | undefined {
    // Most edges start at a node without incoming edges, or end at one without outgoing edges.
    if (!this.wanted.has(edge.held) || !this.edges.has(edge.wanted)) return undefined
    return cycleThrough(edge, (node) => this.edges.get(node)?.values() ?? [], budget)
  }
}

/** Records the pairs of held and requested locks, and finds the cycles in them. */
export class OrderGraph {
  readonly #classes = new Graph()
  readonly #names = new Graph()
  readonly #reported = new Set<string>()
  readonly #similar: SimilarReports
  readonly #maxEdges: number
  #edges = 0

  constructor(maxEdges: number = MAX_EDGES) {
    this.#maxEdges = maxEdges
    this.#similar = new SimilarReports(maxEdges)
  }

  /** The number of edges. */
  get size(): number {
    return this.#edges
  }

  /** Whether recording this would change nothing: all its edges are known, and none would lose a gate. */
  isKnown(held: readonly WantedLock<string>[], wanted: readonly WantedLock<string>[]): boolean {
    if (isAnyTooLong(held) || isAnyTooLong(wanted)) return true
    let exclusive: ReadonlySet<string> | undefined
    let within = NO_NAMES
    return everyPair(held, wanted, (from, to, fromClass, toClass) => {
      const edge = this.#edgeOf(from, to, fromClass, toClass)
      if (edge === undefined) return false
      // Edges that were recorded together share one set of gates.
      if (edge.gates.size === 0 || edge.gates === within) return true
      exclusive ??= exclusiveNames(held)
      if (!isWithin(edge.gates, exclusive)) return false
      within = edge.gates
      return true
    })
  }

  /** Like {@link isKnown}, for one held and one requested lock: the most frequent case, without lists. */
  isPairKnown(held: WantedLock<string>, wanted: WantedLock<string>): boolean {
    if (held.name === wanted.name) return true
    const edge = this.#edgeOf(held, wanted, classOf(held.name), classOf(wanted.name))
    return edge !== undefined && edge.gates.size === 0
  }

  /**
   * Records that `wanted` was requested while `held` was held. Returns the reports of the cycles that this
   * closes, except those that were reported and most of the similar ones.
   */
  record<Held extends WantedLock<string>>(
    held: readonly Held[],
    wanted: readonly WantedLock<string>[],
    request: WantedBy<Held>,
  ): PossibleDeadlockReport[] {
    const reports: PossibleDeadlockReport[] = []
    const exclusive = exclusiveNames(held)
    const left = new Map<ReadonlySet<string>, ReadonlySet<string>>()
    const beside = new Map<string, ReadonlySet<string>>()
    const gatesBeside = (cls: string): ReadonlySet<string> => {
      const gates = beside.get(cls) ?? ofOtherClasses(exclusive, cls)
      beside.set(cls, gates)
      return gates
    }
    const budget: Budget = { steps: MAX_STEPS }
    everyPair(held, wanted, (from, to, fromClass, toClass) => {
      const isInside = fromClass === toClass
      const graph = isInside ? this.#names : this.#classes
      let edge = this.#edgeOf(from, to, fromClass, toClass)
      if (edge) {
        const { gates } = edge
        if (!left.has(gates)) left.set(gates, common(gates, exclusive))
        edge.gates = left.get(gates) ?? NO_NAMES
        if (edge.gates.size === gates.size) return true
      } else if (this.#edges < this.#maxEdges) {
        this.#edges++
        edge = {
          held: isInside ? from.name : fromClass,
          wanted: isInside ? to.name : toClass,
          heldAs: from.name,
          wantedAs: to.name,
          label: request.label(),
          ...request.heldAt(from),
          ...request.wantedAt(),
          gates: isInside || from.mode === 'shared' ? exclusive : gatesBeside(fromClass),
          heldShared: from.mode === 'shared',
          wantedShared: to.mode === 'shared',
        }
        graph.add(edge)
      } else return true
      const cycle = graph.cycleThrough(edge, budget)
      if (cycle && !this.#isReported(cycle)) {
        const similar = this.#countSimilar(cycle)
        if (similar === 0 || isPowerOfTen(similar)) {
          reports.push({
            version: 1,
            kind: 'possible-deadlock',
            cycle: cycle.map(toPlainEdge),
            similar,
          })
        }
      }
      return true
    })
    return reports
  }

  /** Returns the edge for two locks in their modes. */
  #edgeOf(
    from: WantedLock<string>,
    to: WantedLock<string>,
    fromClass: string,
    toClass: string,
  ): OrderEdge | undefined {
    const edges =
      fromClass === toClass
        ? this.#names.edges.get(from.name)?.get(to.name)
        : this.#classes.edges.get(fromClass)?.get(toClass)
    if (edges === undefined) return undefined
    for (const edge of edges) {
      const isHeldSo = edge.heldShared === (from.mode === 'shared')
      if (isHeldSo && edge.wantedShared === (to.mode === 'shared')) return edge
    }
    return undefined
  }

  /** Returns whether a cycle was reported before, and marks it as reported. */
  #isReported(cycle: readonly OrderEdge[]): boolean {
    const nodes = cycle.map(({ held }) => held)
    const first = nodes.indexOf([...nodes].sort()[0] as string)
    const key = JSON.stringify([...nodes.slice(first), ...nodes.slice(0, first)])
    if (this.#reported.has(key)) return true
    if (this.#reported.size < this.#maxEdges) this.#reported.add(key)
    return false
  }

  /** Returns the number of earlier cycles with the same call sites and classes. */
  #countSimilar(cycle: readonly OrderEdge[]): number {
    const lines = new Set(cycle.map(({ wantedAt = '' }) => firstCall(wantedAt)))
    const classes = cycle.map(({ wantedAt = '', heldAs, wantedAs }) =>
      JSON.stringify([firstCall(wantedAt), classOf(heldAs), classOf(wantedAs)]),
    )
    return this.#similar.add([...lines].sort().join('\n'), [...new Set(classes)].sort().join())
  }
}

const NO_NAMES: ReadonlySet<string> = new Set()

function isAnyTooLong(locks: readonly WantedLock<string>[]): boolean {
  for (const { name } of locks) if (name.length > MAX_NAME_LENGTH) return true
  return false
}

/**
 * Calls `see` for every pair that has an edge of its own, until it returns false. Returns whether it never
 * did. Consecutive locks of one class and mode share their edges to and from other classes, so only the first
 * of them is visited there.
 */
function everyPair<Held extends WantedLock<string>>(
  held: readonly Held[],
  wanted: readonly WantedLock<string>[],
  see: (from: Held, to: WantedLock<string>, fromClass: string, toClass: string) => boolean,
): boolean {
  const toClasses = wanted.map(({ name }) => classOf(name))
  let lastClass: string | undefined
  let lastMode: string | undefined
  let pairs = 0
  for (const from of held) {
    const fromClass = classOf(from.name)
    const isAsLast = fromClass === lastClass && from.mode === lastMode
    lastClass = fromClass
    lastMode = from.mode
    for (let i = 0; i < wanted.length; i++) {
      const to = wanted[i] as WantedLock<string>
      const toClass = toClasses[i] as string
      if (from.name === to.name) continue
      if (fromClass !== toClass) {
        if (isAsLast) continue
        if (toClass === toClasses[i - 1] && to.mode === wanted[i - 1]?.mode) continue
      }
      if (++pairs > MAX_PAIRS) return true
      if (!see(from, to, fromClass, toClass)) return false
    }
  }
  return true
}

/** The names held exclusively. A single held lock is no gate: it is the source of the edge. */
function exclusiveNames(held: readonly WantedLock<string>[]): ReadonlySet<string> {
  if (held.length < 2) return NO_NAMES
  return new Set(held.filter(({ mode }) => mode === 'exclusive').map(({ name }) => name))
}

/** The names in both sets; the first set itself if it is a subset of the other. */
function common(names: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return isWithin(names, others) ? names : new Set([...names].filter((name) => others.has(name)))
}

/**
 * Removes the names of a class. An edge from an exclusively held lock of this class to another class stands
 * for all locks of this class that are held exclusively. So none of them is a gate.
 */
function ofOtherClasses(names: ReadonlySet<string>, cls: string): ReadonlySet<string> {
  return new Set([...names].filter((name) => classOf(name) !== cls))
}

function toPlainEdge(edge: OrderEdge): PossibleDeadlockEdge {
  const { gates, heldShared, wantedShared, ...plain } = edge
  return plain
}
