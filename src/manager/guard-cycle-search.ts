/**
 * Searches for suspected cycles of guards, where nobody knows which task has a guard: guards outside of
 * callbacks, or of owners that requests do not name.
 *
 * Steps  1. A waiting request leads to the holdings that block it. A holding leads to each waiting request
 *           whose task may have it (task-evidence.ts).
 *        2. The search prefers strong evidence: it finds the shortest cycle whose weakest link is as strong
 *           as possible. Among links of equal strength it first assigns each guard to one waiting request,
 *           the oldest to the oldest. So a cycle of many equal tasks is found as a whole.
 *        3. If it finds no cycle of several requests, it checks whether a request waits for a guard of its
 *           own task.
 *
 * These cycles are suspected, never proved. The deadlock detector finds a cycle whose every link is certain.
 *
 * Cost: at most {@link MAX_REQUESTS} waiting requests times as many holdings, once for each round of reports.
 * Then, for each report, a search among the requests that can be in a cycle.
 */

import type { Backend, Blocker } from '../backends/backend.ts'
import { findPath, reachable } from '../graph/path.ts'
import type { CallSites } from './call-sites.ts'
import type { GuardLink, Root } from './guard-cycle.ts'
import { assign, coreOf, type Edge } from './guard-edges.ts'
import { Request } from './request.ts'
import type { RootHolders } from './root-holders.ts'
import { FIT, type Fit, fitOf, isOutside, mayBeOwnGuard, type Waiting } from './task-evidence.ts'

/** The most waiting requests (the oldest), and the most holdings, that a search covers. */
const MAX_REQUESTS = 300

/** The most searches in a round of reports, for requests that are in no known cycle. */
const MAX_SEARCHES = 100
/** The most blocking requests that a search tries for one request. */
const MAX_TRIES = 20

/** The suspected cycles of one manager at one moment. */
export class GuardCycleSearch {
  readonly #backend: Backend<Request>
  readonly #roots: RootHolders
  readonly #known: Waiting
  #edges: ReadonlyMap<Request, readonly Edge[]> | undefined
  /** The edges between requests that have incoming and outgoing edges: every cycle consists of such edges. */
  #core: ReadonlyMap<Request, readonly Edge[]> = new Map()
  #assigned: ReadonlySet<Edge> = new Set()
  #searches = 0
  /** The number of waiting requests with each label. */
  readonly #labels = new Map<string, number>()

  constructor(backend: Backend<Request>, roots: RootHolders, callSites: CallSites) {
    this.#backend = backend
    this.#roots = roots
    this.#known = { callSites, isOfOneTask: (label) => this.#labels.get(label) === 1 }
  }

