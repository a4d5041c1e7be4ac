/**
 * Looks for cycles that guards outside of callbacks, or of owners that requests do not name, could form, where
 * nobody knows which task has a guard.
 *
 * Steps  1. A waiting request leads to the holdings that are in its way; a holding leads to each waiting
 *           request whose task may have it (task-evidence.ts).
 *        2. The search prefers strong evidence: the shortest cycle along the weakest link that is as strong
 *           as possible. Among links of equal strength it first gives each guard to one waiting request,
 *           oldest to oldest, so that a ring of equal tasks is found whole.
 *        3. Where there is no cycle of several, a request may wait for a guard of its own task.
 *
 * A cycle is suspected, never proved; one whose every link is certain is the deadlock detector's.
 *
 * Cost: at most {@link MAX_REQUESTS} waiting requests times as many holdings, once for each round of reports;
 * then for each report a search among those that can be in a cycle at all.
 */

import type { Backend, Blocker } from '../backends/backend.ts'
import type { GuardCycleMember } from '../core/report.ts'
import { findPath, reachable } from '../graph/path.ts'
import { describeHolder, type RootHolders } from './blockers.ts'
import type { Places } from './places.ts'
import { Request } from './request.ts'
import { FIT, type Fit, fitOf, isOutside, mayBeOwnGuard } from './task-evidence.ts'

/** A search looks at this many waiting requests, the oldest, and at this many holdings. */
const MAX_REQUESTS = 300

/** A round of reports looks for the cycles of this many requests that are in none that is known. */
const MAX_SEARCHES = 100
/** A search tries this many of the requests that one waits for. */
const MAX_TRIES = 20

/** A root holder that is a request of the same manager. */
type Root = Blocker<Request> & { readonly by: Request }

/** A request that waits for a guard, which the task of the next link's request may hold. */
export interface GuardLink {
  readonly waiting: Request
  readonly root: Root
  /** How well the guard fits the task of the next request. */
  readonly fit: Fit
}

/** A waiting request whose task may have a holding, and how well it fits. */
interface Edge {
  readonly to: Request
  readonly root: Root
  readonly fit: Fit
}

/** The suspected cycles of one manager at one moment. */
export class GuardCycleSearch {
  readonly #backend: Backend<Request>
  readonly #roots: RootHolders
  readonly #places: Places
  #edges: ReadonlyMap<Request, readonly Edge[]> | undefined
  /** The part of the edges in which every request leads on and is led to: all cycles are there. */
  #core: ReadonlyMap<Request, readonly Edge[]> = new Map()
  #assigned: ReadonlySet<Edge> = new Set()
  #searches = 0

  constructor(backend: Backend<Request>, roots: RootHolders, places: Places) {
    this.#backend = backend
    this.#roots = roots
    this.#places = places
  }

  /** The cycle that keeps a request waiting: through it, or through those that it waits for. */
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

  /** The cycle through a request, along the strongest evidence. */
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

  /** A request whose task may hold the guard that it waits for: the only one that fits the task. */
  #waitForOwnGuard(waiting: Request): GuardLink[] | undefined {
    if (waiting.state !== 'waiting') return undefined
    const { label } = waiting.options
    const places = this.#places
    for (const root of this.#rootsOf(waiting)) {
      const { by, name } = root
      const isOnlyWaiter = (): boolean => {
        for (const other of this.#backend.lock(name)?.waiters() ?? []) {
          if (other !== waiting && other.options.label === label) return false
        }
        return true
      }
      if (!mayBeOwnGuard(waiting, by, places, isOnlyWaiter)) continue
      const fit = fitOf(waiting, by, places) as Fit
      if (!this.#hasOtherGuard(waiting, by, fit)) return [{ waiting, root, fit }]
    }
    return undefined
  }

