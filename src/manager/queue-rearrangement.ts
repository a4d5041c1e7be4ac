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
import type { Request } from './request.ts'
import type { WaitGraph } from './wait-graph.ts'

/** Edges from a node. */
type Edges = (request: Request) => Iterable<Request>

/**
 * Lets nested requests, and all that they wait for (`waitsFor`), pass those that wait (`standsBehind`)
 * for what `isEnd` says: their holder. They must not wait for it themselves. Returns those that were
 * moved.
 */
export function rearrange(
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
