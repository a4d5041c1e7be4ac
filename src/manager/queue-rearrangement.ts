/**
 * Rearranges wait queues, so that queue order by itself causes no deadlock.
 *
 * A nested request may wait behind a request that waits for its holder. In strictly first-come queues they
 * would wait for each other. PostgreSQL calls such an edge soft, and removes the cycle by rearranging the
 * queue (src/backend/storage/lmgr/README, "Deadlock Detection"). So does this file.
 *
 * Steps      Each request that waits for the nested request's holder moves behind the nested request, and
 *            behind all that the nested request waits for.
 * Invariant  No cycle of the graph that is searched (its proved part, or the whole) goes through a new edge.
 *            Let S be the nested request, all that it waits for, and all that these still wait behind after
 *            the moves. S does not contain the holder: that would be a deadlock. S contains no moved request,
 *            for those wait for the holder. Every new edge leads into S, and none leads out.
 *            A moved request loses nothing: it cannot be granted before the holder ends. (It may wait longer
 *            than necessary if it waits for the holder only through others that are moved too, or that give
 *            up.)
 * Cost       All that the request waits for, a walk along their queues, and a search from each request in
 *            those queues.
 */

import { canReach, reachable } from '../graph/path.ts'
import { reportAfter } from './clock.ts'
import { isProvedToWait, provedWaitsBehind, provedWaitsFor, waitsOf } from './proof.ts'
import type { Request } from './request.ts'
import { codeOf, type WaitGraph } from './wait-graph.ts'

/** Edges from a node. */
type Edges = (request: Request) => Iterable<Request>

/**
 * Moves the requests that wait (by `waitsBehind`) for a node where `isEnd` is true, the holder. They move
 * behind the nested requests and all that these wait for (by `waitsFor`). Returns the moved requests. The
 * nested requests must not wait for the holder.
 */
function rearrange(
  graph: WaitGraph,
  nested: readonly Request[],
  isEnd: (request: Request) => boolean,
  waitsFor: Edges,
  waitsBehind: Edges,
): ReadonlySet<Request> {
  const known = new Map<Request, boolean>()
  return graph.edges.rearrange(reachable(nested, waitsFor), (request) =>
    canReach(request, isEnd, waitsBehind, known),
  )
}

/** How long to wait before rearranging along unproved edges where `deadlockAfterMs` is `Infinity`. */
const REARRANGE_AFTER_MS = 1000

/** Rearranges the queues of one manager: at once along proved edges, later along the others. */
export class Rearranger {
  readonly #graph: WaitGraph
  readonly #afterMs: number
  readonly #isDue: (request: Request) => void
  /** The requests to check again later, each with the function that cancels the check. */
  readonly #later = new Map<Request, () => void>()

  /** `isDue` is called when a request has waited for `deadlockAfterMs`. */
  constructor(graph: WaitGraph, deadlockAfterMs: number, isDue: (request: Request) => void) {
    this.#graph = graph
    this.#afterMs =
      deadlockAfterMs === Number.POSITIVE_INFINITY ? REARRANGE_AFTER_MS : deadlockAfterMs
    this.#isDue = isDue
  }

  get isAny(): boolean {
    return this.#later.size > 0
  }

  /**
   * Moves the requests that wait, by proved edges, for the holder. They move behind the requests that the
   * holder is proved to wait for.
   */
  alongProved(request: Request, holder: Request): ReadonlySet<Request> {
    const proved = waitsOf(request).filter((waiting) => isProvedToWait(holder, waiting))
    if (proved.length === 0) return NOBODY
    const ends = new Set(proved)
    const isEnd = (node: Request): boolean => codeOf(node) === holder || ends.has(node)
    const waitsFor: Edges = (node) => provedWaitsFor(this.#graph, node)
    const waitsBehind: Edges = (node) => provedWaitsBehind(this.#graph, node)
    return rearrange(this.#graph, proved, isEnd, waitsFor, waitsBehind)
  }

  /**
   * Moves the requests that wait, by any edge, for a node where `isEnd` is true. They move behind the
   * request.
   */
  alongAll(request: Request, isEnd: (request: Request) => boolean): ReadonlySet<Request> {
    const { waitsFor, waitsBehind } = this.#graph
    return rearrange(this.#graph, [request], isEnd, waitsFor, waitsBehind)
  }

  /** Schedules another check of a request that still waits after `deadlockAfterMs`. */
  later(request: Request): void {
    if (this.#later.has(request)) return
    const look = (): void => {
      this.#later.delete(request)
      this.#isDue(request)
    }
    this.#later.set(request, reportAfter(this.#afterMs, look))
  }

  /** Cancels the check of a request that no longer waits. */
  cancel(request: Request): void {
    this.#later.get(request)?.()
    this.#later.delete(request)
  }
}

const NOBODY: ReadonlySet<Request> = new Set()