  /** Whether another guard fits the task of a request as well; true where there are too many to say. */
  #hasOtherGuard(waiting: Request, guard: Request, fit: Fit): boolean {
    let looked = 0
    for (const lock of this.#backend.locks()) {
      for (const holder of lock.holders()) {
        if (holder === guard || !holder.isGuard) continue
        if (++looked > MAX_REQUESTS) return true
        const otherFit = fitOf(waiting, holder, this.#places)
        if (otherFit !== undefined && otherFit <= fit) return true
      }
    }
    return false
  }

  /** The first root holders of a request, of this manager. */
  #rootsOf(request: Request): Root[] {
    const isOurs = (root: Blocker<Request>): root is Root => root.by instanceof Request
    return this.#roots.now(request).slice(0, MAX_REQUESTS).filter(isOurs)
  }

  /** From each waiting request, those whose tasks may have what is in its way. Made once. */
  #allEdges(): ReadonlyMap<Request, readonly Edge[]> {
    if (this.#edges) return this.#edges
    const waiting = waitingIn(this.#backend)
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

  /** The holdings that the task of a request may have. Weak evidence counts where there is no better. */
  #fitsOf(
    request: Request,
    blockers: ReadonlySet<Request>,
    holdings: ReadonlySet<Request>,
  ): ReadonlyMap<Request, Fit> {
    const fits = new Map<Request, Fit>()
    let best: Fit = FIT.possible
    for (const holding of holdings) {
      const fit = fitOf(request, holding, this.#places)
      // One that waits for its own guard would close a cycle with every other wait.
      if (fit === undefined || blockers.has(holding)) continue
      fits.set(holding, fit)
      if (fit < best) best = fit
    }
    if (best === FIT.possible) return fits
    return new Map([...fits].filter(([, fit]) => fit < FIT.possible))
  }
}

/** A cycle as plain data, `at` this time in milliseconds since 1970. */
export function describeGuardCycle(
  cycle: readonly GuardLink[],
  places: Places,
  at: number,
): GuardCycleMember[] {
  return cycle.map(({ waiting, root }, i) => {
    const before = cycle.at(i - 1) as GuardLink
    const { by: guard } = before.root
    const { callSite } = places.callSiteOf(waiting)
    return {
      label: waiting.label,
      waitsFor: { name: root.waitsFor, mode: root.wanted, units: 1 },
      waitedMs: Math.max(0, at - waiting.since),
      ...(callSite !== undefined && { callSite }),
      mayHold: describeHolder(before.root, guard, places, at),
      isCertain: before.fit === FIT.certain,
      withOwner: withOwner(waiting, guard),
    }
  })
}

/** Which of a request and a guard has an owner. */
function withOwner(waiting: Request, guard: Request): GuardCycleMember['withOwner'] {
  const hasOwner = waiting.options.owner !== undefined
  if (hasOwner === (guard.options.owner !== undefined)) return hasOwner ? 'both' : 'neither'
  return hasOwner ? 'request' : 'guard'
}

/** The first answer that is one. */
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

/** Leaves out, again and again, requests that lead to none of the others, or to which none leads. */
function coreOf(edges: ReadonlyMap<Request, readonly Edge[]>): Map<Request, readonly Edge[]> {
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

/** Gives each guard to one waiting request at most, and each request one guard: the best fits, the oldest first. */
function assign(edges: ReadonlyMap<Request, readonly Edge[]>): Set<Edge> {
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

/** Whether a cycle is unchanged: its requests wait, and its guards are held. */
export function isStanding(cycle: readonly GuardLink[]): boolean {
  return cycle.every(({ waiting, root }) => waiting.state === 'waiting' && isHeld(root.by))
}

/** Identifies a cycle, wherever it begins. */
export function keyOfGuardCycle(cycle: readonly GuardLink[]): string {
  const links = cycle.map(({ waiting, root }) => `${waiting.id}>${root.by.id}`)
  return links.sort().join()
}

function isHeld({ state }: Request): boolean {
  return state === 'granted' || state === 'holding'
}