  /** The cycle that keeps a request waiting: through itself, or through requests that it waits for. */
  cycleOf(start: Request): readonly GuardLink[] | undefined {
    if (++this.#searches > MAX_SEARCHES) return undefined
    const edges = this.#allEdges()
    const next = (request: Request): Request[] => (edges.get(request) ?? []).map(({ to }) => to)
    const around = [...reachable([start], next)]
    const inCore = around.filter((request) => this.#core.has(request)).slice(0, MAX_TRIES)
    return (
      firstOf(inCore, (request) => this.#cycleThrough(request)) ??
      firstOf(around.slice(0, MAX_TRIES), (request) => this.#waitForOwnGuard(request))
    )
  }

  /** The cycle through a request along the strongest evidence. */
  #cycleThrough(start: Request): GuardLink[] | undefined {
    const edges = this.#core
    for (const weakest of [FIT.label, FIT.function, FIT.possible]) {
      for (const mayBeShared of [false, true]) {
        const edgesOf = (request: Request): Edge[] =>
          (edges.get(request) ?? []).filter(
            (edge) => edge.fit <= weakest && (mayBeShared || this.#assigned.has(edge)),
          )
        const path = findPath(
          start,
          (request) => request === start,
          (request) => edgesOf(request).map(({ to }) => to),
        )
        if (path === undefined) continue
        const links = path.slice(0, -1).map((waiting, i): GuardLink => {
          const edge = edgesOf(waiting).find(({ to }) => to === path[i + 1]) as Edge
          return { waiting, root: edge.root, fit: edge.fit }
        })
        return links.some(({ fit }) => fit !== FIT.certain) ? links : undefined
      }
    }
    return undefined
  }

  /**
   * A link from a request to itself, if the guard that it waits for fits its own task better than all others.
   */
  #waitForOwnGuard(waiting: Request): GuardLink[] | undefined {
    if (waiting.state !== 'waiting') return undefined
    const { label } = waiting.options
    const known = this.#known
    for (const root of this.#rootsOf(waiting)) {
      const { by, name } = root
      const isOnlyWaiter = (): boolean => {
        for (const other of this.#backend.lock(name)?.waiters() ?? []) {
          if (other !== waiting && other.options.label === label) return false
        }
        return true
      }
      if (!mayBeOwnGuard(waiting, by, known, isOnlyWaiter)) continue
      const fit = fitOf(waiting, by, known) as Fit
      if (!this.#hasOtherGuard(waiting, by, fit)) return [{ waiting, root, fit }]
    }
    return undefined
  }

  /**
   * Whether another guard fits a request's task at least as well. Also true if there are too many to check.
   */
  #hasOtherGuard(waiting: Request, guard: Request, fit: Fit): boolean {
    let looked = 0
    for (const lock of this.#backend.locks()) {
      for (const holder of lock.holders()) {
        if (holder === guard || !holder.isGuard) continue
        if (++looked > MAX_REQUESTS) return true
        const otherFit = fitOf(waiting, holder, this.#known)
        if (otherFit !== undefined && otherFit <= fit) return true
      }
    }
    return false
  }

  /** The first root holders of a request that belong to this manager. */
  #rootsOf(request: Request): Root[] {
    const isOurs = (root: Blocker<Request>): root is Root => root.by instanceof Request
    return this.#roots.now(request).slice(0, MAX_REQUESTS).filter(isOurs)
  }

  /** The edges from each waiting request to those whose tasks may hold what blocks it. Computed once. */
  #allEdges(): ReadonlyMap<Request, readonly Edge[]> {
    if (this.#edges) return this.#edges
    const waiting = waitingIn(this.#backend)
    for (const { options } of waiting) {
      const { label } = options
      if (label !== undefined) this.#labels.set(label, (this.#labels.get(label) ?? 0) + 1)
    }
    const roots = new Map<Request, readonly Root[]>()
    const holdings = new Set<Request>()
    for (const request of waiting) {
      const found = this.#rootsOf(request)
      roots.set(request, found)
      for (const { by } of found) if (holdings.size < MAX_REQUESTS) holdings.add(by)
    }
    const fits = new Map<Request, ReadonlyMap<Request, Fit>>()
    for (const request of waiting) {
      const blockers = new Set(roots.get(request)?.map(({ by }) => by))
      fits.set(request, this.#fitsOf(request, blockers, holdings))
    }
    const edges = new Map<Request, Edge[]>()
    for (const [request, found] of roots) {
      const from: Edge[] = []
      for (const root of found) {
        for (const to of waiting) {
          const fit = fits.get(to)?.get(root.by)
          if (fit !== undefined) from.push({ to, root, fit })
        }
      }
      if (from.length > 0) edges.set(request, from)
    }
    this.#edges = edges
    this.#core = coreOf(edges)
    this.#assigned = assign(this.#core)
    return edges
  }

  /** The holdings that a request's task may have. Weak evidence counts only where there is no better. */
  #fitsOf(
    request: Request,
    blockers: ReadonlySet<Request>,
    holdings: ReadonlySet<Request>,
  ): ReadonlyMap<Request, Fit> {
    const fits = new Map<Request, Fit>()
    let best: Fit = FIT.possible
    for (const holding of holdings) {
      const fit = fitOf(request, holding, this.#known)
      // Skip the request's blockers: if they counted as its own, every wait for one would seem to be a cycle.
      if (fit === undefined || blockers.has(holding)) continue
      fits.set(holding, fit)
      if (fit < best) best = fit
    }
    if (best === FIT.possible) return fits
    return new Map([...fits].filter(([, fit]) => fit < FIT.possible))
  }
}

/** The first answer that is not `undefined`. */
function firstOf<Item, Answer>(
  items: readonly Item[],
  answer: (item: Item) => Answer | undefined,
): Answer | undefined {
  for (const item of items) {
    const found = answer(item)
    if (found !== undefined) return found
  }
  return undefined
}

/** The oldest waiting requests that somebody may wait for. */
function waitingIn(backend: Backend<Request>): Request[] {
  const waiting = new Set<Request>()
  for (const lock of backend.locks()) {
    let inQueue = 0
    for (const request of lock.waiters()) {
      if (inQueue >= MAX_REQUESTS) break
      if (!isOutside(request) && (request.options.detached || !request.isAwaited)) continue
      waiting.add(request)
      inQueue++
    }
  }
  return [...waiting].sort((a, b) => a.id - b.id).slice(0, MAX_REQUESTS)
}
