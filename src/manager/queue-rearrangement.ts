/**
 * Rearranges wait queues, so that their order alone makes no deadlock.
 *
 * A nested request may wait behind a request that waits for its holder: in queues that went strictly by
 * age they would wait for each other. PostgreSQL calls such an edge soft, and cures the cycle by
 * rearranging the queue (src/backend/storage/lmgr/README, "Deadlock Detection"). So does this.
 *
 * Steps      Each request that waits for the nested request's holder goes behind the nested request, and
 *            behind all that this waits for.
 * Invariant  No cycle of the graph at hand goes through a new edge. Take the nested request, all that it
 *            waits for, and all that these still stand behind after the moves. Its holder is not among
 *            them, or this were a deadlock. Nor is one that was moved, for those wait for the holder. Every
 *            new edge leads into this set, and none leads out.
 *            As things stand, a request that was moved loses nothing: before the holder has ended it
 *            cannot be granted. (Where it waits for the holder only through others that are moved too, or
 *            that give up, it may wait longer than it had to.)
 * Cost       All that the request waits for, a walk along their queues, and a search from those in there.
 */

import { canReach, reachable } from '../graph/path.ts'
import { reportAfter } from './clock.ts'
import { isProvedToWait, provedStandsBehind, provedWaitsFor, waitingInside } from './proof.ts'
import type { Request } from './request.ts'
import { codeOf, type WaitGraph } from './wait-graph.ts'

/** Edges from a node. */
type Edges = (request: Request) => Iterable<Request>

/**
 * Lets nested requests, and all that they wait for (`waitsFor`), pass those that wait (`standsBehind`)
 * for what `isEnd` says: their holder. They must not wait for it themselves. Returns those that were
 * moved.
 */
function rearrange(
  graph: WaitGraph,
  nested: readonly Request[],
  isEnd: (request: Request) => boolean,
  waitsFor: Edges,
  standsBehind: Edges,
): ReadonlySet<Request> {
  const known = new Map<Request, boolean>()
  return graph.edges.rearrange(reachable(nested, waitsFor), (request) =>
    canReach(request, isEnd, standsBehind, known),
  )
}

/** With `deadlockAfterMs: Infinity`, queues are rearranged along edges that are not proved after so long. */
const REARRANGE_AFTER_MS = 1000

/** Rearranges the queues of one manager: at once along proved edges, later along others. */
export class Rearranger {
  readonly #graph: WaitGraph
  readonly #afterMs: number
  readonly #isDue: (request: Request) => void
  /** The requests to rearrange for later, and what cancels that. */
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

  /** Moves those that wait for the holder, by proved edges, behind what it is proved to wait for. */
  alongProved(request: Request, holder: Request): ReadonlySet<Request> {
    const starts = request.state === 'waiting' ? [request] : waitingInside(request)
    const proved = starts.filter((waiting) => isProvedToWait(holder, waiting))
    if (proved.length === 0) return NOBODY
    const ends = new Set(proved)
    const isEnd = (node: Request): boolean => codeOf(node) === holder || ends.has(node)
    const waitsFor: Edges = (node) => provedWaitsFor(this.#graph, node)
    const standsBehind: Edges = (node) => provedStandsBehind(this.#graph, node)
    return rearrange(this.#graph, proved, isEnd, waitsFor, standsBehind)
  }

  /** Moves those that wait for what `isEnd` says, by any edge, behind the request. */
  alongAll(request: Request, isEnd: (request: Request) => boolean): ReadonlySet<Request> {
    const { waitsFor, standsBehind } = this.#graph
    return rearrange(this.#graph, [request], isEnd, waitsFor, standsBehind)
  }

  /** Has a request checked once more when it has waited for long. */
  later(request: Request): void {
    if (this.#later.has(request)) return
    const look = (): void => {
      this.#later.delete(request)
      this.#isDue(request)
    }
    this.#later.set(request, reportAfter(this.#afterMs, look))
  }

  /** A request waits no longer. */
  cancel(request: Request): void {
    this.#later.get(request)?.()
    this.#later.delete(request)
  }
}

const NOBODY: ReadonlySet<Request> = new Set()
