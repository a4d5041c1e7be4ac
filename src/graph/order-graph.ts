/**
 * The order graph: every lock that was ever wanted while another was held. A cycle in it is a
 * possible deadlock, found although nothing hung.
 *
 * After the lock-order checker of Linux (lockdep) and Abseil's mutexes: nodes are classes of locks, so
 * that one run over few locks speaks for all of them; where a class nests in itself, its locks stand in
 * a graph of their own by name. order-cycle.ts says which cycles count.
 *
 * A cycle is reported once. Cycles whose edges have the same call sites and classes are *similar* (and those of
 * the same call sites, whatever the classes, where these are many): the first is reported, and then only those
 * after which there are 10, 100, 1,000 and so on more.
 *
 * Between two nodes there is an edge for each pair of modes that was seen, so that a cycle is made of
 * what did happen.
 *
 * Cost: for a pair that is known, two look-ups, and a look at its gates; for a new one, a search. One
 * request makes {@link MOST_PAIRS} look-ups at most, and {@link MOST_STEPS} steps of searches. Memory:
 * one entry for each edge, at most {@link MOST_EDGES}, of names up to {@link LONGEST_NAME}. What goes
 * beyond these is not recorded.
 */

import { firstCall } from '../core/call-site.ts'
import type { WantedLock } from '../core/modes.ts'
import { classOf } from '../core/names.ts'
import type { PossibleDeadlockEdge, PossibleDeadlockReport } from '../core/report.ts'
import { isPowerOfTen, SimilarReports } from '../core/similar.ts'
import { type Budget, cycleThrough, isWithin, type OrderEdge } from './order-cycle.ts'

/** The graph never grows beyond so many edges. */
export const MOST_EDGES = 16_384
/**
 * Requests that have to do with longer names, in UTF-16 code units, are not recorded: without those
 * names as gates, there would be cycles that cannot come about.
 */
const LONGEST_NAME = 256
/** Of one request, so many pairs of a lock that is held and one that is wanted are looked at. */
const MOST_PAIRS = 4096
/** The searches for one request give up after so many steps. */
const MOST_STEPS = 100_000

/** Who wants more, described only where it is asked for. */
export interface Wisher<Held extends WantedLock<string> = WantedLock<string>> {
  label(): string
  /** The call stack of the request. */
  wantedAt(): Pick<PossibleDeadlockEdge, 'wantedAt'>
  /** The call stack at which a lock that is held was asked for, or a similar one. */
  heldAt(held: Held): Pick<PossibleDeadlockEdge, 'heldAt' | 'similarHeldAt'>
}

/** Nodes and edges: those of the classes, or of the names in them. */
class Graph {
  /** From a node, by where they lead. */
  readonly edges = new Map<string, Map<string, OrderEdge[]>>()
  /** Every node to which an edge leads. */
  readonly wanted = new Set<string>()

  add(edge: OrderEdge): void {
    const edges = this.edges.get(edge.held) ?? new Map<string, OrderEdge[]>()
    this.edges.set(edge.held, edges.set(edge.wanted, [...(edges.get(edge.wanted) ?? []), edge]))
    this.wanted.add(edge.wanted)
  }

  cycleThrough(edge: OrderEdge, budget: Budget): OrderEdge[] | undefined {
    // Most edges lead on from what nobody wants, or to where nothing leads on.
    if (!this.wanted.has(edge.held) || !this.edges.has(edge.wanted)) return undefined
    return cycleThrough(edge, (node) => this.edges.get(node)?.values() ?? [], budget)
  }
}

/** What was ever wanted while something was held. */
export class OrderGraph {
  readonly #classes = new Graph()
  readonly #names = new Graph()
  readonly #told = new Set<string>()
  readonly #similar: SimilarReports
  readonly #maxEdges: number
  #edges = 0

  constructor(maxEdges: number = MOST_EDGES) {
    this.#maxEdges = maxEdges
    this.#similar = new SimilarReports(maxEdges)
  }

  /** How many edges there are. */
  get size(): number {
    return this.#edges
  }

  /** Whether to record this would change nothing: every edge of it is known, as it is now. */
  isKnown(held: readonly WantedLock<string>[], wanted: readonly WantedLock<string>[]): boolean {
    if (isAnyTooLong(held) || isAnyTooLong(wanted)) return true
    let alone: ReadonlySet<string> | undefined
    let within = NO_NAMES
    return everyPair(held, wanted, (from, to, fromClass, toClass) => {
      const edge = this.#edgeOf(from, to, fromClass, toClass)
      if (edge === undefined) return false
      // Edges that were recorded together share their gates.
      if (edge.gates.size === 0 || edge.gates === within) return true
      alone ??= namesAlone(held)
      if (!isWithin(edge.gates, alone)) return false
      within = edge.gates
      return true
    })
  }

  /** The same of one lock that is held and one that is wanted: most have no more, and need no lists. */
  isPairKnown(held: WantedLock<string>, wanted: WantedLock<string>): boolean {
    if (held.name === wanted.name) return true
    const edge = this.#edgeOf(held, wanted, classOf(held.name), classOf(wanted.name))
    return edge !== undefined && edge.gates.size === 0
  }

  /** Records that `wanted` was asked for while `held` was held; the cycles which that closes. */
  record<Held extends WantedLock<string>>(
    held: readonly Held[],
    wanted: readonly WantedLock<string>[],
    wisher: Wisher<Held>,
  ): PossibleDeadlockReport[] {
    const reports: PossibleDeadlockReport[] = []
    const alone = namesAlone(held)
    const left = new Map<ReadonlySet<string>, ReadonlySet<string>>()
    const beside = new Map<string, ReadonlySet<string>>()
    const gatesBeside = (cls: string): ReadonlySet<string> => {
      const gates = beside.get(cls) ?? ofOtherClasses(alone, cls)
      beside.set(cls, gates)
      return gates
    }
    const budget: Budget = { steps: MOST_STEPS }
    everyPair(held, wanted, (from, to, fromClass, toClass) => {
      const isInside = fromClass === toClass
      const graph = isInside ? this.#names : this.#classes
      let edge = this.#edgeOf(from, to, fromClass, toClass)
      if (edge) {
        const { gates } = edge
        if (!left.has(gates)) left.set(gates, common(gates, alone))
        edge.gates = left.get(gates) ?? NO_NAMES
        if (edge.gates.size === gates.size) return true
      } else if (this.#edges < this.#maxEdges) {
        this.#edges++
        edge = {
          held: isInside ? from.name : fromClass,
          wanted: isInside ? to.name : toClass,
          heldAs: from.name,
          wantedAs: to.name,
          label: wisher.label(),
          ...wisher.heldAt(from),
          ...wisher.wantedAt(),
          gates: isInside || from.mode === 'shared' ? alone : gatesBeside(fromClass),
          heldShared: from.mode === 'shared',
          wantedShared: to.mode === 'shared',
        }
        graph.add(edge)
      } else return true
      const cycle = graph.cycleThrough(edge, budget)
      if (cycle && !this.#isTold(cycle)) {
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

  /** The edge for two locks, in their modes. */
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

  /** Whether a cycle was told before; it is from now on. */
  #isTold(cycle: readonly OrderEdge[]): boolean {
    const nodes = cycle.map(({ held }) => held)
    const first = nodes.indexOf([...nodes].sort()[0] as string)
    const key = JSON.stringify([...nodes.slice(first), ...nodes.slice(0, first)])
    if (this.#told.has(key)) return true
    if (this.#told.size < this.#maxEdges) this.#told.add(key)
    return false
  }

  /** The number of cycles before this one with the same call sites and classes. */
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
  for (const { name } of locks) if (name.length > LONGEST_NAME) return true
  return false
}

/**
 * Calls `see` with every pair that is an edge of its own, as long as it answers true; whether it always
 * did. Locks that follow each other in one class and mode are one node to the locks of other classes.
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
      if (++pairs > MOST_PAIRS) return true
      if (!see(from, to, fromClass, toClass)) return false
    }
  }
  return true
}

/** The names that are held alone. The one lock that is held is no gate: it is what the edge is about. */
function namesAlone(held: readonly WantedLock<string>[]): ReadonlySet<string> {
  if (held.length < 2) return NO_NAMES
  return new Set(held.filter(({ mode }) => mode === 'exclusive').map(({ name }) => name))
}

/** The names that are in both; the first set itself where that is all of it. */
function common(names: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return isWithin(names, others) ? names : new Set([...names].filter((name) => others.has(name)))
}

/** An edge between classes is about every lock of its class that is held: none of them is a gate. */
function ofOtherClasses(names: ReadonlySet<string>, cls: string): ReadonlySet<string> {
  return new Set([...names].filter((name) => classOf(name) !== cls))
}

function toPlainEdge(edge: OrderEdge): PossibleDeadlockEdge {
  const { gates, heldShared, wantedShared, ...plain } = edge
  return plain
}
